import type { Id } from "../../lib/index.js";
import type { Database } from "./database.js";
import type { Member } from "../rules/conversation.js";
import type { SaveMember } from "../rules/decision.js";

/**
 * Who is in which conversation. A former member keeps its row, because it may read the log up to
 * its removal.
 */
export function memberTable(database: Database) {
  const columns = "client AS clientId, leaves, since_epoch AS since, removed_at AS removedAt";
  const find = database.prepare<[Id, Id], Row>(`SELECT ${columns} FROM members WHERE conversation = ? AND client = ?`);
  const present = database.prepare<[Id], Row>(`SELECT ${columns} FROM members WHERE conversation = ? AND leaves > 0`);
  const save = database.prepare(`
    INSERT OR REPLACE INTO members (conversation, client, leaves, since_epoch, removed_at)
    VALUES (@conversationId, @clientId, @leaves, @since, @removedAt)`);

  return {
    present(conversationId: Id): Member[] {
      return present.all(conversationId).map(memberOf);
    },

    /** Also a former member; `undefined` for a stranger. */
    find(conversationId: Id, clientId: Id): Member | undefined {
      const row = find.get(conversationId, clientId);
      return row && memberOf(row);
    },

    save({ conversationId, member }: SaveMember): void {
      save.run({ conversationId, ...member, since: Number(member.since), removedAt: member.removedAt ?? null });
    },
  };
}
export type MemberTable = ReturnType<typeof memberTable>;

interface Row {
  clientId: Id;
  leaves: number;
  since: number;
  removedAt: number | null;
}

function memberOf({ since, removedAt, ...row }: Row): Member {
  return { ...row, since: BigInt(since), removedAt: removedAt ?? undefined };
}
