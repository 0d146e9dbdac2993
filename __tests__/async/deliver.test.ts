import { MlsError, type Received } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

/** Alice, whose deliver writes down what it gets, or throws what the test has put into `fail`; and Bob. */
async function aliceAndBob(settings: Parameters<typeof Person.comes>[2] = {}) {
  const server = new Server();
  const delivered: Received[] = [];
  const fail: { with?: unknown } = {};
  const deliver = (received: readonly Received[]): void => {
    if ("with" in fail) throw fail.with;
    delivered.push(...received);
  };
  const alice = await Person.comes("alice", server, { ...settings, deliver });
  const bob = await Person.comes("bob", server);
  await alice.creates("team", bob);
  delivered.length = 0; // The commit that founded the team.
  return { server, alice, bob, delivered, fail };
}

it("gets what receive returns, in the same order", async () => {
  const { server, alice, bob, delivered } = await aliceAndBob();
  await bob.says("team", "one");
  await bob.session.conversation("team").updateKeys();
  await bob.says("team", "two");
  const received = await alice.session.receive(server.log("team"));
  expect(delivered).toEqual(received);
  expect(received.map(({ type }) => type)).toEqual(["ignored", "message", "commit", "message"]);
});

it("gets what decrypt returns, but not what it rejects", async () => {
  const { server, alice, bob, delivered } = await aliceAndBob();
  await bob.says("team", "one");
  const message = server.log("team").at(-1)!;
  const forged = message.slice();
  forged[forged.length - 1]! ^= 1;
  const team = alice.session.conversation("team");
  await expectCode(team.decrypt(forged), "MESSAGE_INVALID");
  expect(delivered).toEqual([]);
  expect(await team.decrypt(message)).toEqual(delivered);
  expect(delivered).toMatchObject([{ type: "message", sender: { clientId: "bob" } }]);
});

it("that throws puts everything back, and gets it again", async () => {
  const { server, alice, bob, delivered, fail } = await aliceAndBob();
  const changes: unknown[] = [];
  alice.session.on("conversationChanged", (change) => changes.push(change));
  await bob.says("team", "one");
  await bob.session.conversation("team").updateKeys();
  const batch = server.log("team").slice(1);
  fail.with = new Error("the disk of my own store is full");
  const error = await expectCode(alice.session.receive(batch), "DELIVER_FAILED");
  expect(error.cause).toBe(fail.with);
  expect(error.retryable).toBe(true);
  expect(await alice.session.conversation("team").epoch()).toBe(1n);
  expect(changes).toEqual([]);
  delete fail.with;
  expect((await alice.session.receive(batch)).map(({ type }) => type)).toEqual(["message", "commit"]);
  expect(delivered).toHaveLength(2);
  expect(changes).toHaveLength(1);
});

it.each([
  ["a string", "no"],
  ["undefined", undefined],
  ["an MlsError", new MlsError("INVALID_ARGUMENT", "x")],
])("that throws %s is DELIVER_FAILED with it as the cause", async (_, thrown) => {
  const { alice, bob, fail } = await aliceAndBob();
  await bob.says("team", "one");
  fail.with = thrown;
  const error = await expectCode(alice.reads("team"), "DELIVER_FAILED");
  expect(error.cause).toBe(thrown);
});

it("that throws inside a transaction undoes its step, and the transaction goes on", async () => {
  const { server, alice, bob, fail } = await aliceAndBob();
  await bob.says("team", "one");
  const message = server.log("team").at(-1)!;
  await alice.session.transaction(async (tx) => {
    await tx.setData("before", bytes("1"));
    fail.with = new Error("no");
    await expectCode(tx.receive(message), "DELIVER_FAILED");
    delete fail.with;
    expect(await tx.receive(message)).toMatchObject([{ type: "message" }]);
    await tx.setData("after", bytes("2"));
  });
  expect(await alice.session.data("before")).toEqual(bytes("1"));
  expect(await alice.session.data("after")).toEqual(bytes("2"));
});

it("gets what was waiting for a Welcome, with the join", async () => {
  const server = new Server();
  const delivered: string[] = [];
  const bob = await Person.comes("bob", server, {
    deliver: (received) => {
      for (const one of received) delivered.push(one.type === "message" ? text(one.plaintext) : one.type);
    },
  });
  const alice = await Person.comes("alice", server);
  const team = await alice.session.createConversation("team", {
    credential: alice.credential,
    members: [await bob.keyPackage()],
  });
  await alice.says("team", "welcome, bob");
  expect(await bob.session.receive(server.log("team").at(-1)!)).toMatchObject([{ type: "waiting", for: "welcome" }]);
  const [welcome] = server.takeWelcomes("bob");
  const { received, members } = await bob.session.joinByWelcome(welcome!);
  expect(received).toMatchObject([{ type: "message" }]);
  expect(delivered).toEqual(["waiting", "welcome, bob"]);
  expect(members).toHaveLength(2);
  expect(await team.epoch()).toBe(1n);
});

it("that throws while joining undoes the join, and the Welcome stays good", async () => {
  const server = new Server();
  let fail = false;
  const bob = await Person.comes("bob", server, {
    deliver: () => {
      if (fail) throw new Error("no");
    },
  });
  const alice = await Person.comes("alice", server);
  const members = [await bob.keyPackage()];
  await alice.session.createConversation("team", { credential: alice.credential, members });
  await alice.says("team", "hello");
  await bob.session.receive(server.log("team").at(-1)!);
  const [welcome] = server.takeWelcomes("bob");
  fail = true;
  await expectCode(bob.session.joinByWelcome(welcome!), "DELIVER_FAILED");
  expect(await bob.session.conversations()).toEqual([]);
  fail = false;
  expect((await bob.session.joinByWelcome(welcome!)).received).toMatchObject([{ type: "message" }]);
});

it("gets what a retry catches up with, messages too", async () => {
  const { alice, bob, delivered } = await aliceAndBob();
  await bob.says("team", "meanwhile");
  await bob.session.conversation("team").updateKeys();
  expect(await alice.session.conversation("team").updateKeys()).toMatchObject({ outcome: "merged", attempts: 2 });
  const fresh = delivered.filter(({ type }) => type !== "ignored");
  expect(fresh).toMatchObject([{ type: "message" }, { type: "commit", own: false }, { type: "commit", own: true }]);
  // What the application receives itself afterwards is known already: nothing comes twice.
  expect((await alice.reads("team")).map(({ type }) => type)).toEqual(["ignored", "ignored", "ignored", "ignored"]);
});

it("is not told that what it had is lost, when the application has gone on while a retry was asking", async () => {
  const { server, alice, bob, delivered } = await aliceAndBob();
  const [alices, bobs] = [alice.session.conversation("team"), bob.session.conversation("team")];
  await bob.says("team", "one");
  await alice.reads("team");
  await bobs.updateKeys();
  server.onFetch = async () => {
    delete server.onFetch;
    for (let epochs = 0; epochs < 6; epochs += 1) await bobs.updateKeys();
    const log = server.log("team").slice();
    await alice.session.receive(log);
    return log;
  };
  expect(await alices.updateKeys()).toMatchObject({ outcome: "merged" });
  expect(delivered.filter(({ type }) => type === "message")).toHaveLength(1);
  expect(delivered.filter(({ type }) => type === "unreadable")).toEqual([]);
});

it("that throws while a retry catches up leaves the commit unsettled", async () => {
  const { alice, bob, fail } = await aliceAndBob();
  await bob.session.conversation("team").updateKeys();
  fail.with = new Error("no");
  const error = await expectCode(alice.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
  expect(error.cause).toMatchObject({ code: "DELIVER_FAILED", cause: fail.with });
  expect(await alice.session.unsettledCommits()).toMatchObject([{ conversationId: "team", why: "unknown" }]);
  delete fail.with;
  expect(await alice.session.settle()).toEqual([]);
  expect(await alice.session.conversation("team").epoch()).toBe(2n);
});

describe("what an accepted commit of one's own releases", () => {
  /** Bob has merged Alice's commit and written in the new epoch before Alice hears that it was accepted. */
  async function early({ beforeTheAnswer = () => {} } = {}) {
    const { server, alice, bob, delivered, fail } = await aliceAndBob();
    server.next(async (sent) => {
      const answer = server.take(sent);
      await bob.reads("team");
      await bob.says("team", "first in the new epoch");
      await alice.session.receive(server.log("team").at(-1)!);
      beforeTheAnswer();
      return answer;
    });
    return { alice, delivered, fail, team: alice.session.conversation("team") };
  }

  it("is delivered with the merge", async () => {
    const { team, delivered } = await early();
    await team.updateKeys();
    expect(delivered.map(({ type }) => type)).toEqual(["waiting", "commit", "message"]);
  });

  it("is not lost when deliver throws: the commit stays unsettled, and settles with the delivery", async () => {
    const { alice, team, delivered, fail } = await early({ beforeTheAnswer: () => (fail.with = new Error("no")) });
    const unsettled: unknown[] = [];
    alice.session.on("commitUnsettled", ({ why }) => unsettled.push(why));
    const error = await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ code: "DELIVER_FAILED", cause: fail.with });
    expect(unsettled).toEqual(["unknown"]);
    expect(await team.epoch()).toBe(1n);
    await expectCode(alice.session.settle(), "DELIVER_FAILED");
    delete fail.with;
    expect(await alice.session.settle()).toEqual([]);
    expect(await team.epoch()).toBe(2n);
    expect(delivered.map(({ type }) => type)).toEqual(["waiting", "commit", "message"]);
  });
});

it("that hangs is stopped by the time limit, and what it should have got comes again", async () => {
  const server = new Server();
  const clock = new FakeClock();
  let hang = false;
  const deliver = (): Promise<void> => (hang ? new Promise(() => {}) : Promise.resolve());
  const alice = await Person.comes("alice", server, { clock, deliver });
  const bob = await Person.comes("bob", server);
  await alice.creates("team", bob);
  await bob.says("team", "hello");
  hang = true;
  const receiving = alice.session.receive(server.log("team").at(-1)!);
  await clock.pass(60_000);
  await expectCode(receiving, "TRANSACTION_TIMEOUT");
  hang = false;
  expect(await alice.session.receive(server.log("team").at(-1)!)).toMatchObject([{ type: "message" }]);
});

it("may encrypt before it throws: what it has handed out stays good, and so does the next message", async () => {
  const server = new Server();
  let handedOut: Uint8Array | undefined;
  const alice = await Person.comes("alice", server, {
    async deliver(received, tx) {
      if (!received.some(({ type }) => type === "message")) return;
      handedOut = await tx.conversation("team").encrypt(bytes("an answer"));
      throw new Error("not now");
    },
  });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  const question = await bob.session.conversation("team").encrypt(bytes("a question"));
  await alice.session.transaction(async (tx) => {
    await expectCode(tx.receive(question), "DELIVER_FAILED");
    await tx.setData("tried", bytes("yes"));
  });
  const heard = await bob.session.receive([handedOut!, await team.encrypt(bytes("something else"))]);
  expect(heard.map((one) => one.type === "message" && text(one.plaintext))).toEqual(["an answer", "something else"]);
});
