import type { Id } from "../lib/index.js";
import type { Database } from "./database.js";
import { messageIdOf } from "./framing.js";
import { LARGEST_ANSWER } from "./limits.js";
import type { LogEntry } from "./service.js";

/** What the service keeps of a conversation: its epoch, the GroupInfo that describes it, and the log with its one order. */
export function conversationStore(database: Database) {
  const find = database.prepare<[Id], Conversation>(`
    SELECT epoch, group_info AS groupInfo FROM conversations WHERE id = ?`);
  const save = database.prepare(`
    INSERT INTO conversations (id, epoch, group_info) VALUES (@conversationId, @epoch, @groupInfo)
    ON CONFLICT DO UPDATE SET epoch = excluded.epoch, group_info = excluded.group_info`);
  const append = database.prepare<object, Place>(`
    INSERT INTO entries (conversation, kind, epoch, sequence, message_id, bytes)
    SELECT @conversationId, @kind, @epoch, coalesce(max(sequence), 0) + 1, @messageId, @bytes
    FROM entries WHERE conversation = @conversationId
    RETURNING entry, sequence`);
  const keepWelcome = database
    .prepare<object, number>(
      `
    INSERT INTO entries (conversation, kind, epoch, message_id, bytes)
    VALUES (@conversationId, 'welcome', @epoch, @messageId, @bytes) RETURNING entry`,
    )
    .pluck();
  const place = database
    .prepare<[string], number>("SELECT sequence FROM entries WHERE message_id = ? AND sequence IS NOT NULL")
    .pluck();
  // Nothing of an epoch is in front of the commit that begins it: the log is read from there, not from its start.
  const read = database.prepare<object, { sequence: number; bytes: Buffer }>(`
    SELECT sequence, bytes FROM entries
    WHERE conversation = @conversationId AND epoch >= @fromEpoch AND sequence <= @last AND sequence > max(@after, coalesce(
      (SELECT sequence FROM entries WHERE conversation = @conversationId AND kind = 'commit' AND epoch = @fromEpoch - 1), 0))
    ORDER BY sequence LIMIT @limit`);

  return {
    /** `undefined` while no commit of it was accepted. */
    find(conversationId: Id): Conversation | undefined {
      return find.get(conversationId);
    },

    save(conversationId: Id, epoch: number, groupInfo: Uint8Array): void {
      save.run({ conversationId, epoch, groupInfo });
    },

    /** At the end of the conversation's order. */
    append(conversationId: Id, kind: "commit" | "proposal" | "message", epoch: number, bytes: Uint8Array): Place {
      const placed = append.get({ conversationId, kind, epoch, messageId: messageIdOf(bytes), bytes });
      if (placed === undefined) throw new Error("INSERT … RETURNING answered no row");
      return placed;
    },

    /** Outside the order, for the queues of those it is for. */
    keepWelcome(conversationId: Id, epoch: number, bytes: Uint8Array): number {
      const entry = keepWelcome.get({ conversationId, epoch, messageId: messageIdOf(bytes), bytes });
      if (entry === undefined) throw new Error("INSERT … RETURNING answered no row");
      return entry;
    },

    /** The sequence number of an entry of the log; `undefined` when it is not there. */
    placeOf(messageId: string): number | undefined {
      return place.get(messageId);
    },

    /** In order; `last` is the last sequence number the reader may see. */
    read(range: { conversationId: Id; fromEpoch: number; after: number; last: number; limit: number }): LogEntry[] {
      const entries: LogEntry[] = [];
      let size = 0;
      for (const { sequence, bytes } of read.iterate(range)) {
        size += bytes.length;
        if (size > LARGEST_ANSWER && entries.length > 0) break;
        entries.push({ sequence, bytes: new Uint8Array(bytes) });
      }
      return entries;
    },
  };
}
export type ConversationStore = ReturnType<typeof conversationStore>;

interface Conversation {
  /** The one that the newest accepted commit began. */
  readonly epoch: number;
  readonly groupInfo: Buffer;
}
interface Place {
  readonly entry: number;
  readonly sequence: number;
}
