import type { Id } from "../../lib/index.js";
import type { Database } from "./database.js";
import { page } from "../rules/page.js";
import type { QueueRange } from "../rules/reading.js";
import type { QueueEntry } from "../service.js";

/** What waits for each client. An entry is stored once and queued as often as it has readers. */
export function queueTable(database: Database) {
  const put = database.prepare("INSERT INTO queues (client, entry) VALUES (?, ?)");
  const waiting = database.prepare<object, { cursor: number; conversationId: Id; bytes: Buffer }>(`
    SELECT cursor, conversation AS conversationId, bytes FROM queues JOIN entries USING (entry)
    WHERE client = @clientId AND cursor > @after ORDER BY cursor LIMIT @limit`);
  const drop = database.prepare("DELETE FROM queues WHERE client = ? AND cursor <= ?");

  return {
    /** Behind everything that waits for this client already. */
    put(clientId: Id, entry: number): void {
      put.run(clientId, entry);
    },

    read(range: QueueRange): QueueEntry[] {
      return page(waiting.iterate(range)).map((row) => ({ ...row, bytes: new Uint8Array(row.bytes) }));
    },

    drop(clientId: Id, cursor: number): void {
      drop.run(clientId, cursor);
    },
  };
}
export type QueueTable = ReturnType<typeof queueTable>;
