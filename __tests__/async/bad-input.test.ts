import { Credential, Database, DatabaseKey, inspectMessage, MlsError, type MlsErrorCode, Session } from "conclave-mls";
import { expectCode, failure } from "../support/expect.js";
import { bytes, everybodyLeaves, Person, suite } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

async function scene() {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  const other = await bob.session.addCredential(
    Credential.basic("bob", { cipherSuite: "MLS_128_DHKEMP256_AES128GCM_SHA256_P256" }),
  );
  const [ofOtherSuite] = await bob.session.generateKeyPackages(other, { count: 1 });
  const carol = await Person.comes("carol", server);
  return {
    alice,
    bob,
    team,
    ofOtherSuite: ofOtherSuite!.bytes,
    carols: await carol.keyPackage(),
    own: await alice.keyPackage(),
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;
type Case = [string, (scene: Scene) => unknown, MlsErrorCode, RegExp];

/** Types are for those who have a compiler; what JavaScript passes is looked at all the same. */
const wrong = (value: unknown): never => value as never;

/** A proxy that throws whatever is done with it. */
function revoked<T extends object>(target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** The same with a property that throws when it is read. */
function trap<T extends object>(target: T, property: string): T {
  return new Proxy(target, {
    get(owner, name, receiver): unknown {
      if (name === property) throw new Error("trap");
      return Reflect.get(owner, name, receiver);
    },
  });
}

const cases: Case[] = [
  // Options
  [
    "an unknown option",
    ({ team }) => team.updateKeys(wrong({ retries: 3 })),
    "INVALID_ARGUMENT",
    /options .*"retries".*signal, attempts/,
  ],
  [
    "options that are no object",
    ({ team }) => team.updateKeys(wrong("now")),
    "INVALID_ARGUMENT",
    /options must be an object/,
  ],
  [
    "too many attempts",
    ({ team }) => team.updateKeys({ attempts: 1001 }),
    "INVALID_ARGUMENT",
    /options\.attempts must be a whole number from 1 to 1000/,
  ],
  ["half an attempt", ({ team }) => team.updateKeys({ attempts: 0.5 }), "INVALID_ARGUMENT", /options\.attempts/],
  [
    "attempts as text",
    ({ team }) => team.updateKeys(wrong({ attempts: "3" })),
    "INVALID_ARGUMENT",
    /options\.attempts/,
  ],
  [
    "a signal that is none",
    ({ team }) => team.updateKeys(wrong({ signal: {} })),
    "INVALID_ARGUMENT",
    /options\.signal must be an AbortSignal/,
  ],
  [
    "an option that throws",
    ({ team }) =>
      team.updateKeys(
        wrong({
          get attempts() {
            throw new Error("trap");
          },
        }),
      ),
    "INVALID_ARGUMENT",
    /options\.attempts could not be read/,
  ],
  [
    "aad that is no bytes",
    ({ team }) => team.encrypt(bytes("x"), wrong({ aad: "text" })),
    "INVALID_ARGUMENT",
    /options\.aad must be a Uint8Array/,
  ],
  [
    "an unknown option of encrypt",
    ({ team }) => team.encrypt(bytes("x"), wrong({ add: bytes("x") })),
    "INVALID_ARGUMENT",
    /"add".*Known here: aad/,
  ],
  [
    "a negative count",
    ({ alice }) => alice.session.generateKeyPackages(alice.credential, { count: -1 }),
    "INVALID_ARGUMENT",
    /options\.count must be a whole number from 1 to 1000/,
  ],
  [
    "no count",
    ({ alice }) => alice.session.generateKeyPackages(alice.credential, wrong({})),
    "INVALID_ARGUMENT",
    /options\.count/,
  ],
  [
    "no options at all",
    ({ alice }) => alice.session.generateKeyPackages(alice.credential, wrong(undefined)),
    "INVALID_ARGUMENT",
    /options must be an object/,
  ],
  [
    "a lifetime of nothing",
    ({ alice }) => alice.session.generateKeyPackages(alice.credential, { count: 1, lifetimeMs: 0 }),
    "INVALID_ARGUMENT",
    /options\.lifetimeMs/,
  ],
  [
    "lastResort as text",
    ({ alice }) => alice.session.generateKeyPackages(alice.credential, wrong({ count: 1, lastResort: "yes" })),
    "INVALID_ARGUMENT",
    /options\.lastResort must be a boolean/,
  ],
  [
    "settle with an unknown option",
    ({ alice }) => alice.session.settle(wrong({ attempts: 1 })),
    "INVALID_ARGUMENT",
    /"attempts"/,
  ],
  [
    "a transaction without a callback",
    ({ alice }) => alice.session.transaction(wrong({})),
    "INVALID_ARGUMENT",
    /work must be a function/,
  ],

  // Ids and names
  [
    "an empty conversation id",
    ({ alice }) => alice.session.createConversation("", { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /id must have 1 to 4096 bytes/,
  ],
  [
    "an id of no bytes",
    ({ alice }) => alice.session.createConversation(new Uint8Array(), { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /id must have 1 to 4096 bytes/,
  ],
  [
    "an id with NUL",
    ({ alice }) => alice.session.createConversation("a\0b", { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /Uint8Array/,
  ],
  [
    "an id with a lone surrogate",
    ({ alice }) => alice.session.createConversation("a\ud800", { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /lone surrogates/,
  ],
  [
    "an id of 64 KiB",
    ({ alice }) => alice.session.createConversation("a".repeat(65_536), { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /1 to 4096 bytes; it has 65536/,
  ],
  [
    "an id that is not hex",
    ({ alice }) => alice.session.createConversation("0xyz", { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /not hex/,
  ],
  [
    "an id that is a number",
    ({ alice }) => alice.session.createConversation(wrong(7), { credential: alice.credential }),
    "INVALID_ARGUMENT",
    /id must be a string or a Uint8Array/,
  ],
  [
    "a handle of what is no id",
    async ({ alice }) => alice.session.conversation(wrong(null)),
    "INVALID_ARGUMENT",
    /id must be a string/,
  ],
  [
    "an unknown conversation",
    ({ alice }) => alice.session.conversation("nowhere").encrypt(bytes("x")),
    "CONVERSATION_NOT_FOUND",
    /./,
  ],
  [
    "a commit in an unknown conversation",
    ({ alice }) => alice.session.conversation("nowhere").updateKeys(),
    "CONVERSATION_NOT_FOUND",
    /./,
  ],
  [
    "a conversation that exists",
    ({ alice }) => alice.session.createConversation("team", { credential: alice.credential }),
    "CONVERSATION_EXISTS",
    /./,
  ],
  [
    "a creation with members where one exists",
    ({ alice, carols }) =>
      alice.session.createConversation("team", { credential: alice.credential, members: [carols] }),
    "CONVERSATION_EXISTS",
    /./,
  ],
  [
    "a removal by number",
    ({ team }) => team.removeMembers(wrong([1])),
    "INVALID_ARGUMENT",
    /leaves\.0 must be a string/,
  ],
  [
    "a client id with NUL",
    ({ alice }) => alice.session.addCredential(wrong({ clientId: "a\0", cipherSuite: suite })),
    "INVALID_ARGUMENT",
    /credential\.clientId/,
  ],
  [
    "a credential of another client",
    ({ alice }) => alice.session.addCredential(Credential.basic("mallory", { cipherSuite: suite })),
    "CLIENT_MISMATCH",
    /./,
  ],
  [
    "a credential that is none",
    ({ alice }) => alice.session.addCredential(wrong({})),
    "INVALID_ARGUMENT",
    /credential\.clientId must be a string/,
  ],
  [
    "an unknown suite",
    async () => Credential.basic("alice", { cipherSuite: wrong("MLS_256_ROT13") }),
    "INVALID_ARGUMENT",
    /options\.cipherSuite must be one of "MLS_128_/,
  ],
  [
    "no suite",
    async () => Credential.basic("alice", wrong(undefined)),
    "INVALID_ARGUMENT",
    /options must be an object/,
  ],
  [
    "a credential of nobody",
    ({ alice }) => alice.session.generateKeyPackages({ ...alice.credential, ref: "00".repeat(32) }, { count: 1 }),
    "CREDENTIAL_NOT_FOUND",
    /./,
  ],
  [
    "a credential ref that is no hex",
    ({ alice }) => alice.session.createConversation("x", { credential: { ...alice.credential, ref: "zz" } }),
    "CREDENTIAL_NOT_FOUND",
    /./,
  ],
  [
    "a credential ref of another shape",
    ({ alice }) => alice.session.createConversation("x", { credential: wrong(alice.credential.ref) }),
    "INVALID_ARGUMENT",
    /options\.credential must be an object/,
  ],

  // Members
  ["no invitees", ({ team }) => team.addMembers([]), "INVALID_ARGUMENT", /invitees must be an array with 1 to/],
  [
    "invitees that are no list",
    ({ team, carols }) => team.addMembers(wrong(carols)),
    "INVALID_ARGUMENT",
    /invitees must be an array/,
  ],
  [
    "an empty list of members",
    ({ alice }) => alice.session.createConversation("x", { credential: alice.credential, members: [] }),
    "INVALID_ARGUMENT",
    /options\.members must be an array with 1 to/,
  ],
  ["nobody to remove", ({ team }) => team.removeMembers([]), "INVALID_ARGUMENT", /leaves must be an array/],
  [
    "an invitee of text",
    ({ team }) => team.addMembers(wrong(["carol"])),
    "INVALID_ARGUMENT",
    /invitees\.0 must be an object/,
  ],
  [
    "an invitee without a name",
    ({ team, carols }) => team.addMembers(wrong([{ keyPackage: carols }])),
    "INVALID_ARGUMENT",
    /invitees\.0\.clientId/,
  ],
  [
    "an invitee with more",
    ({ team, carols }) => team.addMembers(wrong([{ keyPackage: carols, clientId: "carol", role: "admin" }])),
    "INVALID_ARGUMENT",
    /"role"/,
  ],
  ["a key package of noise", ({ team }) => team.addMembers([bytes("noise")]), "KEY_PACKAGE_INVALID", /./],
  ["an empty key package", ({ team }) => team.addMembers([new Uint8Array()]), "KEY_PACKAGE_INVALID", /./],
  [
    "a key package of another suite",
    ({ team, ofOtherSuite }) => team.addMembers([ofOtherSuite]),
    "KEY_PACKAGE_MISMATCH",
    /suite/,
  ],
  [
    "a key package of somebody else",
    ({ team, carols }) => team.addMembers([{ keyPackage: carols, clientId: "dave" }]),
    "KEY_PACKAGE_MISMATCH",
    /./,
  ],
  ["a member twice", ({ team, carols }) => team.addMembers([carols, carols]), "ALREADY_MEMBER", /./],
  ["a member again", async ({ team, bob }) => team.addMembers([await bob.keyPackage()]), "ALREADY_MEMBER", /./],
  [
    "oneself as a member",
    ({ alice, own }) => alice.session.createConversation("x", { credential: alice.credential, members: [own] }),
    "ALREADY_MEMBER",
    /./,
  ],
  ["a removal of nobody", ({ team }) => team.removeMembers(["nobody"]), "NOT_A_MEMBER", /./],
  ["a removal of oneself", ({ team }) => team.removeMembers(["alice"]), "INVALID_ARGUMENT", /./],

  // Lists and objects that are hard to read
  [
    "a batch of holes",
    ({ alice }) => alice.session.receive(new Array<Uint8Array>(2)),
    "INVALID_ARGUMENT",
    /messages\.0 must be a Uint8Array/,
  ],
  [
    "a batch with a hole",
    ({ alice }) => alice.session.receive(wrong(Object.assign([bytes("x")], { 2: bytes("y") }))),
    "INVALID_ARGUMENT",
    /messages\.1 must be a Uint8Array/,
  ],
  [
    "a batch of four milliards",
    ({ alice }) => alice.session.receive(new Array<Uint8Array>(2 ** 32 - 1)),
    "INVALID_ARGUMENT",
    /messages\.0 must be a Uint8Array/,
  ],
  [
    "a batch that was revoked",
    ({ alice }) => alice.session.receive(wrong(revoked([]))),
    "INVALID_ARGUMENT",
    /messages must be a Uint8Array/,
  ],
  [
    "a batch with an entry that was revoked",
    ({ alice }) => alice.session.receive(wrong([revoked({})])),
    "INVALID_ARGUMENT",
    /messages\.0 must be a Uint8Array/,
  ],
  [
    "a batch that throws",
    ({ alice }) => alice.session.receive(trap([bytes("x"), bytes("y")], "1")),
    "INVALID_ARGUMENT",
    /messages\.1 could not be read/,
  ],
  [
    "a batch whose length throws",
    ({ alice }) => alice.session.receive(trap([], "length")),
    "INVALID_ARGUMENT",
    /messages could not be read/,
  ],
  [
    "a batch whose length is none",
    ({ alice }) => alice.session.receive(new Proxy<Uint8Array[]>([], { get: () => 0.5 })),
    "INVALID_ARGUMENT",
    /messages could not be read/,
  ],
  [
    "invitees that were revoked",
    ({ team }) => team.addMembers(wrong(revoked([]))),
    "INVALID_ARGUMENT",
    /invitees must be an array with 1 to/,
  ],
  [
    "an invitee that was revoked",
    ({ team }) => team.addMembers(wrong([revoked({})])),
    "INVALID_ARGUMENT",
    /invitees\.0 could not be read/,
  ],
  [
    "an invitee that throws",
    ({ team, carols }) => team.addMembers([trap({ keyPackage: carols, clientId: "carol" }, "clientId")]),
    "INVALID_ARGUMENT",
    /invitees\.0\.clientId could not be read/,
  ],
  [
    "a hole among invitees",
    ({ alice }) =>
      alice.session.createConversation("x", { credential: alice.credential, members: new Array<Uint8Array>(1) }),
    "INVALID_ARGUMENT",
    /options\.members\.0 must be an object/,
  ],
  [
    "leaves that throw",
    ({ team }) => team.removeMembers(trap(["bob"], "0")),
    "INVALID_ARGUMENT",
    /leaves\.0 could not be read/,
  ],
  [
    "too many leaves",
    ({ team }) => team.removeMembers(new Array<string>(2 ** 32 - 1)),
    "INVALID_ARGUMENT",
    /leaves must be an array with 1 to/,
  ],
  [
    "refs that were revoked",
    ({ alice }) => alice.session.removeKeyPackages(wrong(revoked([]))),
    "INVALID_ARGUMENT",
    /refs must be an array/,
  ],
  [
    "four milliards of refs",
    ({ alice }) => alice.session.removeKeyPackages(new Array<string>(2 ** 32 - 1)),
    "INVALID_ARGUMENT",
    /refs must be an array with 0 to 4096 entries/,
  ],
  [
    "a ref that is none",
    ({ alice }) => alice.session.removeKeyPackages(["00", wrong(7)]),
    "INVALID_ARGUMENT",
    /refs\.1 must be the ref of a key package/,
  ],
  [
    "options that were revoked",
    ({ team }) => team.updateKeys(revoked({})),
    "INVALID_ARGUMENT",
    /options could not be read/,
  ],
  [
    "a signal that was revoked",
    ({ team }) => team.updateKeys({ signal: wrong(revoked({})) }),
    "INVALID_ARGUMENT",
    /options\.signal could not be read/,
  ],
  [
    "a credential whose ref throws",
    ({ alice, team }) => team.updateKeys({ credential: trap({ ...alice.credential }, "ref") }),
    "INVALID_ARGUMENT",
    /options\.credential\.ref could not be read/,
  ],
  [
    "a misspelt option in the place of one that is required",
    ({ alice }) => alice.session.createConversation("x", wrong({ credentials: alice.credential })),
    "INVALID_ARGUMENT",
    /options .*"credentials".*Known here: credential, members, externalJoin/,
  ],
  [
    "a misspelt property of a credential",
    ({ alice: { session, credential } }) =>
      session.createConversation("x", {
        credential: wrong({ reference: credential.ref, clientId: "alice", cipherSuite: suite }),
      }),
    "INVALID_ARGUMENT",
    /options\.credential .*"reference".*Known here: ref, clientId, cipherSuite/,
  ],

  // Messages and small things
  [
    "a message of text",
    ({ alice }) => alice.session.receive(wrong("hello")),
    "INVALID_ARGUMENT",
    /messages must be a Uint8Array/,
  ],
  [
    "a batch with text in it",
    ({ alice }) => alice.session.receive(wrong([bytes("x"), "hello"])),
    "INVALID_ARGUMENT",
    /messages\.1 must be a Uint8Array/,
  ],
  [
    "plaintext of text",
    ({ team }) => team.encrypt(wrong("hello")),
    "INVALID_ARGUMENT",
    /plaintext must be a Uint8Array/,
  ],
  ["plaintext of numbers", ({ team }) => team.encrypt(wrong([1, 2, 3])), "INVALID_ARGUMENT", /plaintext/],
  [
    "plaintext of an ArrayBuffer",
    ({ team }) => team.encrypt(wrong(new ArrayBuffer(3))),
    "INVALID_ARGUMENT",
    /plaintext/,
  ],
  ["noise to decrypt", ({ team }) => team.decrypt(bytes("noise")), "MESSAGE_INVALID", /./],
  ["a Welcome of noise", ({ alice }) => alice.session.joinByWelcome(bytes("noise")), "WELCOME_INVALID", /./],
  ["noise to inspect", async () => inspectMessage(bytes("noise")), "MESSAGE_INVALID", /./],
  ["text to inspect", async () => inspectMessage(wrong("hello")), "INVALID_ARGUMENT", /bytes must be a Uint8Array/],
  [
    "a secret of no length",
    ({ team }) => team.exportSecret("label", bytes(""), 0),
    "INVALID_ARGUMENT",
    /length must be a whole number from 1 to 8160/,
  ],
  [
    "a secret without a label",
    ({ team }) => team.exportSecret("", bytes(""), 32),
    "INVALID_ARGUMENT",
    /label must be a string/,
  ],
  [
    "a data key of nothing",
    ({ alice }) => alice.session.setData("", bytes("x")),
    "INVALID_ARGUMENT",
    /key must be a string of 1 to 1024 bytes/,
  ],
  [
    "a data key that is too long",
    ({ alice }) => alice.session.data("é".repeat(513)),
    "INVALID_ARGUMENT",
    /key must be a string/,
  ],
  [
    "data of text",
    ({ alice }) => alice.session.setData("x", wrong("y")),
    "INVALID_ARGUMENT",
    /value must be a Uint8Array/,
  ],
  [
    "data that was forgotten",
    ({ alice }) => alice.session.setData("x", wrong(undefined)),
    "INVALID_ARGUMENT",
    /value must be a Uint8Array/,
  ],
];

it.each(cases)("%s is refused, and nothing is changed", async (_, call, code, message) => {
  const everything = await scene();
  const { alice, bob, team } = everything;
  const before = await picture(alice);
  const error = await failure((async () => call(everything))());
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  expect(await picture(alice)).toEqual(before);
  await alice.says("team", "as before");
  expect(await bob.hears("team")).toContain("as before");
  expect(await team.updateKeys()).toMatchObject({ outcome: "merged", attempts: 1 });
});

it("an error about one of a list says which one it is", async () => {
  const { team, carols, bob, ofOtherSuite } = await scene();
  const places: [Promise<unknown>, MlsErrorCode][] = [
    [team.addMembers([carols, await bob.keyPackage()]), "ALREADY_MEMBER"],
    [team.addMembers([carols, carols]), "ALREADY_MEMBER"],
    [team.addMembers([carols, bytes("noise")]), "KEY_PACKAGE_INVALID"],
    [team.addMembers([carols, ofOtherSuite]), "KEY_PACKAGE_MISMATCH"],
    [team.removeMembers(["bob", "nobody"]), "NOT_A_MEMBER"],
  ];
  for (const [call, code] of places) expect((await expectCode(call, code)).context).toMatchObject({ index: 1 });
  expect(await team.epoch()).toBe(1n);
});

/** What Alice has. */
async function picture({ session }: Person) {
  const team = session.conversation("team");
  return {
    conversations: await session.conversations(),
    epoch: await team.epoch(),
    members: await team.members(),
    unsettled: await session.unsettledCommits(),
    keyPackages: (await session.keyPackages()).length,
    credentials: await session.credentials(),
  };
}

const openings: [string, () => Promise<unknown>, MlsErrorCode, RegExp][] = [
  [
    "a database that is none",
    () => Session.open(wrong({}), { clientId: "alice" }),
    "INVALID_ARGUMENT",
    /database must be a Database/,
  ],
  [
    "no database",
    () => Session.open(wrong(undefined), { clientId: "alice" }),
    "INVALID_ARGUMENT",
    /database must be a Database/,
  ],
  [
    "no client id",
    async () => Session.open(await Database.inMemory(), wrong({})),
    "INVALID_ARGUMENT",
    /options\.clientId must be a string/,
  ],
  [
    "an unknown option",
    async () => Session.open(await Database.inMemory(), wrong({ clientId: "alice", Transport: {} })),
    "INVALID_ARGUMENT",
    /"Transport".*transport/,
  ],
  [
    "a misspelt client id",
    async () => Session.open(await Database.inMemory(), wrong({ clientID: "alice" })),
    "INVALID_ARGUMENT",
    /"clientID".*clientId/,
  ],
  [
    "options that were revoked",
    async () => Session.open(await Database.inMemory(), revoked({ clientId: "alice" })),
    "INVALID_ARGUMENT",
    /options could not be read/,
  ],
  [
    "a transport that throws",
    async () =>
      Session.open(await Database.inMemory(), { clientId: "alice", transport: wrong(trap({}, "sendCommitBundle")) }),
    "INVALID_ARGUMENT",
    /options\.transport could not be read/,
  ],
  [
    "a database that was revoked",
    () => Session.open(wrong(revoked({})), { clientId: "alice" }),
    "INVALID_ARGUMENT",
    /database must be a Database/,
  ],
  ["a key that was revoked", () => Database.open("x.db", wrong(revoked({}))), "INVALID_ARGUMENT", /key must be a/],
  [
    "a key that shows itself as one and is none",
    () => Database.open("x.db", wrong({ [Symbol.for("conclave-mls.DatabaseKey")]: true, copyBytes: () => "secret" })),
    "INVALID_ARGUMENT",
    /key must be a Uint8Array/,
  ],
  [
    "a transport without a method",
    async () => Session.open(await Database.inMemory(), wrong({ clientId: "alice", transport: {} })),
    "INVALID_ARGUMENT",
    /options\.transport must be an object with the method sendCommitBundle/,
  ],
  [
    "a time limit of for ever",
    async () => Session.open(await Database.inMemory(), { clientId: "alice", sendTimeoutMs: Infinity }),
    "INVALID_ARGUMENT",
    /options\.sendTimeoutMs/,
  ],
  [
    "deliver that is no function",
    async () => Session.open(await Database.inMemory(), wrong({ clientId: "alice", deliver: "here" })),
    "INVALID_ARGUMENT",
    /options\.deliver must be a function/,
  ],
  ["an empty path", () => Database.open("", DatabaseKey.generate()), "INVALID_ARGUMENT", /path must be/],
  ["a path with NUL", () => Database.open("a\0b", DatabaseKey.generate()), "INVALID_ARGUMENT", /path must be/],
  [
    "a path that SQLite reads otherwise",
    () => Database.open(":memory:", DatabaseKey.generate()),
    "INVALID_ARGUMENT",
    /Database\.inMemory/,
  ],
  ["a key of text", () => Database.open("x.db", wrong("secret")), "INVALID_ARGUMENT", /key must be a DatabaseKey/],
  [
    "a short key",
    async () => DatabaseKey.from(new Uint8Array(31)),
    "INVALID_ARGUMENT",
    /bytes must have exactly 32 bytes; it has 31/,
  ],
];

it.each(openings)("%s does not open", async (_, open, code, message) => {
  const error = await failure(open());
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
});

it("names of any bytes work, NUL and all 4,096 included", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const odd = [
    new Uint8Array([0]),
    new Uint8Array(4096).fill(255),
    bytes("0x"),
    bytes("0x00 as text"),
    bytes("\u007f"),
  ];
  for (const id of odd) {
    const conversation = await alice.session.createConversation(id, { credential: alice.credential });
    expect(conversation.id).toMatch(/^0x([0-9a-f]{2})+$/);
    expect(await alice.session.conversation(conversation.id).epoch()).toBe(0n);
  }
  expect(await alice.session.conversations()).toHaveLength(odd.length);
  expect(MlsError.is(undefined)).toBe(false);
});

it("lists are read by their places, whatever methods of their own they have", async () => {
  const { alice, bob, team, carols } = await scene();
  const never = (): never => {
    throw new Error("not asked");
  };
  const odd = <T>(list: T[]) => Object.assign(list, { map: never, slice: never, [Symbol.iterator]: never });
  await team.addMembers(odd([carols]));
  const message = await team.encrypt(bytes("hello"));
  const received = await bob.session.receive(odd([...bob.server.log("team"), message]));
  expect(received.at(-1)).toMatchObject({ type: "message" });
  await team.removeMembers(odd(["carol"]));
  await alice.session.removeKeyPackages(odd(["00"]));
  expect(await team.members()).toHaveLength(2);
});

it("an error that was revoked is none of ours, and asking does no harm", () => {
  expect(MlsError.is(revoked(new Error("x")))).toBe(false);
});
