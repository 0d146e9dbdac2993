import { Database, DatabaseKey } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { freshPath } from "../support/files.js";
import { addition } from "../support/foreign-messages.js";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

/** Frank invites dave by a Welcome without the ratchet tree, to epoch 2 of the team. */
async function invited({ lastResort = false, database }: { lastResort?: boolean; database?: Database } = {}) {
  const trio = await Trio.meets();
  const dave = await Person.comes("dave", trio.server, database === undefined ? {} : { database });
  const [keyPackage] = await dave.session.generateKeyPackages(dave.credential, { count: 1, lastResort });
  trio.frank.treeInWelcome = false;
  const before = trio.frank.ratchetTree;
  await trio.frank.commits(addition(keyPackage!.bytes));
  const welcome = trio.server.takeWelcomes("dave")[0]!;
  return { trio, dave, welcome, ratchetTree: trio.frank.ratchetTree, before };
}

/** Dave is a member like any other. */
async function isIn(dave: Person, trio: Trio): Promise<void> {
  expect(await dave.sees("team")).toEqual(["alice", "bob", "dave", "frank"]);
  await trio.alice.reads("team");
  const message = await trio.team.encrypt(bytes("hello dave"));
  const [received] = await dave.session.receive(message);
  expect(received?.type === "message" && text(received.plaintext)).toBe("hello dave");
  const agreed = await trio.team.epochAuthenticator();
  expect(await dave.session.conversation("team").epochAuthenticator()).toEqual(agreed);
  expect(trio.frank.epochAuthenticator).toEqual(new Uint8Array(agreed));
}

it("a Welcome without its ratchet tree says where the tree is needed, and is joined with it", async () => {
  const { trio, dave, welcome, ratchetTree } = await invited();
  const missing = await expectCode(dave.session.joinByWelcome(welcome), "RATCHET_TREE_MISSING");
  expect(missing.context).toEqual({ conversationId: "team", epoch: "2" });
  expect(missing.message).toMatch(/none was given/);
  expect(await dave.session.conversations()).toEqual([]);

  const joined = await dave.session.joinByWelcome(welcome, { ratchetTree });
  expect(joined.inviter).toMatchObject({ clientId: "frank" });
  expect(joined.members).toHaveLength(4);
  await isIn(dave, trio);
});

it("it was a copy of the tree that was taken", async () => {
  const { trio, dave, welcome, ratchetTree } = await invited();
  const joining = dave.session.joinByWelcome(welcome, { ratchetTree });
  ratchetTree.fill(0);
  await joining;
  await isIn(dave, trio);
});

it("a tree that is not the right one is told as such, each kind by its sentence, and does no harm", async () => {
  const { trio, dave, welcome, ratchetTree, before } = await invited();
  const elsewhere = await Trio.meets();
  const changed = ratchetTree.slice();
  changed[changed.length - 1]! ^= 1;
  const wrong: [Uint8Array, RegExp][] = [
    [before, /another epoch or conversation/],
    [elsewhere.frank.ratchetTree, /another epoch or conversation/],
    [changed, /another epoch or conversation/],
    [new Uint8Array(), /no ratchet tree/],
    [bytes("no tree"), /no ratchet tree/],
    [ratchetTree.subarray(1), /no ratchet tree/],
    [Uint8Array.of(...ratchetTree, 0), /no ratchet tree/],
    [welcome, /no ratchet tree/],
  ];
  for (const [tree, sentence] of wrong) {
    const error = await expectCode(dave.session.joinByWelcome(welcome, { ratchetTree: tree }), "RATCHET_TREE_MISSING");
    expect(error.message).toMatch(sentence);
    expect(error.context).toEqual({ conversationId: "team", epoch: "2" });
  }
  await dave.session.joinByWelcome(welcome, { ratchetTree });
  await isIn(dave, trio);
});

it("what is no bytes is a bad argument, and what is too large is no tree", async () => {
  const { dave, welcome } = await invited();
  for (const odd of ["tree", [1, 2], {}, 7, null]) {
    const joining = dave.session.joinByWelcome(welcome, { ratchetTree: odd as unknown as Uint8Array });
    expect((await expectCode(joining, "INVALID_ARGUMENT")).message).toMatch(/options\.ratchetTree/);
  }
  const large = new Uint8Array(64 * 1024 * 1024 + 1);
  const joining = dave.session.joinByWelcome(welcome, { ratchetTree: large });
  expect((await expectCode(joining, "RATCHET_TREE_MISSING")).message).toMatch(/larger than any that is accepted/);
});

it("a tree of many blank nodes costs no more than its own size", async () => {
  const { dave, welcome } = await invited();
  const nodes = 4_000_000;
  const blank = new Uint8Array(4 + nodes);
  new DataView(blank.buffer).setUint32(0, 0x80000000 + nodes);
  const before = process.resourceUsage().maxRSS;
  const joining = dave.session.joinByWelcome(welcome, { ratchetTree: blank });
  expect((await expectCode(joining, "RATCHET_TREE_MISSING")).message).toMatch(/larger than any/);
  const kilobytes = process.resourceUsage().maxRSS - before;
  expect(kilobytes).toBeLessThan(64 * 1024);
});

it("the tree in a Welcome counts, whatever is given beside it", async () => {
  const trio = await Trio.meets();
  const dave = await Person.comes("dave", trio.server);
  await trio.team.addMembers([await dave.keyPackage()]);
  const [welcome] = trio.server.takeWelcomes("dave");
  await dave.session.joinByWelcome(welcome!, { ratchetTree: bytes("not needed") });
  expect(await dave.sees("team")).toEqual(["alice", "bob", "dave", "frank"]);
});

it("a transaction that throws leaves Welcome, tree and key package as they were", async () => {
  const { trio, dave, welcome, ratchetTree } = await invited();
  const stranger = new Error("whose group is this?");
  const looking = dave.session.transaction(async (tx) => {
    await expectCode(tx.joinByWelcome(welcome), "RATCHET_TREE_MISSING");
    const { members } = await tx.joinByWelcome(welcome, { ratchetTree });
    expect(members).toHaveLength(4);
    throw stranger;
  });
  await expect(looking).rejects.toBe(stranger);
  expect(await dave.session.conversations()).toEqual([]);
  await dave.session.joinByWelcome(welcome, { ratchetTree });
  await isIn(dave, trio);
});

it.each([false, true])("the same call again answers the conversation; last resort: %s", async (lastResort) => {
  const { trio, dave, welcome, ratchetTree } = await invited({ lastResort });
  await dave.session.joinByWelcome(welcome, { ratchetTree });
  const again = await dave.session.joinByWelcome(welcome, { ratchetTree });
  expect(again).toMatchObject({ lastResort, inviter: { clientId: "frank" }, received: [] });
  expect(again.members).toHaveLength(4);
  // By now the tree is in the keystore, and is needed no more.
  expect((await dave.session.joinByWelcome(welcome)).members).toHaveLength(4);
  await isIn(dave, trio);
});

it("what was joined with a tree beside is there after a restart, and invites others with the tree inside", async () => {
  const path = await freshPath();
  const key = DatabaseKey.generate();
  const { trio, dave, welcome, ratchetTree } = await invited({ database: await Database.open(path, key) });
  await dave.session.joinByWelcome(welcome, { ratchetTree });
  await dave.session.close();
  const back = await Person.comes("dave", trio.server, { database: await Database.open(path, key) });
  await isIn(back, trio);
  const erin = await Person.comes("erin", trio.server);
  await back.session.conversation("team").addMembers([await erin.keyPackage()]);
  await erin.joins();
  expect(await erin.sees("team")).toEqual(["alice", "bob", "dave", "erin", "frank"]);
});

it("old Welcomes stay refused, tree or not: nobody is led back", async () => {
  const { dave, welcome, ratchetTree } = await invited({ lastResort: true });
  await dave.session.joinByWelcome(welcome, { ratchetTree });
  await dave.session.conversation("team").wipe();
  const error = await expectCode(dave.session.joinByWelcome(welcome, { ratchetTree }), "ROLLBACK_REFUSED");
  expect(error.context.conversationId).toBe("team");
  await dave.session.joinByWelcome(welcome, { ratchetTree, allowRollback: true });
});
