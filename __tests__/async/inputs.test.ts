import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import { MessageChannel } from "node:worker_threads";
import { Credential, DatabaseKey, MlsError } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { aliceAndBob } from "../support/teams.js";

afterEach(everybodyLeaves);

/** What the owner of the memory may do with it as soon as the call has returned. */
const misdeeds: [string, (input: Uint8Array) => void][] = [
  ["overwritten", (input) => input.fill(0)],
  ["detached", (input) => void structuredClone(input.buffer, { transfer: [input.buffer as ArrayBuffer] })],
];

describe.each(misdeeds)("an input that is %s right after the call", (_, misdeed) => {
  it("is taken as it was: messages, both ways", async () => {
    const { server, bob, team } = await aliceAndBob();
    const plaintext = bytes("hello");
    const aad = bytes("for all");
    const encrypting = team.encrypt(plaintext, { aad });
    misdeed(plaintext);
    misdeed(aad);
    const message = new Uint8Array(await encrypting);
    server.post(message.slice());
    const receiving = bob.session.receive([message]);
    misdeed(message);
    expect(await receiving).toMatchObject([{ type: "message", plaintext: bytes("hello"), aad: bytes("for all") }]);
  });

  it("is taken as it was: behind a transaction that has the turn", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const tx = await alice.session.newTransaction();
    const plaintext = bytes("hello");
    const encrypting = team.encrypt(plaintext);
    misdeed(plaintext);
    await tx.finish();
    server.post(await encrypting);
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it("is taken as it was: key packages, names, Welcomes and data", async () => {
    const { server, alice, team } = await aliceAndBob();
    const carol = await Person.comes("carol", server);
    const keyPackage = await carol.keyPackage();
    const name = bytes("carol");
    const adding = team.addMembers([{ keyPackage, clientId: name }]);
    misdeed(keyPackage);
    misdeed(name);
    expect((await adding).change.added).toMatchObject([{ clientId: "carol" }]);
    const welcome = server.takeWelcomes("carol")[0]!.slice();
    const joining = carol.session.joinByWelcome(welcome);
    misdeed(welcome);
    expect((await joining).members).toHaveLength(3);
    const gone = bytes("carol");
    const removing = team.removeMembers([gone]);
    misdeed(gone);
    expect((await removing).change.removed).toMatchObject([{ clientId: "carol" }]);
    const value = bytes("value");
    const storing = alice.session.setData("key", value);
    misdeed(value);
    await storing;
    expect(await alice.session.data("key")).toEqual(bytes("value"));
  });

  it("is taken as it was: a key", () => {
    const raw = new Uint8Array(32).fill(7);
    const key = DatabaseKey.from(raw);
    misdeed(raw);
    expect(key.copyBytes()).toEqual(new Uint8Array(32).fill(7));
    key.copyBytes().fill(0);
    expect(key.copyBytes()).toEqual(new Uint8Array(32).fill(7));
  });
});

it("an input that is detached already is refused", async () => {
  const { team } = await aliceAndBob();
  const gone = bytes("gone");
  structuredClone(gone.buffer, { transfer: [gone.buffer as ArrayBuffer] });
  const { message } = await expectCode(team.encrypt(gone), "INVALID_ARGUMENT");
  expect(message).toMatch(/plaintext was transferred/);
});

it("takes Buffers, other views, shared memory and bytes of another realm", async () => {
  const { server, bob, team } = await aliceAndBob();
  const shared = new Uint8Array(new SharedArrayBuffer(5));
  shared.set(bytes("three"));
  const foreign = runInNewContext("new Uint8Array([102, 111, 117, 114])") as Uint8Array;
  const part = new DataView(bytes("<two>").buffer, 1, 3);
  for (const plaintext of [Buffer.from("one"), part, shared, foreign]) {
    server.post(await team.encrypt(plaintext as Uint8Array));
  }
  expect(await bob.hears("team")).toEqual(["one", "two", "three", "four"]);
});

it("does not trust what a subclass says about itself", async () => {
  const { server, bob, team } = await aliceAndBob();
  class Liar extends Uint8Array {
    override get length(): number {
      return 4_000_000_000;
    }
    override get byteLength(): number {
      throw new Error("never asked");
    }
    static get [Symbol.species](): never {
      throw new Error("never asked");
    }
  }
  server.post(await team.encrypt(new Liar(bytes("hi"))));
  expect(await bob.hears("team")).toEqual(["hi"]);
});

it("results and events survive structuredClone", async () => {
  const { server, alice, bob, team } = await aliceAndBob();
  const events: unknown[] = [];
  bob.session.on("conversationChanged", (event) => events.push(event));
  const result = await team.updateKeys();
  await alice.says("team", "hello");
  const received = await bob.reads("team");
  const { port1, port2 } = new MessageChannel();
  for (const value of [result, received, events, await team.members(), await alice.session.credentials()]) {
    expect(structuredClone(value)).toEqual(value);
    port1.postMessage(value);
  }
  port1.close();
  port2.close();
  expect(events).toHaveLength(1);
  expect(server.sends).toHaveLength(2);
});

it("shows no key, in print, as JSON or in an error", () => {
  const key = DatabaseKey.from(new Uint8Array(32).fill(0xab));
  const hidden = [String(key), JSON.stringify({ key }), inspect(key, { showHidden: true, depth: 9 }), inspect({ key })];
  for (const shown of hidden) expect(shown).toMatch(/DatabaseKey\(\.\.\)/);
  expect(hidden.join()).not.toMatch(/171|abab/i);
  const secret = "hunter2hunter2";
  const slips = [
    () => DatabaseKey.from(secret as never),
    () => DatabaseKey.from(bytes(secret)),
    () => Credential.basic("alice", { cipherSuite: secret as never }),
  ];
  for (const slip of slips) {
    const thrown = caught(slip);
    expect(MlsError.is(thrown, "INVALID_ARGUMENT")).toBe(true);
    expect(inspect(thrown)).not.toContain(secret);
  }
});

function caught(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return error;
  }
}
