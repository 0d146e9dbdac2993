import { Database, DatabaseKey } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { Foreigner } from "../support/foreigner.js";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import {
  breakDown,
  loseAnswer,
  sayNothing,
  sayRetry,
  type Sent,
  type Server,
  takeAndSayRetry,
} from "../support/server.js";
import { openTeam, settled, told } from "../support/teams.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);
afterAll(cleanUp);

describe("somebody who joins from outside", () => {
  it("is a member for everybody, and reads and is read from there on", async () => {
    const { alice, bob, dave } = await openTeam();
    await alice.says("team", "before");
    const events = told(dave);
    const team = await dave.joinsFromOutside("team");
    expect(await team.epoch()).toBe(2n);
    expect(events).toMatchObject([{ conversationId: "team", epoch: 2n, active: true, cause: "joined" }]);
    expect(events[0]!.change.added.map(({ clientId }) => clientId).sort()).toEqual(["alice", "bob", "dave"]);

    const [before, commit] = await bob.reads("team");
    expect(before).toMatchObject({ type: "message" });
    expect(commit).toMatchObject({ type: "commit", by: "external", own: false, active: true });
    await alice.reads("team");
    expect(await alice.sees("team")).toEqual(["alice", "bob", "dave"]);
    await dave.says("team", "hello");
    await alice.says("team", "welcome");
    expect(await bob.hears("team")).toEqual(["hello", "welcome"]);
    expect(await dave.hears("team")).toEqual(["welcome"]);
    expect(await dave.sees("team")).toEqual(await bob.sees("team"));
  });

  it("is not there until the server has accepted it", async () => {
    const { server, dave } = await openTeam();
    server.next(async (sent) => {
      expect(await dave.session.conversations()).toEqual([]);
      await expectCode(dave.session.conversation("team").epoch(), "CONVERSATION_NOT_FOUND");
      expect(await dave.session.unsettledCommits()).toEqual([]);
      return server.take(sent);
    });
    await dave.joinsFromOutside("team");
    expect(await dave.session.conversations()).toEqual(["team"]);
  });

  it("builds it anew, from a fresh GroupInfo, when another commit was faster", async () => {
    const { server, clock, alice, bob, dave } = await openTeam();
    server.next(async (sent) => {
      await alice.session.conversation("team").updateKeys();
      return server.take(sent);
    });
    const joining = dave.joinsFromOutside("team");
    const team = await joining;
    expect(await team.epoch()).toBe(3n);
    const sends = server.sends.filter(({ from }) => from === "dave");
    expect(sends.map(({ context }) => [context.epoch, context.attempt])).toEqual([
      [1n, 1],
      [2n, 1],
    ]);
    await bob.reads("team");
    expect(await bob.sees("team")).toEqual(["alice", "bob", "dave"]);
    expect(clock.delays).toEqual([]);
  });

  it("finds its own bytes in the log where no newer GroupInfo can be had", async () => {
    const { server, clock } = await openTeam();
    const groupInfo = server.groupInfo("team");
    const transport = { ...server.transport("eve"), fetchGroupInfo: async () => groupInfo };
    const eve = await Person.comes("eve", server, { clock, transport });
    server.next(takeAndSayRetry);
    await eve.joinsFromOutside("team");
    expect(server.sends.filter(({ from }) => from === "eve")).toHaveLength(1);
    expect(clock.delays).toEqual([]);
  });

  it("finds its leaf in a newer GroupInfo where the log is for members only", async () => {
    const { server, dave } = await openTeam();
    const stranger = await Person.comes("eve", server, {
      transport: {
        ...server.transport("eve"),
        fetchMessages: async () => Promise.reject(new Error("members only")),
      },
    });
    server.next(takeAndSayRetry);
    const team = await stranger.joinsFromOutside("team");
    expect(await team.epoch()).toBe(2n);
    expect(server.sends.filter(({ from }) => from === "eve")).toHaveLength(1);
    expect(await dave.session.conversations()).toEqual([]);
  });
});

describe("a client of another make", () => {
  it("may be a member of a conversation that lets join from outside, and sees who joins", async () => {
    const { server, alice, bob, dave } = await openTeam();
    const frank = await Foreigner.comes("frank", server);
    await alice.session.conversation("team").addMembers([await frank.keyPackage()]);
    await frank.joins();
    await dave.joinsFromOutside("team");
    await dave.says("team", "hello");
    expect(await frank.hears()).toEqual(["hello"]);
    await frank.says("welcome");
    expect(await bob.hears("team")).toEqual(["hello", "welcome"]);
    expect(await dave.hears("team")).toEqual(["welcome"]);
    expect(await bob.sees("team")).toEqual(["alice", "bob", "dave", "frank"]);
  });

  it("opens no conversation that was closed by a proposal", async () => {
    const { frank, alice, team } = await Trio.meets();
    frank.capabilities = { ...frank.capabilities, extensions: [0xf1c0] };
    await frank.proposesUpdate({
      capabilities: frank.capabilities,
      extensions: [{ extensionType: 0xf1c0, extensionData: new Uint8Array([1]) }],
    });
    expect(await alice.reads("team")).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
    expect(await team.state()).toMatchObject({ externalJoin: false, can: { encrypt: true } });
  });
});

describe("a join whose answer is lost", () => {
  it("is settled by its own echo", async () => {
    const { server, dave } = await openTeam();
    const [events, outcomes] = [told(dave), settled(dave)];
    server.next(loseAnswer);
    await expectCode(dave.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
    const echo = server.log("team").at(-1)!;
    expect(await dave.session.receive(echo)).toMatchObject([
      { type: "commit", own: true, by: "external", conversationId: "team", epoch: 1n },
    ]);
    expect(events).toMatchObject([{ cause: "joined", epoch: 2n }]);
    expect(outcomes).toMatchObject([{ outcome: "merged" }]);
    expect(await dave.sees("team")).toEqual(["alice", "bob", "dave"]);
  });

  it("outlives the session, and keeps the name from being used for another conversation", async () => {
    const { server } = await openTeam();
    const path = await freshPath();
    const key = DatabaseKey.generate();
    const before = await Person.comes("frank", server, { database: await Database.open(path, key) });
    server.next(sayNothing);
    const joining = before.joinsFromOutside("team");
    await server.sent(2);
    await before.session.close();
    await expectCode(joining, "SESSION_CLOSED");

    const frank = await Person.comes("frank", server, { database: await Database.open(path, key) });
    expect(await frank.session.unsettledCommits()).toMatchObject([{ conversationId: "team", why: "restart" }]);
    await expectCode(frank.creates("team"), "CONVERSATION_EXISTS");
    expect(await frank.session.settle()).toEqual([]);
    expect(await frank.sees("team")).toEqual(["alice", "bob", "frank"]);
  });
});

describe("a join is refused", () => {
  it("by a conversation that does not allow it", async () => {
    const { server, alice, dave } = await openTeam();
    await alice.creates("closed", await Person.comes("carol", server));
    const sends = server.sends.length;
    await expectCode(
      dave.session.joinByExternalCommit("closed", { credential: dave.credential }),
      "EXTERNAL_JOIN_REFUSED",
    );
    expect(server.sends).toHaveLength(sends);
  });

  it("under the name of a member: one who lost his keystore has to be removed first", async () => {
    const { server, alice } = await openTeam();
    const anew = await Person.comes("bob", server);
    const sends = server.sends.length;
    await expectCode(anew.joinsFromOutside("team"), "ALREADY_MEMBER");
    expect(server.sends).toHaveLength(sends);
    await alice.session.conversation("team").removeMembers(["bob"]);
    await anew.joinsFromOutside("team");
    await alice.reads("team");
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  });

  it.each([
    ["throws", () => Promise.reject(new Error("down"))],
    ["answers a string", () => Promise.resolve("GroupInfo" as never)],
    ["answers nothing", () => Promise.resolve(undefined as never)],
  ])("when fetchGroupInfo %s: nothing was sent", async (_, fetchGroupInfo) => {
    const { server } = await openTeam();
    const sends = server.sends.length;
    const dora = await Person.comes("dora", server, { transport: { ...server.transport("dora"), fetchGroupInfo } });
    const error = await expectCode(dora.joinsFromOutside("team"), "GROUP_INFO_UNAVAILABLE");
    expect(error).toMatchObject({ retryable: true, context: { conversationId: "team" } });
    expect(server.sends).toHaveLength(sends);
  });

  it("when the GroupInfo is another message, cut, or of another conversation", async () => {
    const { server, alice } = await openTeam();
    await alice.opens("other", await Person.comes("carol", server));
    const good = server.groupInfo("team");
    let answer = good;
    const dora = await Person.comes("dora", server, {
      transport: { ...server.transport("dora"), fetchGroupInfo: async () => answer },
    });
    for (const bad of [server.log("team")[0]!, good.slice(0, -1), bytes(""), server.groupInfo("other")]) {
      answer = bad;
      await expectCode(dora.joinsFromOutside("team"), "GROUP_INFO_INVALID");
    }
    expect(await dora.session.unsettledCommits()).toEqual([]);
    answer = good;
    await dora.joinsFromOutside("team");
  });

  it("without a way to the GroupInfo", async () => {
    const { server } = await openTeam();
    const dora = await Person.comes("dora", server, { fetch: false });
    await expectCode(dora.joinsFromOutside("team"), "TRANSPORT_MISSING");
  });

  it("when fetchGroupInfo never answers, after the time limit", async () => {
    const { server } = await openTeam();
    const clock = new FakeClock();
    const dora = await Person.comes("dora", server, {
      clock,
      sendTimeoutMs: 5_000,
      transport: { ...server.transport("dora"), fetchGroupInfo: () => new Promise(() => {}) },
    });
    const joining = expectCode(dora.joinsFromOutside("team"), "GROUP_INFO_UNAVAILABLE");
    await clock.pass(5_000);
    await joining;
  });

  it("with bad arguments", async () => {
    const { dave } = await openTeam();
    const { session, credential } = dave;
    await expectCode(session.joinByExternalCommit("", { credential }), "INVALID_ARGUMENT");
    await expectCode(session.joinByExternalCommit("team", {} as never), "INVALID_ARGUMENT");
    await expectCode(session.joinByExternalCommit("team", { credential, atempts: 2 } as never), "INVALID_ARGUMENT");
    await expectCode(
      session.joinByExternalCommit("team", { credential: { ...credential, ref: "00" } }),
      "CREDENTIAL_NOT_FOUND",
    );
    await expectCode(session.createConversation("x", { credential, externalJoin: "yes" } as never), "INVALID_ARGUMENT");
  });
});

describe("a join ends early", () => {
  it.each([
    ["accepted", (sent: Sent, server: Server) => server.take(sent)],
    ["told to retry", sayRetry],
    ["accepted and told to retry", (sent: Sent, server: Server) => (server.take(sent), sayRetry(sent, server))],
    ["never answered", breakDown],
  ])("when the conversation is wiped and the commit is %s", async (_answer, whim) => {
    const { server, alice, bob } = await openTeam();
    server.next(async (sent) => {
      await bob.session.conversation("team").wipe();
      return whim(sent, server);
    });
    const sends = server.sends.length;
    await expectCode(bob.joinsFromOutside("team"), "CONVERSATION_NOT_FOUND");
    expect(server.sends).toHaveLength(sends + 1);
    expect(await bob.session.unsettledCommits()).toEqual([]);
    expect(await bob.session.conversations()).toEqual([]);
    await alice.reads("team");
    await alice.session.conversation("team").updateKeys(); // He knows nothing of his commit for the epoch before.
    const team = await bob.joinsFromOutside("team");
    expect(await team.members()).toHaveLength(2);
  });

  it("well, although a removal is received with its echo before the answer counts", async () => {
    const { server, alice, bob } = await openTeam();
    server.next(async (sent) => {
      const answer = server.take(sent);
      await alice.reads("team");
      await alice.session.conversation("team").removeMembers(["bob"]);
      void bob.session.receive(server.log("team").slice(-2));
      return answer;
    });
    const team = await bob.joinsFromOutside("team");
    expect(await team.active()).toBe(false);
  });

  it("before anything was sent, when its signal is aborted", async () => {
    const { server } = await openTeam();
    const controller = new AbortController();
    const dora = await Person.comes("dora", server, {
      transport: {
        ...server.transport("dora"),
        fetchGroupInfo: async () => {
          controller.abort();
          return server.groupInfo("team");
        },
      },
    });
    const sends = server.sends.length;
    await expectCode(dora.joinsFromOutside("team", { signal: controller.signal }), "ABORTED");
    expect(server.sends).toHaveLength(sends);
    expect(await dora.session.unsettledCommits()).toEqual([]);
  });

  it("in a transaction: what came before is stored, and a throw after it does not take it back", async () => {
    const { dave } = await openTeam();
    const thrown = new Error("mine");
    await expect(
      dave.session.transaction(async (tx) => {
        await tx.setData("cursor", bytes("1"));
        const team = await tx.joinByExternalCommit("team", { credential: dave.credential });
        expect(await team.epoch()).toBe(2n);
        await tx.setData("cursor", bytes("2"));
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    expect(await dave.sees("team")).toEqual(["alice", "bob", "dave"]);
    expect(text((await dave.session.data("cursor"))!)).toBe("1");
  });
});

it("messages that come before the answer are there afterwards, with deliver and without", async () => {
  const { server, alice, dave } = await openTeam();
  const delivered: string[] = [];
  const dora = await Person.comes("dora", server, {
    deliver: (received) => {
      for (const one of received) if (one.type === "message") delivered.push(text(one.plaintext));
    },
  });
  for (const joiner of [dave, dora]) {
    server.next(async (sent) => {
      server.take(sent);
      await alice.reads("team");
      await alice.says("team", `hello ${joiner.name}`);
      expect(await joiner.session.receive(server.log("team").at(-1)!)).toMatchObject([{ type: "waiting" }]);
      return { status: "success" };
    });
    await joiner.joinsFromOutside("team");
  }
  expect(delivered).toEqual(["hello dora"]);
  await dora.says("team", "thanks");
  const received = await dave.session.receive(server.log("team").slice(-3));
  expect(received.flatMap((one) => (one.type === "message" ? [text(one.plaintext)] : []))).toContain("hello dave");
});

it("a join in doubt can be given up", async () => {
  const { server } = await openTeam();
  const erin = await Person.comes("erin", server);
  server.nextFrom("erin", breakDown);
  await expectCode(erin.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
  await erin.session.conversation("team").wipe();
  expect(await erin.session.unsettledCommits()).toEqual([]);
  await erin.session.removeCredential(erin.credential);
  await expectCode(erin.session.conversation("team").wipe(), "CONVERSATION_NOT_FOUND");
});
