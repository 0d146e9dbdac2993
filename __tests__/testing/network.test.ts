/** What each fault of the network does, alone and every time. */
import { Credential, Database, Session } from "conclave-mls";
import { type DeliveryService, EmbeddedDeliveryService, follow, transportOf } from "conclave-mls/delivery-service";
import {
  FaultyNetwork,
  type NetworkFaults,
  noFaults,
  SeededRandom,
  SimulatedClock,
  withClock,
} from "conclave-mls/testing";
import { expectCode } from "../support/expect.js";
import { bytes, suite } from "../support/people.js";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A service, and the same one behind a network that does nothing wrong but this. */
async function network(faults: Partial<NetworkFaults>) {
  const clock = new SimulatedClock();
  const told: string[] = [];
  const onFault = (clientId: string, fault: string): unknown => told.push(`${clientId}: ${fault}`);
  const network = new FaultyNetwork({
    clock,
    random: new SeededRandom(1),
    faults: { ...noFaults, ...faults },
    onFault,
  });
  const honest = await EmbeddedDeliveryService.inMemory();
  open.push(honest);
  return { clock, told, network, honest, faulty: network.over(honest) };
}

/** Somebody whose session reaches the server this way. */
async function comes(clientId: string, service: DeliveryService, clock: SimulatedClock) {
  const options = { clientId, transport: transportOf(service, clientId), attempts: 3 };
  const session = await Session.open(await Database.inMemory(), withClock(options, clock));
  open.push(session);
  const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite: suite }));
  const [keyPackage] = await session.generateKeyPackages(credential, { count: 1 });
  return { session, credential, keyPackage: keyPackage!.bytes };
}

/** Alice and Bob in a team, whose server was good to them so far; Bob's queue is empty. */
async function aliceAndBob(faults: Partial<NetworkFaults>) {
  const all = await network(faults);
  const [alice, bob] = [await comes("alice", all.honest, all.clock), await comes("bob", all.honest, all.clock)];
  const { credential } = alice;
  const team = await alice.session.createConversation("team", { credential, members: [bob.keyPackage] });
  const [welcome] = await all.honest.pull("bob");
  await bob.session.joinByWelcome(welcome!.bytes);
  await all.honest.acknowledge("bob", welcome!.cursor);
  const send = async (...words: string[]): Promise<void> => {
    for (const word of words) await all.honest.sendMessage("alice", await team.encrypt(bytes(word)));
  };
  return { ...all, team, bob, send };
}

/** Alice, alone in a conversation that no server knows yet: her next commit founds it there. */
async function aliceAlone(faults: Partial<NetworkFaults>) {
  const all = await network(faults);
  const alice = await comes("alice", all.faulty, all.clock);
  const own = await alice.session.createConversation("own", { credential: alice.credential });
  return { ...all, alice, own };
}

describe("a request", () => {
  it("takes its time, by the simulated clock", async () => {
    const { clock, faulty } = await network({ delayMs: 1000 });
    const start = clock.now();
    await clock.until(faulty.pull("bob"));
    expect(clock.now() - start).toBeGreaterThan(0);
    expect(clock.now() - start).toBeLessThanOrEqual(2000);
  });

  it("is lost on its way, and never arrives", async () => {
    const { clock, honest, faulty, team, told } = await aliceAndBob({ requestLost: 1 });
    const sent = clock.until(faulty.sendMessage("alice", await team.encrypt(bytes("hello"))));
    await expect(sent).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(await honest.pull("bob")).toEqual([]);
    expect(told).toEqual(["alice: a message was lost on its way"]);
  });

  it("is carried out though its answer is lost", async () => {
    const { clock, honest, faulty, team } = await aliceAndBob({ answerLost: 1 });
    const sent = clock.until(faulty.sendMessage("alice", await team.encrypt(bytes("hello"))));
    await expect(sent).rejects.toMatchObject({ code: "UNREACHABLE" });
    expect(await honest.pull("bob")).toHaveLength(1);
  });

  it("is carried out and never answered", async () => {
    const { clock, honest, faulty, team } = await aliceAndBob({ unanswered: 1 });
    const sent = clock.until(faulty.sendMessage("alice", await team.encrypt(bytes("hello"))));
    await expect(sent).rejects.toThrow("never comes");
    expect(await honest.pull("bob")).toHaveLength(1);
  });

  it("arrives a second time later, when nobody thinks of it", async () => {
    const { clock, faulty, told } = await network({ requestRepeated: 1, delayMs: 100 });
    const bob = await comes("bob", faulty, clock);
    const keyPackages = await bob.session.generateKeyPackages(bob.credential, { count: 2 });
    await clock.until(faulty.publishKeyPackages("bob", keyPackages));
    expect(told).toEqual(["bob: a publication arrives twice"]);
    const claim = clock.until(faulty.claimKeyPackage("bob", suite));
    expect(await claim).toBeDefined();
    while (await clock.next());
    expect(await clock.until(faulty.countKeyPackages("bob", suite))).toBe(0);
  });

  it("fails as the service says, when nothing else goes wrong", async () => {
    const { clock, faulty, team } = await aliceAndBob({});
    const sent = clock.until(faulty.sendMessage("mallory", await team.encrypt(bytes("hello"))));
    await expect(sent).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    await expect(clock.until(faulty.groupInfo("mallory", "team"))).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
  });

  it("goes through when the network has calmed down", async () => {
    const { clock, network: bad, faulty } = await network({ requestLost: 1 });
    bad.calm();
    expect(await clock.until(faulty.pull("bob"))).toEqual([]);
  });
});

describe("a commit", () => {
  it("is not looked at and told to retry", async () => {
    const { clock, honest, own } = await aliceAlone({ retry: 1 });
    await expectCode(clock.until(own.updateKeys()), "RETRY_EXHAUSTED");
    await expect(honest.groupInfo("alice", "own")).rejects.toMatchObject({ code: "CONVERSATION_UNKNOWN" });
  });

  it("is accepted and told to retry, and found by its sender in the log", async () => {
    const { clock, own, told } = await aliceAlone({ retryAfterAccepting: 1 });
    expect(await clock.until(own.updateKeys())).toMatchObject({ outcome: "merged", attempts: 1 });
    expect(told).toEqual(["alice: a commit is accepted and told to retry"]);
  });

  it("is refused, and then for good, however late a copy arrives", async () => {
    const { clock, network: bad, honest, own } = await aliceAlone({ abort: 1, requestRepeated: 1, delayMs: 50 });
    const error = await expectCode(clock.until(own.updateKeys()), "COMMIT_REJECTED");
    expect(error.message).toContain("simulation");
    bad.calm();
    while (await clock.next());
    await expect(honest.groupInfo("alice", "own")).rejects.toMatchObject({ code: "CONVERSATION_UNKNOWN" });
  });

  it("is accepted and answered with nonsense, and settles", async () => {
    const { clock, network: bad, alice, own } = await aliceAlone({ garbage: 1 });
    await expectCode(clock.until(own.updateKeys()), "COMMIT_OUTCOME_UNKNOWN");
    expect(await own.epoch()).toBe(0n);
    bad.calm();
    expect(await clock.until(alice.session.settle())).toEqual([]);
    expect(await own.epoch()).toBe(1n);
  });
});

describe("what waits in a queue", () => {
  it("is held back, and comes later, also to a client that asks only for what follows", async () => {
    const { clock, network: bad, faulty, send } = await aliceAndBob({ held: 1 });
    await send("one", "two");
    expect(await clock.until(faulty.pull("bob"))).toEqual([]);
    bad.calm();
    const [, two] = await clock.until(faulty.pull("bob"));
    expect(await clock.until(faulty.pull("bob", { after: two!.cursor }))).toEqual([]);
    await send("three");
    expect(await clock.until(faulty.pull("bob", { after: two!.cursor }))).toHaveLength(1);
  });

  it("comes in another order, and is acknowledged one by one", async () => {
    const { clock, network: bad, honest, faulty, send } = await aliceAndBob({ reordered: 1 });
    await send("one", "two", "three", "four");
    const inOrder = await honest.pull("bob");
    const mixed = await clock.until(faulty.pull("bob"));
    expect(mixed).not.toEqual(inOrder);
    expect([...mixed].sort((a, b) => a.cursor - b.cursor)).toEqual(inOrder);
    await clock.until(faulty.acknowledge("bob", inOrder[2]!.cursor));
    bad.calm();
    expect(await clock.until(faulty.pull("bob"))).toEqual([inOrder[0], inOrder[1], inOrder[3]]);
    for (const { cursor } of inOrder) await clock.until(faulty.acknowledge("bob", cursor));
    expect(await honest.pull("bob")).toEqual([]);
  });

  it("never comes further ahead than five places", async () => {
    const { clock, honest, faulty, send } = await aliceAndBob({ reordered: 1 });
    await send("one", "two", "three", "four", "five", "six", "seven");
    const first = (await honest.pull("bob")).slice(0, 5).map(({ cursor }) => cursor);
    const handed = (await clock.until(faulty.pull("bob"))).map(({ cursor }) => cursor);
    expect(handed.sort((a, b) => a - b)).toEqual(first);
  });

  it("comes twice, which the session knows", async () => {
    const { clock, faulty, bob, send } = await aliceAndBob({ repeated: 1 });
    await send("one");
    const handed = await clock.until(faulty.pull("bob"));
    expect(handed).toHaveLength(2);
    const received = await bob.session.receive(handed.map((entry) => entry.bytes));
    expect(received).toMatchObject([{ type: "message" }, { type: "ignored", why: "duplicate" }]);
  });

  it("comes after a copy that was tampered with, which acknowledges nothing", async () => {
    const { clock, network: bad, faulty, bob, send } = await aliceAndBob({ tampered: 1 });
    await send("one");
    const [copy, genuine] = await clock.until(faulty.pull("bob"));
    expect(copy!.bytes).not.toEqual(genuine!.bytes);
    expect(await bob.session.receive(copy!.bytes)).not.toMatchObject([{ type: "message" }]);
    bad.calm();
    await clock.until(faulty.acknowledge("bob", copy!.cursor));
    expect(await clock.until(faulty.pull("bob"))).toEqual([genuine]);
    expect(await bob.session.receive(genuine!.bytes)).toMatchObject([{ type: "message" }]);
  });

  it("is waited for by the simulated clock, until the signal", async () => {
    const { clock, faulty, send } = await aliceAndBob({ delayMs: 10 });
    const controller = new AbortController();
    const came: number[] = [];
    const following = async (): Promise<void> => {
      for await (const { cursor } of follow(faulty, "bob", { signal: controller.signal })) came.push(cursor);
    };
    const ended = following();
    await clock.until(clock.sleep(20_000));
    await send("one", "two");
    await clock.until(clock.sleep(1_000));
    expect(came).toHaveLength(2);
    controller.abort();
    await clock.until(ended);
  });
});
