import type { Id } from "../lib/index.js";
import type { Database } from "./database.js";

/**
 * Who is in which conversation, as accepted commits claimed it. A client with several leaves stays until the last is
 * removed; one that was a member keeps a row, because it may read the log up to the commit that removed it.
 */
export function memberList(database: Database) {
  const find = database.prepare<object, Member>(`
    SELECT leaves, since_epoch AS since, last FROM members WHERE conversation = @conversationId AND client = @clientId`);
  const present = database
    .prepare<object, Id>(
      `
    SELECT client FROM members WHERE conversation = @conversationId AND leaves > 0 AND since_epoch <= @epoch`,
    )
    .pluck();
  const add = database.prepare(`
    INSERT INTO members (conversation, client, leaves, since_epoch) VALUES (@conversationId, @clientId, 1, @epoch)
    ON CONFLICT DO UPDATE SET
      leaves = leaves + 1,
      since_epoch = iif(leaves = 0, excluded.since_epoch, since_epoch),
      last = NULL`);
  const remove = database.prepare(`
    UPDATE members SET leaves = leaves - 1, last = iif(leaves = 1, @sequence, NULL)
    WHERE conversation = @conversationId AND client = @clientId AND leaves > 0`);

  return {
    /** The present members who were members in that epoch: who can read what it carries. */
    of(conversationId: Id, epoch: number): Id[] {
      return present.all({ conversationId, epoch });
    },

    /** Whether it is a member now. */
    isPresent(conversationId: Id, clientId: Id): boolean {
      return (find.get({ conversationId, clientId })?.leaves ?? 0) > 0;
    },

    /** A member, or a former one; `undefined` for a stranger. */
    find(conversationId: Id, clientId: Id): Member | undefined {
      return find.get({ conversationId, clientId });
    },

    /** One more leaf for this client, from that epoch on. */
    add(conversationId: Id, clientId: Id, epoch: number): void {
      add.run({ conversationId, clientId, epoch });
    },

    /** One leaf less, by the commit with that sequence number. Who is no member is no error: nothing to take away. */
    remove(conversationId: Id, clientId: Id, sequence: number): void {
      remove.run({ conversationId, clientId, sequence });
    },
  };
}
export type MemberList = ReturnType<typeof memberList>;

interface Member {
  readonly leaves: number;
  /** The first epoch it was in. */
  readonly since: number;
  /** The sequence number of the commit that removed it. */
  readonly last: number | null;
}
