import type { Database } from "./database.js";
import type { Entry } from "../rules/decision.js";
import { page } from "../rules/page.js";
import type { LogRange } from "../rules/reading.js";
import type { LogEntry } from "../service.js";

/** Everything that is delivered: each conversation's log, and Welcomes. */
export function entryTable(database: Database) {
  const insert = database
    .prepare<object, number>(
      `
    INSERT INTO entries (conversation, kind, epoch, sequence, message_id, bytes)
    VALUES (@conversationId, @kind, @epoch, @sequence, @messageId, @bytes) RETURNING entry`,
    )
    .pluck();
  const sequence = database
    .prepare<[string], number>("SELECT sequence FROM entries WHERE message_id = ? AND sequence IS NOT NULL")
    .pluck();
  // Nothing of an epoch is in front of the commit that begins it: the log is read from there, not
  // from its start.
  const read = database.prepare<object, { sequence: number; bytes: Buffer }>(`
    SELECT sequence, bytes FROM entries
    WHERE conversation = @conversationId AND epoch >= @fromEpoch AND sequence <= @last AND sequence > max(@after, coalesce(
      (SELECT sequence FROM entries WHERE conversation = @conversationId AND kind = 'commit' AND epoch = @fromEpoch - 1), 0))
    ORDER BY sequence LIMIT @limit`);

  return {
    /** Answers the row's number. */
    insert(entry: Entry): number {
      const row = insert.get({ ...entry, sequence: entry.sequence ?? null, epoch: Number(entry.epoch) });
      if (row === undefined) throw new Error("INSERT … RETURNING answered no row");
      return row;
    },

    /** `undefined` if the message is in no log. */
    sequenceOf(messageId: string): number | undefined {
      return sequence.get(messageId);
    },

    read(range: LogRange): LogEntry[] {
      return page(read.iterate({ ...range, fromEpoch: Number(range.fromEpoch) })).map(({ sequence, bytes }) => ({
        sequence,
        bytes: new Uint8Array(bytes),
      }));
    },
  };
}
export type EntryTable = ReturnType<typeof entryTable>;
