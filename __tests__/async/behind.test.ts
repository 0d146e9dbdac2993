import { type MlsConversation, MlsError, type Received } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person, text } from "../support/people.js";
import { sayRetry, Server, type Whim } from "../support/server.js";
import { settled } from "../support/teams.js";

afterEach(everybodyLeaves);

const BEHIND = 30;
const words = Array.from({ length: BEHIND }, (_, number) => `no. ${number}`);
const texts = (received: readonly Received[]): string[] =>
  received.flatMap((one) => (one.type === "message" ? [text(one.plaintext)] : []));

/**
 * Alice, and bob, who has spoken and committed thirty times since she has last received something.
 */
async function scene({ fetch = false, deliver = false, behind = BEHIND } = {}) {
  const server = new Server();
  const clock = new FakeClock();
  const delivered: Received[] = [];
  const how = deliver ? { deliver: (received: readonly Received[]) => void delivered.push(...received) } : {};
  const alice = await Person.comes("alice", server, { clock, fetch, ...how });
  const bob = await Person.comes("bob", server, { clock });
  const team = await alice.creates("team", bob);
  const bobs = bob.session.conversation("team");
  for (const word of words.slice(0, behind)) {
    await bob.says("team", word);
    await bobs.updateKeys();
  }
  const alicesSends = () => server.sends.filter(({ from, context }) => from === "alice" && context.epoch > 0n);
  /**
   * Her application receives what the server has, one after the other, with so many milliseconds in
   * between.
   */
  const receivesAll = async (pause = 0): Promise<string[]> => {
    const heard: string[] = [];
    for (const message of server.log("team").slice()) {
      if (pause > 0) await clock.sleep(pause);
      heard.push(...texts(await alice.session.receive(message)));
    }
    return heard;
  };
  return { server, clock, delivered, alice, bob, team, bobs, alicesSends, receivesAll };
}

/** She has sent once for an epoch that is over, and once for the newest. */
async function committedOnce({ alicesSends, alice, bob, team, bobs }: Awaited<ReturnType<typeof scene>>) {
  expect(alicesSends()).toHaveLength(2);
  expect(alicesSends().at(-1)!.context.epoch).toBe(BigInt(BEHIND + 1));
  expect(await alice.session.unsettledCommits()).toEqual([]);
  await bob.reads("team");
  expect(await bobs.epochAuthenticator()).toEqual(await team.epochAuthenticator());
}

const done = { outcome: "merged", attempts: 2, epoch: BigInt(BEHIND + 2) };

describe(`a client that is ${BEHIND} commits behind catches up, and then commits once`, () => {
  it("by fetchMessages, with deliver", async () => {
    const there = await scene({ fetch: true, deliver: true });
    expect(await there.clock.until(there.team.updateKeys())).toMatchObject(done);
    expect(texts(there.delivered)).toEqual(words);
    await committedOnce(there);
  });

  it("by fetchMessages, when the server hands out its log page by page", async () => {
    const there = await scene({ fetch: true, deliver: true });
    const { server, clock, team } = there;
    let pages = 0;
    server.onFetch = () => Promise.resolve(server.log("team").slice(0, 12 * ++pages));
    expect(await clock.until(team.updateKeys())).toMatchObject(done);
    await committedOnce(there);
  });

  it("when others go on committing while it catches up", async () => {
    const { server, clock, team, bobs, alicesSends } = await scene({ fetch: true, deliver: true });
    let more = 5;
    server.onFetch = async () => {
      const log = server.log("team").slice();
      if (more-- > 0) await bobs.updateKeys();
      return log;
    };
    expect(await clock.until(team.updateKeys())).toMatchObject({ outcome: "merged", attempts: 2 });
    expect(alicesSends().map(({ context }) => context.epoch)).toEqual([1n, BigInt(BEHIND + 6)]);
  });

  it.each([0, 40])("by fetchMessages, while its application receives every %d ms, without deliver", async (pause) => {
    const there = await scene({ fetch: true });
    const { clock, team, receivesAll } = there;
    const update = team.updateKeys();
    const [heard, result] = await clock.until(Promise.all([receivesAll(pause), update]));
    expect(heard).toEqual(words);
    expect(result).toMatchObject(done);
    await committedOnce(there);
  });

  it.each([
    [0, "without deliver", false],
    [40, "without deliver", false],
    [0, "with deliver", true],
    [40, "with deliver", true],
  ])("from a server that only pushes, while its application receives every %d ms, %s", async (pause, _, deliver) => {
    const there = await scene({ deliver });
    const { clock, team, receivesAll } = there;
    const update = team.updateKeys();
    const [heard, result] = await clock.until(Promise.all([receivesAll(pause), update]));
    expect(heard).toEqual(words);
    expect(result).toMatchObject(done);
    await committedOnce(there);
  });
});

describe("without deliver, when the application does not receive", () => {
  it("the call is CONVERSATION_BEHIND after a while, nothing is open and nothing lost", async () => {
    const there = await scene({ fetch: true });
    const { alice, clock, team, alicesSends, receivesAll } = there;
    const before = clock.now();
    const error = await expectCode(clock.until(team.updateKeys()), "CONVERSATION_BEHIND");
    expect(error.retryable).toBe(true);
    expect(error.context).toEqual({ conversationId: "team", epoch: "5" });
    expect(clock.now() - before).toBe(5_000);
    expect(alicesSends()).toHaveLength(1);
    expect(await alice.session.unsettledCommits()).toEqual([]);
    // Called once more it knows before it sends anything.
    await expectCode(clock.until(team.updateKeys()), "CONVERSATION_BEHIND");
    expect(alicesSends()).toHaveLength(1);
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(await receivesAll()).toEqual(words);
    expect(await clock.until(team.updateKeys())).toMatchObject({ outcome: "merged", attempts: 1 });
    await committedOnce(there);
  });

  it("the call waits as long as the application gets on, and no longer", async () => {
    const { alice, server, clock, team } = await scene({ fetch: true });
    const update = expectCode(team.updateKeys(), "CONVERSATION_BEHIND");
    await clock.waitedFor(5_000);
    for (const message of server.log("team").slice(0, 9)) {
      clock.advance(4_000);
      await alice.session.receive(message);
      await clock.pass(100);
      await clock.waitedFor(5_000);
    }
    clock.advance(5_000);
    await update;
  });

  it("a message that cannot be judged yet is no progress", async () => {
    const { alice, server, clock, team } = await scene({ fetch: true });
    const update = expectCode(team.updateKeys(), "CONVERSATION_BEHIND");
    await clock.waitedFor(5_000);
    clock.advance(4_999);
    expect(await alice.session.receive(server.log("team").at(-2)!)).toMatchObject([{ type: "waiting" }]);
    clock.advance(1);
    await update;
  });

  it("the signal ends the wait, and nothing is open", async () => {
    const { alice, clock, team, alicesSends } = await scene({ fetch: true });
    const abort = new AbortController();
    const update = expectCode(team.updateKeys({ signal: abort.signal }), "ABORTED");
    await clock.waitedFor(5_000);
    abort.abort();
    await update;
    expect(clock.delays).toEqual([]);
    expect(alicesSends()).toHaveLength(1);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("the end of the session ends the wait", async () => {
    const { alice, clock, team } = await scene({ fetch: true });
    const update = expectCode(team.updateKeys(), "SESSION_CLOSED");
    await clock.waitedFor(5_000);
    await alice.session.close();
    await update;
    expect(clock.delays).toEqual([]);
  });

  it("a transaction gives up its turn while it waits", async () => {
    const { alice, clock, receivesAll } = await scene({ fetch: true });
    const inside = alice.session.transaction((tx) => tx.conversation("team").updateKeys());
    await clock.waitedFor(5_000);
    const [heard, result] = await clock.until(Promise.all([receivesAll(), inside]));
    expect(heard).toEqual(words);
    expect(result).toMatchObject(done);
  });

  it("a commit that was sent where nothing more can be read stays open, and is settled by what is received", async () => {
    const { server, alice, clock, team, bobs, receivesAll } = await scene({ fetch: true, behind: 4 });
    server.nextFrom("alice", sayRetry);
    await clock.until(team.updateKeys()); // Read ahead as far as it may, and merged its own on top.
    const told = settled(alice);
    const faster: Whim = async (sent) => {
      await bobs.updateKeys();
      return server.take(sent);
    };
    server.nextFrom("alice", faster);
    const error = await expectCode(clock.until(team.updateKeys()), "RETRY_EXHAUSTED");
    expect(error.message).toContain("Receive");
    expect(await alice.session.unsettledCommits()).toMatchObject([{ epoch: 6n, why: "exhausted" }]);
    expect(await receivesAll()).toEqual(words.slice(0, 4)); // Nothing is lost by what was read ahead.
    expect(told).toMatchObject([{ outcome: "lost" }]);
    expect(await clock.until(team.updateKeys())).toMatchObject({ outcome: "merged", attempts: 1 });
  });
});

describe("a commit to which others were faster in every attempt", () => {
  it("is COMMIT_LOST with what it was to do, and nothing is open", async () => {
    const { server, alice, clock, team, bobs } = await scene({ fetch: true, deliver: true, behind: 0 });
    const dave = await Person.comes("dave", server);
    const faster: Whim = async (sent) => {
      await bobs.updateKeys();
      return server.take(sent);
    };
    const events: unknown[] = [];
    alice.session.on("commitUnsettled", (event) => events.push(event));
    alice.session.on("commitSettled", (event) => events.push(event));
    server.nextFrom("alice", faster, faster);
    const inviting = team.addMembers([await dave.keyPackage()], { attempts: 2 });
    const error = await expectCode(clock.until(inviting), "COMMIT_LOST");
    const { context } = error;
    expect(context).toMatchObject({ conversationId: "team", epoch: "3", attempt: 2 });
    expect(context.intent).toEqual({
      added: [
        {
          clientId: "dave",
          leafIndex: 2,
          signatureKey: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
          credentialType: "basic",
        },
      ],
      removed: [],
      updated: [],
      other: [],
    });
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ code: "COMMIT_LOST", retryable: true, context });
    expect(structuredClone(context)).toEqual(context);
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(events).toEqual([]);
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  });

  it("from outside, too", async () => {
    const server = new Server();
    const [alice, bob, dave] = await Promise.all(
      ["alice", "bob", "dave"].map((name) => Person.comes(name, server, { clock: new FakeClock() })),
    );
    await alice!.opens("team", bob!);
    server.nextFrom("dave", async (sent) => {
      await alice!.session.conversation("team").updateKeys();
      return server.take(sent);
    });
    const { context } = await expectCode(dave!.joinsFromOutside("team", { attempts: 1 }), "COMMIT_LOST");
    expect(context.intent?.added).toMatchObject([{ clientId: "dave" }]);
    expect(await dave!.session.unsettledCommits()).toEqual([]);
    await dave!.joinsFromOutside("team");
  });
});

it("of commits that many make at the same time each is applied, or told to be lost", async () => {
  const server = new Server();
  const names = ["alice", "bob", "carol", "dave", "erin", "frank"];
  const people = await Promise.all(
    names.map((name, place) => Person.comes(name, server, place % 2 === 0 ? { deliver: () => {} } : {})),
  );
  const [alice, ...others] = people;
  await alice!.creates("team", ...others);
  const outcomes: string[] = [];
  const commits = async (team: MlsConversation): Promise<void> => {
    for (let round = 0; round < 5; round += 1) {
      const outcome = await team.updateKeys({ attempts: 3 }).then(
        (result) => result.outcome,
        (error: unknown) => (MlsError.is(error) ? error.code : String(error)),
      );
      outcomes.push(outcome);
    }
  };
  let going = true;
  const reads = async (person: Person): Promise<void> => {
    while (going) {
      await person.reads("team");
      await new Promise((resolve) => void setImmediate(resolve));
    }
    await person.reads("team");
  };
  const reading = Promise.all(people.map(reads));
  await Promise.all(people.map(({ session }) => commits(session.conversation("team"))));
  going = false;
  await reading;
  expect(outcomes).toHaveLength(30);
  expect(outcomes.filter((outcome) => outcome !== "merged" && outcome !== "COMMIT_LOST")).toEqual([]);
  const merged = outcomes.filter((outcome) => outcome === "merged").length;
  for (const { session } of people) {
    expect(await session.unsettledCommits()).toEqual([]);
    expect(await session.conversation("team").epoch()).toBe(BigInt(1 + merged));
  }
});
