import type { Id } from "../lib/index.js";
import type { Arrivals } from "./arrivals.js";
import type { Database } from "./database.js";
import { LARGEST_ANSWER } from "./limits.js";
import type { Request } from "./requests.js";
import type { QueueEntry } from "./service.js";

/** What waits for each client. An entry is stored once and queued as often as it has readers. */
export function clientQueues(database: Database, arrivals: Arrivals) {
  const put = database.prepare("INSERT INTO queues (client, entry) VALUES (?, ?)");
  const waiting = database.prepare<object, Row>(`
    SELECT cursor, conversation, bytes FROM queues JOIN entries USING (entry)
    WHERE client = @clientId AND cursor > @after ORDER BY cursor LIMIT @limit`);
  const drop = database.prepare("DELETE FROM queues WHERE client = @clientId AND cursor <= @cursor");

  return {
    /** Behind everything that waits for this client already. */
    put(clientId: Id, entry: number): void {
      put.run(clientId, entry);
      arrivals.announce(clientId);
    },

    pull({ clientId, after, limit }: Request<"pull">): QueueEntry[] {
      const entries: QueueEntry[] = [];
      let size = 0;
      for (const row of waiting.iterate({ clientId, after, limit })) {
        size += row.bytes.length;
        if (size > LARGEST_ANSWER && entries.length > 0) break;
        entries.push({ cursor: row.cursor, conversationId: row.conversation, bytes: new Uint8Array(row.bytes) });
      }
      return entries;
    },

    acknowledge({ clientId, cursor }: Request<"acknowledge">): void {
      drop.run({ clientId, cursor });
    },
  };
}
export type ClientQueues = ReturnType<typeof clientQueues>;

interface Row {
  cursor: number;
  conversation: Id;
  bytes: Buffer;
}
