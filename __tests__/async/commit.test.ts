import type { MlsTransport } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { breakDown, loseAnswer, sayAbort, sayNothing, sayRetry, Server, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);

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
});

describe("retry", () => {
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

  it("asks for what the server has from the oldest epoch on that can still be read", async () => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const asked: bigint[] = [];
    const transport = server.transport("bob");
    const fetchMessages: MlsTransport["fetchMessages"] = async (id, fromEpoch, signal) => {
      asked.push(fromEpoch);
      return transport.fetchMessages!(id, fromEpoch, signal);
    };
    const bob = await Person.comes("bob", server, {
      deliver: () => {},
      transport: { ...transport, fetchMessages },
    });
    await alice.creates("team", bob);
    for (let epoch = 1; epoch <= 8; epoch++) {
      await alice.session.conversation("team").updateKeys();
      await bob.session.conversation("team").updateKeys();
      await alice.reads("team");
    }
    // Bob came in epoch 1; five epochs that are over can be read. What brought a new epoch is
    // followed by one more question.
    expect(asked).toEqual([1n, 1n, 1n, 1n, 1n, 1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n]);
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
    // Four epochs on: with a commit of her own, the first words could just be read there.
    await clock.waitedFor(5_000);
    expect(await team.epoch()).toBe(5n);
    expect(await alice.hears("team")).toEqual(["first words"]);
    await clock.pass(100);
    expect(await update).toMatchObject({ outcome: "merged", epoch: 10n, attempts: 2 });
    expect(server.sends.at(-1)!.context.epoch).toBe(9n);
  });
});

describe("abort", () => {
  it("shows the server's words as one short line", async () => {
    const { server, team } = await aliceAndBob();
    server.next(() => ({ status: "abort", reason: `two\nlines\u0007 and ${"very ".repeat(100)}long` }));
    const { message } = await expectCode(team.updateKeys(), "COMMIT_REJECTED");
    expect(message).toContain("two lines and very");
    expect(message).not.toMatch(/\p{C}/u);
    expect(message.length).toBeLessThan(300);
  });
});

describe("an unknown outcome", () => {
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

  it("of an earlier commit that stays open is what the next one rejects with", async () => {
    const { server, alice, team } = await aliceAndBob();
    server.next(breakDown, breakDown);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    const error = await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    expect(error.message).toContain("earlier commit");
    expect(error.context.earlier).toBe(true);
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
});

describe("the caller's signal", () => {
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
  it("a foreign commit while the transport is asked makes it build anew after the answer", async () => {
    const { server, clock, alice, bob, team } = await aliceAndBob();
    server.next(async (sent) => {
      await bob.session.conversation("team").updateKeys();
      await alice.reads("team");
      return server.take(sent);
    });
    const update = team.updateKeys();
    await clock.pass(100);
    expect(await update).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
  });
});

it("a conversation that removed this client is replaced by one created under its name", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const carol = await Person.comes("carol", server);
  const bobs = await bob.creates("team", alice);
  await bobs.removeMembers(["alice"]);
  await alice.reads("team");
  const team = alice.session.conversation("team");
  expect(await team.active()).toBe(false);
  // A server that believes her: to this one it would be another commit of an epoch that is over.
  server.nextFrom("alice", () => ({ status: "success" }));
  const members = [await carol.keyPackage()];
  await alice.session.createConversation("team", { credential: alice.credential, members });
  expect([await team.active(), await team.epoch()]).toEqual([true, 1n]);
  const { conversation } = await carol.session.joinByWelcome(server.sends.at(-1)!.bundle.welcome!);
  expect(await carol.session.receive(await team.encrypt(bytes("hello")))).toMatchObject([{ type: "message" }]);
  expect(await conversation.epochAuthenticator()).toEqual(await team.epochAuthenticator());
});

it("a conversation that removed this client is still told of when the one to replace it was refused", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const bobs = await bob.creates("team", alice);
  await bobs.removeMembers(["alice"]);
  await alice.reads("team");
  server.nextFrom("alice", sayAbort);
  await expectCode(alice.creates("team", bob), "COMMIT_REJECTED");
  expect(await alice.session.conversations()).toEqual(["team"]);
  expect(await alice.session.conversation("team").active()).toBe(false);
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
