/** What a store that answers later asks of the service. The duties on it are in duties.test.ts. */
import type { QueueEntry } from "conclave-mls/delivery-service";
import type { QueueRange } from "../../delivery-service/rules/reading.js";
import { deferred } from "../../lib/deferred.js";
import { messageIn } from "./framed.js";
import { MemoryStore } from "./memory-store.js";
import { commit, hex, serviceOn } from "./services.js";

/** Its answers to queues come when the test lets them. */
class HeldStore extends MemoryStore {
  readonly looked = deferred<undefined>();
  readonly release = deferred<undefined>();

  override async readQueue(range: QueueRange): Promise<QueueEntry[]> {
    const entries = await super.readQueue(range);
    this.looked.resolve(undefined);
    await this.release.promise;
    return entries;
  }
}

test("a pull misses nothing that arrives between its look at the queue and its waiting", async () => {
  const store = new HeldStore();
  await using service = serviceOn(store);
  await commit(service, "alice", 0n);
  const waiting = service.pull("alice", { after: 1, waitMs: 60_000 });
  await store.looked.promise;
  const message = messageIn("team", 1n);
  await service.sendMessage("alice", message);
  store.release.resolve(undefined);
  expect((await waiting).map(({ bytes }) => hex(bytes))).toEqual([hex(message)]);
});

test("bytes are copied on entry: changing them before the store has answered changes nothing", async () => {
  await using service = serviceOn(new MemoryStore());
  await commit(service, "alice", 0n);
  const message = messageIn("team", 1n);
  const genuine = hex(message);
  const sent = service.sendMessage("alice", message);
  message.fill(0);
  await sent;
  expect(hex((await service.pull("alice")).at(-1)!.bytes)).toBe(genuine);
});
