import { setTimeout as timer } from "node:timers";
import { Database, DatabaseKey } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import { Server } from "../support/server.js";
import { aliceAndBob } from "../support/teams.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const numbers = (count: number): string[] => Array.from({ length: count }, (_, place) => String(place));

it("500 messages encrypted at once decrypt in call order", async () => {
  const { server, bob, team } = await aliceAndBob();
  const sent = await Promise.all(numbers(500).map((words) => team.encrypt(bytes(words))));
  for (const message of sent) server.post(message);
  expect(await bob.hears("team")).toEqual(numbers(500));
});

it("calls resolve in the order in which they were made", async () => {
  const { bob, alice, team } = await aliceAndBob();
  const resolved: string[] = [];
  const note = (name: string) => () => void resolved.push(name);
  await Promise.all([
    team.encrypt(bytes("1")).then(note("encrypt 1")),
    alice.session.setData("x", bytes("1")).then(note("set")),
    alice.session.data("x").then(note("data")),
    team.encrypt(bytes("2")).then(note("encrypt 2")),
    alice.session.receive([]).then(() => {}),
    alice.session.transaction((tx) => tx.data("x")).then(note("transaction")),
    team.epoch().then(note("epoch")),
  ]);
  expect(resolved).toEqual(["encrypt 1", "set", "data", "encrypt 2", "transaction", "epoch"]);
  expect(await bob.sees("team")).toHaveLength(2);
});

it("messages that are received one by one, all at once, come out in call order", async () => {
  const { server, bob, alice } = await aliceAndBob();
  for (const words of numbers(100)) await alice.says("team", words);
  const log = server.log("team").slice(-100);
  const received = await Promise.all(log.map((message) => bob.session.receive(message)));
  expect(received.flat().flatMap((one) => (one.type === "message" ? [text(one.plaintext)] : []))).toEqual(numbers(100));
});

it("everything at once in many conversations: each keeps its order, and all of it decrypts", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const names = ["one", "two", "three", "four"];
  for (const name of names) await alice.creates(name, bob);
  const work = names.map(async (name) => {
    const conversation = alice.session.conversation(name);
    const sending = numbers(40).map(async (words, place) => {
      if (place % 10 === 5) await conversation.updateKeys();
      return conversation.encrypt(bytes(words));
    });
    for (const message of await Promise.all(sending)) server.post(message);
    const heard = await bob.hears(name);
    expect(heard.sort((a, b) => Number(a) - Number(b))).toEqual(numbers(40));
  });
  await Promise.all(work);
});

it("encrypts and commits of many transactions and direct calls, all at once, decrypt in call order", async () => {
  const { server, bob, alice, team } = await aliceAndBob();
  const calls = numbers(60).map((words, place) =>
    place % 3 === 0
      ? alice.session.transaction((tx) => tx.conversation("team").encrypt(bytes(words)))
      : team.encrypt(bytes(words)),
  );
  for (const message of await Promise.all(calls)) server.post(message);
  expect(await bob.hears("team")).toEqual(numbers(60));
});

it("a long transaction lets nobody overtake, and nobody starves", async () => {
  const { alice } = await aliceAndBob();
  const done: string[] = [];
  const work = [
    alice.session.transaction(async () => {
      await new Promise((resolve) => timer(resolve, 5));
      done.push("long");
    }),
    ...numbers(20).map((name) => alice.session.data(name).then(() => done.push(name))),
    alice.session.transaction(() => void done.push("short")),
    ...["a", "b"].map((name) => alice.session.data(name).then(() => done.push(name))),
  ];
  await Promise.all(work);
  expect(done).toEqual(["long", ...numbers(20), "short", "a", "b"]);
});

it("a commit of pending proposals, where none is, sends nothing", async () => {
  const { server, team } = await aliceAndBob();
  expect(await team.commitPendingProposals()).toMatchObject({ outcome: "already-applied", epoch: 1n, attempts: 0 });
  expect(server.sends).toHaveLength(1);
});

it("encrypt in a conversation that is being created waits for it", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const members = [await bob.keyPackage()];
  let go!: () => void;
  server.next((sent) => new Promise((resolve) => (go = () => resolve(server.take(sent)))));
  const creating = alice.session.createConversation("team", { credential: alice.credential, members });
  await server.sent(1);
  const team = alice.session.conversation("team");
  const early = ["one", "two"].map((words) => team.encrypt(bytes(words)));
  const inside = alice.session.transaction((tx) => tx.conversation("team").encrypt(bytes("three")));
  await expectCode(inside, "COMMIT_OUTCOME_UNKNOWN");
  go();
  await creating;
  await bob.joins();
  for (const message of early) server.post(await message);
  expect(await bob.hears("team")).toEqual(["one", "two"]);
});

describe("what overtakes a removal and the invitation after it", () => {
  it("waits for the Welcome, and is read", async () => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const bob = await Person.comes("bob", server);
    const team = await alice.creates("team", bob);
    await team.removeMembers(["bob"]);
    const removal = server.log("team").at(-1)!;
    await team.addMembers([await bob.keyPackage()]);
    const early = await team.encrypt(bytes("welcome back"));
    expect(await bob.session.receive(early)).toMatchObject([{ type: "waiting", for: "commit" }]);
    expect(await bob.session.receive(removal)).toMatchObject([{ type: "commit", active: false }]);
    const [welcome] = server.takeWelcomes("bob");
    const { received } = await bob.session.joinByWelcome(welcome!);
    expect(received).toMatchObject([{ type: "message", plaintext: bytes("welcome back") }]);
  });
});

describe("a Welcome that comes again", () => {
  it("answers the conversation as it is now, and tells nobody of it", async () => {
    const server = new Server();
    const path = await freshPath("bob.db");
    const key = DatabaseKey.generate();
    const bobComes = async () => Person.comes("bob", server, { database: await Database.open(path, key) });
    const alice = await Person.comes("alice", server);
    const bob = await bobComes();
    const team = await alice.creates("team");
    await team.addMembers([await bob.keyPackage()]);
    const [welcome] = server.takeWelcomes("bob");
    await bob.session.joinByWelcome(welcome!);
    await alice.says("team", "hello");
    await bob.session.close(); // Before it could acknowledge.

    const again = await bobComes();
    const told: unknown[] = [];
    again.session.on("conversationChanged", (change) => told.push(change));
    const { conversation, members, received } = await again.session.joinByWelcome(welcome!);
    expect(conversation.id).toBe("team");
    expect(members).toEqual(await team.members());
    expect([received, told]).toEqual([[], []]);
    expect(await again.hears("team")).toEqual(["hello"]);
  });

  it("is refused when the conversation has removed this client since, or is one that it is in otherwise", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const carol = await Person.comes("carol", server);
    await team.addMembers([await carol.keyPackage()]);
    const [welcome] = server.takeWelcomes("carol");
    await carol.session.joinByWelcome(welcome!);
    await team.removeMembers(["carol"]);
    await carol.session.receive(server.log("team").at(-1)!);
    await expectCode(carol.session.joinByWelcome(welcome!), "WELCOME_WITHOUT_KEY_PACKAGE");

    const keyPackage = await bob.keyPackage();
    await carol.session.createConversation("other", { credential: carol.credential, members: [keyPackage] });
    const [toOther] = server.takeWelcomes("bob");
    await bob.session.createConversation("other", { credential: bob.credential });
    await expectCode(bob.session.joinByWelcome(toOther!), "CONVERSATION_EXISTS");
    await bob.session.conversation("other").wipe();
    await bob.session.joinByWelcome(toOther!); // Its key package is still there.
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  });
});
