import { type CommitResult, Database, DatabaseKey, type MlsTransportResponse } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { breakDown, loseAnswer, sayAbort, sayNothing, sayRetry, Server, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

/** Alice, who has no fetchMessages, and Bob in a conversation, with a clock that the test moves. */
async function aliceAndBob({ fetch = false } = {}) {
  const server = new Server();
  const clock = new FakeClock();
  const alice = await Person.comes("alice", server, { clock, fetch });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  return { server, clock, alice, bob, team };
}

describe("success", () => {
  it("merges, and says what changed", async () => {
    const { alice, bob, team } = await aliceAndBob();
    const result = await team.updateKeys();
    expect(result).toMatchObject({ outcome: "merged", epoch: 2n, attempts: 1 });
    expect(result.change.updated.map(({ clientId }) => clientId)).toEqual(["alice"]);
    await bob.reads("team");
    await alice.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it("shows the transport everything that a server needs", async () => {
    const { server, alice, team } = await aliceAndBob();
    const carol = await Person.comes("carol", server);
    await team.addMembers([await carol.keyPackage()]);
    const { bundle, context } = server.sends.at(-1)!;
    expect(bundle.commit.length).toBeGreaterThan(0);
    expect(bundle.welcome!.length).toBeGreaterThan(0);
    expect(bundle.groupInfo.length).toBeGreaterThan(0);
    expect(context).toMatchObject({ conversationId: "team", epoch: 1n, attempt: 1 });
    expect(context.commitId).toMatch(/^[0-9a-f]{64}$/);
    expect(context.welcomeTo.map(({ clientId }) => clientId)).toEqual(["carol"]);
    expect(context.change.added.map(({ clientId }) => clientId)).toEqual(["carol"]);
    expect(context.signal.aborted).toBe(false);
    await carol.joins();
    expect(await carol.sees("team")).toEqual(await alice.sees("team"));
  });

  it("that contradicts what was received is STATE_DIVERGED", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    server.next(async () => {
      await bob.session.conversation("team").updateKeys();
      await alice.reads("team");
      return { status: "success" };
    });
    await expectCode(team.updateKeys(), "STATE_DIVERGED");
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("of a commit that came back before the answer is taken as it is", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next(async (sent) => {
      server.take(sent);
      await alice.reads("team");
      return { status: "success" };
    });
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 2n });
  });
});

describe("retry", () => {
  it("sends the same bytes again after a pause", async () => {
    const { server, clock, team } = await aliceAndBob();
    server.next(sayRetry, sayRetry);
    const update = team.updateKeys();
    await clock.pass(125);
    await clock.pass(250);
    expect(await update).toMatchObject({ outcome: "merged", attempts: 3 });
    const sends = server.sends.slice(-3);
    expect(new Set(sends.map(({ context }) => context.commitId)).size).toBe(1);
    expect(sends.map(({ context }) => context.attempt)).toEqual([1, 2, 3]);
    expect(sends[2]!.bundle).toEqual(sends[0]!.bundle);
  });

  it("waits as long as the server says", async () => {
    const { server, clock, team } = await aliceAndBob();
    server.next(() => ({ status: "retry", afterMs: 7_000 }));
    const update = team.updateKeys();
    await clock.waitedFor(7_000);
    clock.advance(6_999);
    expect(server.sends).toHaveLength(2);
    clock.advance(1);
    expect(await update).toMatchObject({ attempts: 2 });
  });

  it("ends the pause when the application receives the commit that was faster, and builds anew", async () => {
    const { server, clock, alice, bob, team } = await aliceAndBob();
    const carol = await Person.comes("carol", server);
    await bob.session.conversation("team").updateKeys();
    const adding = team.addMembers([await carol.keyPackage()]);
    await clock.waitedFor(125);
    await alice.reads("team");
    expect(await adding).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
    const [lost, won] = server.sends.slice(-2);
    expect(won!.context).toMatchObject({ epoch: 2n, attempt: 1 });
    expect(won!.context.commitId).not.toBe(lost!.context.commitId);
    await carol.joins();
    await carol.says("team", "hello");
    expect(await alice.hears("team")).toEqual(["hello"]);
  });

  it("catches up by itself when the transport can be asked, leaving messages to the application", async () => {
    const { server, clock, alice, bob, team } = await aliceAndBob({ fetch: true });
    await bob.says("team", "before");
    await bob.session.conversation("team").updateKeys();
    await bob.says("team", "after");
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
    expect(clock.delays).toEqual([]);
    expect(await alice.hears("team")).toEqual(["before", "after"]);
    expect(server.sends.slice(-2).map(({ context }) => context.epoch)).toEqual([1n, 2n]);
  });

  it("finds its own commit in the log when the answer was wrong", async () => {
    const { server, team } = await aliceAndBob({ fetch: true });
    server.next((sent) => {
      server.take(sent);
      return { status: "retry" };
    });
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", attempts: 1 });
  });

  it("is already-applied when somebody else did the same", async () => {
    const { alice, bob, server } = await aliceAndBob({ fetch: true });
    const carol = await Person.comes("carol", server);
    const keyPackage = await carol.keyPackage();
    await bob.session.conversation("team").addMembers([keyPackage]);
    const result = await alice.session.conversation("team").addMembers([keyPackage]);
    expect(result).toMatchObject({ outcome: "already-applied", epoch: 2n, attempts: 1 });
    expect(result.change).toEqual({ added: [], removed: [], updated: [] });
  });

  it("without end is RETRY_EXHAUSTED, and leaves the commit unsettled", async () => {
    const { server, clock, alice, team } = await aliceAndBob();
    const unsettled: unknown[] = [];
    alice.session.on("commitUnsettled", (commit) => unsettled.push(commit));
    server.next(sayRetry, sayRetry, sayRetry);
    const update = team.updateKeys({ attempts: 3 });
    await clock.pass(125);
    await clock.pass(250);
    const error = await expectCode(update, "RETRY_EXHAUSTED");
    expect(error.context).toMatchObject({ conversationId: "team", epoch: "1", attempt: 3 });
    const open = await alice.session.unsettledCommits();
    expect(open).toMatchObject([{ conversationId: "team", epoch: 1n, why: "exhausted" }]);
    expect(unsettled).toEqual(open);
  });

  it("that loses every time ends with RETRY_EXHAUSTED and nothing left open", async () => {
    const { server, alice, bob, team } = await aliceAndBob({ fetch: true });
    const bobIsFaster: Whim = async (sent) => {
      await bob.reads("team");
      await bob.session.conversation("team").updateKeys();
      return server.take(sent);
    };
    server.next(
      bobIsFaster,
      (sent) => server.take(sent),
      bobIsFaster,
      (sent) => server.take(sent),
    );
    await expectCode(team.updateKeys({ attempts: 2 }), "RETRY_EXHAUSTED");
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(await alice.session.conversation("team").updateKeys()).toMatchObject({ outcome: "merged" });
  });

  it("goes on without what cannot be fetched", async () => {
    const server = new Server();
    const clock = new FakeClock();
    const transport = { ...server.transport("alice"), fetchMessages: () => Promise.reject(new Error("offline")) };
    const alice = await Person.comes("alice", server, { clock, transport });
    const team = await alice.creates("team");
    server.next(sayRetry);
    const update = team.updateKeys();
    await clock.pass(125);
    expect(await update).toMatchObject({ attempts: 2 });
  });

  it("reads no further by itself than the application can still read", async () => {
    const { server, clock, alice, bob, team } = await aliceAndBob({ fetch: true });
    await bob.says("team", "first words");
    for (let epoch = 1; epoch <= 8; epoch++) await bob.session.conversation("team").updateKeys();
    const update = team.updateKeys({ attempts: 4 });
    // Five epochs on: there the first words can still be read, one further they could not.
    await clock.waitedFor(125);
    expect(await team.epoch()).toBe(6n);
    expect(await alice.hears("team")).toEqual(["first words"]);
    expect(await update).toMatchObject({ outcome: "merged", epoch: 10n });
    expect(server.sends.at(-1)!.context.epoch).toBe(9n);
  });
});

describe("abort", () => {
  it("clears the commit and rejects with the reason", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next(sayAbort);
    const error = await expectCode(team.updateKeys(), "COMMIT_REJECTED");
    expect(error.message).toContain("not on my watch");
    expect(await team.epoch()).toBe(1n);
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 2n });
  });

  it("shows the server's words as one short line", async () => {
    const { server, team } = await aliceAndBob();
    server.next(() => ({ status: "abort", reason: `two\nlines\u0007 and ${"very ".repeat(100)}long` }));
    const { message } = await expectCode(team.updateKeys(), "COMMIT_REJECTED");
    expect(message).toContain("two lines and very");
    expect(message).not.toMatch(/\p{C}/u);
    expect(message.length).toBeLessThan(300);
  });

  it("of a creation takes the conversation along", async () => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const bob = await Person.comes("bob", server);
    server.next(sayAbort);
    await expectCode(alice.creates("team", bob), "COMMIT_REJECTED");
    expect(await alice.session.conversations()).toEqual([]);
    await alice.creates("team", bob);
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  });
});

describe("an unknown outcome", () => {
  const unknown: [string, Whim][] = [
    ["a thrown error", breakDown],
    ["a lost answer", loseAnswer],
    ["nonsense", () => ({ status: "maybe" }) as unknown as MlsTransportResponse],
  ];
  it.each(unknown)("after %s keeps the commit open until it settles", async (_, whim) => {
    const { server, alice, bob, team } = await aliceAndBob();
    const settled: unknown[] = [];
    alice.session.on("commitSettled", (event) => settled.push(event));
    server.next(whim);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    expect(await alice.session.unsettledCommits()).toMatchObject([
      { conversationId: "team", epoch: 1n, why: "unknown" },
    ]);
    expect(await team.epoch()).toBe(1n);
    expect(await alice.session.settle()).toEqual([]);
    expect(await team.epoch()).toBe(2n);
    expect(settled).toMatchObject([{ conversationId: "team", outcome: "merged" }]);
    const [sent, again] = server.sends.slice(-2);
    expect(again!.context).toMatchObject({ commitId: sent!.context.commitId, attempt: 2 });
    await alice.says("team", "still here");
    expect(await bob.hears("team")).toEqual(["still here"]);
  });

  it("comes after sendTimeoutMs when the transport never answers", async () => {
    const { server, clock, alice, team } = await aliceAndBob();
    server.next(sayNothing);
    const update = team.updateKeys();
    await clock.pass(30_000);
    const error = await expectCode(update, "COMMIT_OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ name: "TimeoutError" });
    expect(server.sends.at(-1)!.context.signal.aborted).toBe(true);
    expect(await alice.session.unsettledCommits()).toHaveLength(1);
  });

  it("settles by its own echo", async () => {
    const { server, alice, team } = await aliceAndBob();
    const settled: unknown[] = [];
    alice.session.on("commitSettled", (event) => settled.push(event));
    server.next(loseAnswer);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await alice.reads("team");
    expect(settled).toMatchObject([{ outcome: "merged", intent: { updated: [{ clientId: "alice" }] } }]);
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(await team.epoch()).toBe(2n);
  });

  it("settles as lost by another commit of its epoch", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const settled: unknown[] = [];
    alice.session.on("commitSettled", (event) => settled.push(event));
    server.next(breakDown);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await bob.session.conversation("team").updateKeys();
    await alice.reads("team");
    expect(settled).toMatchObject([{ outcome: "lost" }]);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("is settled by the next commit of the conversation before that is made", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const carol = await Person.comes("carol", server);
    server.next(loseAnswer);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    expect(await team.addMembers([await carol.keyPackage()])).toMatchObject({
      outcome: "merged",
      epoch: 3n,
      attempts: 1,
    });
    await bob.reads("team");
    expect(await bob.sees("team")).toEqual(await alice.sees("team"));
  });

  it("of an earlier commit that stays open is what the next one rejects with", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next(breakDown, breakDown);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    const error = await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    expect(error.message).toContain("earlier commit");
    expect(await alice.session.unsettledCommits()).toHaveLength(1);
  });

  it("has nothing left to settle when the conversation is wiped meanwhile", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const choir = await alice.creates("choir", bob);
    server.next(breakDown, breakDown);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await expectCode(choir.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    const wipe: Whim = async (sent) => {
      await alice.session.conversation(sent.context.conversationId).wipe();
      return server.take(sent);
    };
    server.next(wipe);
    expect(await alice.session.settle()).toEqual([]);
    expect((await alice.session.conversations()).length).toBe(1);
  });

  it("is CONVERSATION_NOT_FOUND when the conversation is wiped between two sends", async () => {
    const { server, clock, team } = await aliceAndBob();
    server.next(sayRetry);
    const update = expectCode(team.updateKeys(), "CONVERSATION_NOT_FOUND");
    await clock.waitedFor(125);
    await team.wipe();
    clock.advance(125);
    await update;
  });

  it.each([
    ["told to retry", sayRetry],
    ["accepted", (sent, server) => server.take(sent)],
  ] satisfies [string, Whim][])(
    "is CONVERSATION_NOT_FOUND when it was wiped, joined again, and then %s",
    async (_answer, whim) => {
      const { server, clock, alice, bob, team } = await aliceAndBob();
      server.next(async (sent) => {
        const answer = whim(sent, server);
        await bob.reads("team");
        await team.wipe();
        await bob.session.conversation("team").removeMembers(["alice"]);
        await bob.session.conversation("team").addMembers([await alice.keyPackage()]);
        await alice.joins();
        return answer;
      });
      const update = expectCode(team.updateKeys(), "CONVERSATION_NOT_FOUND");
      if (whim === sayRetry) await clock.pass(125);
      await update;
      await team.updateKeys();
      await bob.reads("team");
      expect(await team.epochAuthenticator()).toEqual(await bob.session.conversation("team").epochAuthenticator());
    },
  );

  it("of a creation keeps the conversation, in which nobody could read yet", async () => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const bob = await Person.comes("bob", server);
    server.next(loseAnswer);
    await expectCode(alice.creates("team", bob), "COMMIT_OUTCOME_UNKNOWN");
    expect(await alice.session.conversations()).toEqual(["team"]);
    const team = alice.session.conversation("team");
    expect(await team.epoch()).toBe(0n);
    expect(await alice.sees("team")).toEqual(["alice"]);
    await expectCode(team.encrypt(bytes("hello?")), "COMMIT_OUTCOME_UNKNOWN");
    expect(await alice.session.settle()).toEqual([]);
    await bob.joins();
    await alice.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it("is found again after a restart, and counts on", async () => {
    const server = new Server();
    const key = DatabaseKey.generate();
    const path = await freshPath();
    const bob = await Person.comes("bob", server);
    const before = await Person.comes("alice", server, { database: await Database.open(path, key) });
    const team = await before.creates("team", bob);
    server.next(sayNothing);
    const update = expectCode(team.updateKeys(), "SESSION_CLOSED");
    await server.sent(2);
    await before.session.close();
    await update;
    expect(server.sends.at(-1)!.context.signal.aborted).toBe(true);

    const after = await Person.comes("alice", server, { database: await Database.open(path, key) });
    expect(await after.session.unsettledCommits()).toMatchObject([
      { conversationId: "team", epoch: 1n, why: "restart", intent: { updated: [{ clientId: "alice" }] } },
    ]);
    expect(await after.session.settle()).toEqual([]);
    const [sent, again] = server.sends.slice(-2);
    expect(again!.bundle).toEqual(sent!.bundle);
    expect(again!.context).toMatchObject({ commitId: sent!.context.commitId, attempt: 2 });
    await after.says("team", "back again");
    expect(await bob.hears("team")).toEqual(["back again"]);
  });
});

describe("the caller's signal", () => {
  it("aborted beforehand leaves nothing", async () => {
    const { server, alice, team } = await aliceAndBob();
    await expectCode(team.updateKeys({ signal: AbortSignal.abort() }), "ABORTED");
    expect(server.sends).toHaveLength(1);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("aborted while an earlier commit is on its way leaves nothing", async () => {
    const { server, alice, team } = await aliceAndBob();
    let answer!: (response: MlsTransportResponse) => void;
    server.next((sent) => new Promise((resolve) => (answer = () => resolve(server.take(sent)))));
    const first = team.updateKeys();
    await server.sent(2);
    const abort = new AbortController();
    const second = team.updateKeys({ signal: abort.signal });
    abort.abort();
    await expectCode(second, "ABORTED");
    answer({ status: "success" });
    expect(await first).toMatchObject({ outcome: "merged" });
    expect(server.sends).toHaveLength(2);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("aborted after the send leaves the outcome unknown", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next(sayNothing);
    const abort = new AbortController();
    const update = team.updateKeys({ signal: abort.signal });
    await server.sent(2);
    abort.abort(new Error("changed my mind"));
    const error = await expectCode(update, "COMMIT_OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ message: "changed my mind" });
    expect(server.sends.at(-1)!.context.signal.aborted).toBe(true);
    expect(await alice.session.unsettledCommits()).toMatchObject([{ why: "unknown" }]);
  });

  it("aborted during a pause leaves the outcome unknown at once", async () => {
    const { server, clock, alice, team } = await aliceAndBob();
    server.next(sayRetry);
    const abort = new AbortController();
    const update = team.updateKeys({ signal: abort.signal });
    await clock.waitedFor(125);
    abort.abort();
    await expectCode(update, "COMMIT_OUTCOME_UNKNOWN");
    expect(clock.delays).toEqual([]);
    expect(await alice.session.unsettledCommits()).toHaveLength(1);
  });
});

describe("own echo and answer", () => {
  it("the echo resolves the call while the transport is still asked, and does not abort it", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next((sent) => {
      server.take(sent);
      return new Promise(() => {});
    });
    const update = team.updateKeys();
    await server.sent(2);
    await alice.reads("team");
    expect(await update).toMatchObject({ outcome: "merged", epoch: 2n, attempts: 1 });
    expect(server.sends.at(-1)!.context.signal.aborted).toBe(false);
  });

  it("an echo before a broken connection wins", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next(async (sent) => {
      server.take(sent);
      await alice.reads("team");
      throw new Error("connection reset");
    });
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged" });
  });

  it("a foreign commit while the transport is asked makes it build anew after the answer", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    server.next(async (sent) => {
      await bob.session.conversation("team").updateKeys();
      await alice.reads("team");
      return server.take(sent);
    });
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
  });

  it("tells conversationChanged once, whichever is first", async () => {
    const { server, alice, team } = await aliceAndBob();
    const changes: unknown[] = [];
    alice.session.on("conversationChanged", ({ epoch, cause }) => changes.push([epoch, cause]));
    server.next(async (sent) => {
      const answer = server.take(sent);
      await alice.reads("team");
      return answer;
    });
    await team.updateKeys();
    await team.updateKeys();
    await alice.reads("team");
    expect(changes).toEqual([
      [2n, "own"],
      [3n, "own"],
    ]);
  });
});

describe("several commits", () => {
  it("of one conversation go one after the other, in the order of the calls", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const others = await Promise.all(["carol", "dave", "erin"].map((name) => Person.comes(name, server)));
    const keyPackages = await Promise.all(others.map((other) => other.keyPackage()));
    const results = await Promise.all(keyPackages.map((keyPackage) => team.addMembers([keyPackage])));
    expect(results.map(({ epoch }: CommitResult) => epoch)).toEqual([2n, 3n, 4n]);
    const order = server.sends.slice(1).map(({ context }) => context.change.added[0]!.clientId);
    expect(order).toEqual(["carol", "dave", "erin"]);
    await bob.reads("team");
    expect(await bob.sees("team")).toEqual(await alice.sees("team"));
  });

  it("of different conversations do not wait for each other", async () => {
    const { server, alice, team } = await aliceAndBob();
    const other = await alice.creates("other");
    server.next(sayNothing);
    void team.updateKeys().catch(() => {});
    await server.sent(2);
    expect(await other.updateKeys()).toMatchObject({ outcome: "merged" });
  });

  it("let messages of the conversation through while one is on its way", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    let go!: () => void;
    server.next((sent) => new Promise((resolve) => (go = () => resolve(server.take(sent)))));
    const update = team.updateKeys();
    await server.sent(2);
    await alice.says("team", "meanwhile");
    await bob.says("team", "me too");
    expect(await alice.hears("team")).toEqual(["me too"]);
    expect(await bob.hears("team")).toEqual(["meanwhile"]);
    go();
    expect(await update).toMatchObject({ outcome: "merged" });
  });
});

it("a session without a transport refuses commits before anything is staged", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server, { transport: undefined });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team");
  await expectCode(team.updateKeys(), "TRANSPORT_MISSING");
  await expectCode(alice.creates("other", bob), "TRANSPORT_MISSING");
  expect(await alice.session.unsettledCommits()).toEqual([]);
  expect(await alice.session.conversations()).toEqual(["team"]);
});
