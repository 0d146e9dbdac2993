import { deliveryServiceAt, EmbeddedDeliveryService, serveOnLoopback } from "conclave-mls/delivery-service";
import { failure } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

const MANY = 30;

/** A signal that knows how many listeners it has, and the most that it had at once. */
function counted() {
  const controller = new AbortController();
  const { signal } = controller;
  const count = { now: 0, most: 0 };
  let begun!: () => void;
  const listening = new Promise<void>((resolve) => (begun = resolve));
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  const listeners = new Set<unknown>();
  const changed = () => {
    count.now = listeners.size;
    count.most = Math.max(count.most, count.now);
  };
  signal.addEventListener = (type: string, listener: () => void) => {
    listeners.add(listener);
    changed();
    begun();
    add(type, listener);
  };
  signal.removeEventListener = (type: string, listener: () => void) => {
    listeners.delete(listener);
    changed();
    remove(type, listener);
  };
  return { controller, signal, count, listening };
}

it("many calls wait for one signal, which has one listener, and each of them is stopped", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  let asked = 0;
  let all!: () => void;
  const allAsked = new Promise<void>((resolve) => (all = resolve));
  const { controller, signal, count } = counted();
  server.next(
    ...Array.from({ length: MANY }, () => () => {
      if (++asked === MANY) all();
      return new Promise<never>(() => {});
    }),
  );
  const calls: Promise<unknown>[] = [];
  for (let n = 0; n < MANY; n++) {
    const one = await alice.session.createConversation(`team ${n}`, { credential: alice.credential });
    calls.push(failure(one.updateKeys({ signal })), failure(one.updateKeys({ signal }))); // One sends, one waits.
  }
  await allAsked;
  expect(count.most).toBe(1);
  controller.abort();
  const codes = (await Promise.all(calls)).map((error) => (error as { code: string }).code);
  expect(new Set(codes)).toEqual(new Set(["COMMIT_OUTCOME_UNKNOWN", "ABORTED"]));
  expect(count.now).toBe(0);
});

it("a signal that is never aborted has no listener when the calls have ended", async () => {
  const alice = await Person.comes("alice", new Server());
  const team = await alice.creates("team");
  const { signal, count } = counted();
  await Promise.all(Array.from({ length: MANY }, () => team.updateKeys({ signal })));
  expect(count).toEqual({ now: 0, most: 1 });
});

it("many pulls wait for one signal, in process and over loopback", async () => {
  await using service = await EmbeddedDeliveryService.inMemory();
  await using server = await serveOnLoopback(service);
  await using client = deliveryServiceAt(server.url);
  for (const way of [service, client]) {
    const { controller, signal, count, listening } = counted();
    const pulls = Array.from({ length: MANY }, () => way.pull("bob", { waitMs: 60_000, signal }));
    const ends = Promise.allSettled(pulls);
    await listening;
    controller.abort(new Error("enough"));
    for (const end of await ends) expect(end).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    expect(count).toEqual({ now: 0, most: 1 });
  }
});
