/** The scenario of docs/02-sending-and-receiving.md: its regions are what the page shows. */
import { dirname, join } from "node:path";
// snippet: imports
import { createHash } from "node:crypto";
import SQLite from "better-sqlite3";
import {
  type Change,
  Database,
  type Id,
  type Invitee,
  type MlsConversation,
  MlsError,
  type Received,
  Session,
} from "conclave-mls";
import {
  type DeliveryService,
  EmbeddedDeliveryService,
  follow,
  type QueueEntry,
  transportOf,
} from "conclave-mls/delivery-service";
// end
import { Credential, DatabaseKey, type SessionOptions } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";

// snippet: store
/** What the user sees: a database of the application's own, beside the keystore. */
class MessageList {
  readonly #database: SQLite.Database;
  readonly #add: SQLite.Statement;
  readonly #sent: SQLite.Statement;
  /** Conversations with a proposal that somebody has to commit, and after how many milliseconds. */
  readonly proposals = new Map<string, number>();

  constructor(path: string) {
    this.#database = new SQLite(path);
    this.#database.pragma("journal_mode = WAL");
    this.#database.pragma("synchronous = FULL"); // What was taken in here must outlive a power cut.
    this.#database.exec(`CREATE TABLE IF NOT EXISTS lines (
      place INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, text TEXT NOT NULL,
      unsent BLOB) STRICT`);
    this.#add = this.#database.prepare(
      "INSERT OR IGNORE INTO lines (message_id, conversation, text, unsent) VALUES (?, ?, ?, ?)",
    );
    this.#sent = this.#database.prepare("UPDATE lines SET unsent = NULL WHERE message_id = ?");
  }

  /** For `SessionOptions.deliver`: all of it or, when something throws, nothing. */
  readonly deliver = (received: readonly Received[]): void => {
    this.#database.transaction(() => received.forEach((one) => this.#take(one)))();
  };
  // end

  // snippet: kinds
  #take(received: Received): void {
    switch (received.type) {
      case "message":
        this.#line(received, `${received.sender.clientId}: ${new TextDecoder().decode(received.plaintext)}`);
        break;
      case "commit": // Members came, went or renewed their keys. `active` is false when this client was removed.
        this.#line(received, received.active ? news(received.change) : "You were removed.");
        break;
      case "unreadable": // Lost for good: the user should know that something is missing.
        this.#line(received, `A message cannot be read (${received.why}).`);
        break;
      case "ignored": // Nothing was lost. "own": this client's own message came back, so the server has it.
        if (received.why === "own") this.#sent.run(received.messageId);
        break;
      case "proposal": // Somebody has to commit it; not from in here, since deliver is inside a transaction.
        this.proposals.set(received.conversationId, received.commitAfterMs);
        break;
      case "waiting": // Too early. It is kept on the disk, and its result comes by itself.
      case "welcome": // An invitation. The code that called `receive` has the bytes, and joins with them.
      case "rejected": // Tampered, forged or against the rules. Worth counting; see below for what is worth showing.
        break;
    }
  }

  #line({ messageId, conversationId }: { messageId: string; conversationId: string }, text: string): void {
    if (text !== "") this.#add.run(messageId, conversationId, text, null);
  }
  // end

  // snippet: outbox
  /** Before the first attempt: whatever happens to this process, these bytes will be sent. */
  willSend(conversation: string, text: string, message: Uint8Array): void {
    const messageId = createHash("sha256").update(message).digest("hex"); // as `receive` will call it
    this.#add.run(messageId, conversation, text, message);
  }

  /** What the server may not have yet, oldest first. */
  unsent(): Uint8Array[] {
    const waiting = this.#database.prepare("SELECT unsent FROM lines WHERE unsent IS NOT NULL ORDER BY place").pluck();
    return (waiting.all() as Buffer[]).map((message) => new Uint8Array(message));
  }
  // end

  lines(): string[] {
    return this.#database.prepare("SELECT text FROM lines ORDER BY place").pluck().all() as string[];
  }

  close(): void {
    this.#database.close();
  }
}

function news({ added, removed }: Change): string {
  const joined = added.map(({ clientId }) => `${clientId} has joined.`);
  const left = removed.map(({ clientId }) => `${clientId} has left.`);
  return [...joined, ...left].join(" ");
}

// snippet: send
async function say(conversation: MlsConversation, text: string, list: MessageList): Promise<void> {
  const message = await conversation.encrypt(new TextEncoder().encode(text));
  list.willSend(conversation.id, text, message); // On the screen from here on.
}

/** After each `say`, at every start, and whenever the connection is back. */
async function sendWhatWaits(clientId: string, list: MessageList, server: DeliveryService): Promise<void> {
  for (const message of list.unsent()) await server.sendMessage(clientId, message);
}
// end

// snippet: loop
/** Takes in what arrives for this client, until the signal. */
async function readWhatArrives(session: Session, server: DeliveryService, signal: AbortSignal): Promise<void> {
  for await (const { bytes, cursor } of follow(server, session.clientId, { signal })) {
    const received = await session.receive(bytes);
    if (received.some(({ type }) => type === "welcome")) await joinBy(bytes, session);
    await server.acknowledge(session.clientId, cursor);
  }
}

/** A Welcome for keys that are gone, to an epoch that is over, to where this client is already, damaged, or without its tree. */
const NEVER_BETTER = [
  "WELCOME_WITHOUT_KEY_PACKAGE",
  "WELCOME_OVERTAKEN",
  "WELCOME_INVALID",
  "CONVERSATION_EXISTS",
  "ROLLBACK_REFUSED",
  "RATCHET_TREE_MISSING",
] as const;

async function joinBy(welcome: Uint8Array, session: Session): Promise<void> {
  try {
    await session.joinByWelcome(welcome);
  } catch (error) {
    if (!MlsError.is(error, ...NEVER_BETTER)) throw error;
  }
}
// end

// snippet: batch
/** Takes in many entries at once, in whatever order the list has them. */
async function readBatch(session: Session, entries: readonly QueueEntry[]): Promise<void> {
  const oldestFirst = [...entries].sort((one, other) => one.cursor - other.cursor);
  const received = await session.receive(oldestFirst.map(({ bytes }) => bytes));
  const welcomes = new Set(received.filter(({ type }) => type === "welcome").map(({ messageId }) => messageId));
  for (const { bytes } of oldestFirst) {
    if (welcomes.has(createHash("sha256").update(bytes).digest("hex"))) await joinBy(bytes, session);
  }
}
// end

// snippet: present
/** The conversations that this client is in; `conversations()` also has those that have removed it. */
async function present(session: Session): Promise<Id[]> {
  const ids = await session.conversations();
  const active = await Promise.all(ids.map((id) => session.conversation(id).active()));
  return ids.filter((_, place) => active[place]);
}
// end

// snippet: way-back
/** The way back into a conversation that is stalled. "ask": somebody in it has to let this client in again. */
async function comesBack(session: Session, conversationId: Id): Promise<"back" | "ask"> {
  const { stalled, externalJoin, credential } = await session.conversation(conversationId).state();
  if (stalled?.why !== "refused") return "back";
  if (!externalJoin || credential === undefined) return "ask"; // By your own server: nothing can be encrypted.
  await session.joinByExternalCommit(conversationId, { credential });
  return "back";
}

/** What a member does who was asked. `addMembers` alone would be ALREADY_MEMBER: the old place in the group goes first. */
async function letsInAgain(conversation: MlsConversation, invitee: Invitee & { clientId: Id }): Promise<void> {
  await conversation.removeMembers([invitee.clientId]);
  await conversation.addMembers([invitee]);
}
// end

// snippet: proposals
/** When `commitAfterMs` is over. Another member may have been first: then there is nothing to commit, and nothing is sent. */
async function commitProposals(session: Session, list: MessageList): Promise<void> {
  for (const conversationId of list.proposals.keys()) {
    await session.conversation(conversationId).commitPendingProposals();
    list.proposals.delete(conversationId);
  }
}
// end

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const keys = new Map<string, DatabaseKey>();
const open: { close(): unknown }[] = [];
let folder: string;
let server: EmbeddedDeliveryService;

beforeEach(async () => {
  folder = dirname(await freshPath());
  server = await EmbeddedDeliveryService.inMemory();
  open.push(server);
});

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  keys.clear();
  await cleanUp();
});

/** Somebody with a keystore and a message list on the disk. Who comes again has been restarted. */
async function comes(clientId: string, changed: (list: MessageList) => SessionOptions["deliver"] = () => undefined) {
  const key = keys.get(clientId) ?? DatabaseKey.generate();
  const list = new MessageList(join(folder, `${clientId}.messages`));
  const deliver = changed(list) ?? list.deliver;
  const keystore = join(folder, `${clientId}.keystore`);
  // snippet: wire
  const database = await Database.open(keystore, key);
  const session = await Session.open(database, { clientId, transport: transportOf(server, clientId), deliver });
  // end
  open.push(list, session);
  if (!keys.has(clientId)) {
    const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
    await server.publishKeyPackages(clientId, await session.generateKeyPackages(credential, { count: 3 }));
  }
  keys.set(clientId, key);
  return { session, list };
}

type Person = Awaited<ReturnType<typeof comes>>;

/** Alice's group with these. Everything they read is up to what has been sent so far. */
async function group({ session }: Person, ...others: string[]): Promise<MlsConversation> {
  const [credential] = await session.credentials();
  const members = await Promise.all(others.map(invited));
  return session.createConversation("team", { credential: credential!, members });
}

async function invited(clientId: string) {
  const claimed = await server.claimKeyPackage(clientId, cipherSuite);
  return { keyPackage: claimed!.bytes, clientId };
}

async function says({ session, list }: Person, text: string): Promise<void> {
  await say(session.conversation("team"), text, list);
  await sendWhatWaits(session.clientId, list, server);
}

/** Runs the loop until it has acknowledged everything that is there now. */
async function reads({ session }: Pick<Person, "session">): Promise<void> {
  const last = (await server.pull(session.clientId)).at(-1)?.cursor;
  if (last === undefined) return;
  const leaving = new AbortController();
  const acknowledging = jest.spyOn(server, "acknowledge");
  acknowledging.mockImplementation(async (clientId, cursor) => {
    await EmbeddedDeliveryService.prototype.acknowledge.call(server, clientId, cursor);
    if (clientId === session.clientId && cursor === last) leaving.abort();
  });
  try {
    await readWhatArrives(session, server, leaving.signal);
  } finally {
    acknowledging.mockRestore();
  }
}

test("bob's list has what alice said, once and in order, and hers shows what has arrived", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  await group(alice, "bob");
  await say(alice.session.conversation("team"), "Hello, Bob!", alice.list);
  expect(alice.list.lines()).toEqual(["bob has joined.", "Hello, Bob!"]);
  expect(alice.list.unsent()).toHaveLength(1);

  await sendWhatWaits("alice", alice.list, server);
  await sendWhatWaits("alice", alice.list, server); // She does not know yet that it has arrived.
  await reads(alice);
  expect(alice.list.unsent()).toEqual([]);

  await reads(bob);
  await says(bob, "Hello, Alice!");
  await reads(alice);
  expect(bob.list.lines()).toEqual(["alice: Hello, Bob!", "Hello, Alice!"]);
  expect(alice.list.lines()).toEqual(["bob has joined.", "Hello, Bob!", "bob: Hello, Alice!"]);
});

test("what alice wrote and could not send is sent after a restart", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  await group(alice, "bob");
  await say(alice.session.conversation("team"), "I was interrupted.", alice.list);
  await alice.session.close();
  const again = await comes("alice");
  await sendWhatWaits("alice", again.list, server);
  await reads(bob);
  expect(bob.list.lines()).toEqual(["alice: I was interrupted."]);
});

test("as if bob had died between his list and his keystore: he has each message once all the same", async () => {
  const alice = await comes("alice");
  let dies = false;
  const bob = await comes("bob", (list) => (received) => {
    list.deliver(received);
    if (dies) throw new Error("killed here");
  });
  await group(alice, "bob");
  await reads(bob);
  await says(alice, "one");
  await says(alice, "two");
  dies = true;
  await expectCode(reads(bob), "DELIVER_FAILED");
  expect(bob.list.lines()).toEqual(["alice: one"]); // His list has it, his keystore knows nothing of it.
  await bob.session.close();

  const again = await comes("bob");
  await reads(again);
  expect(again.list.lines()).toEqual(["alice: one", "alice: two"]);
});

test("as if bob had died before he could acknowledge: Welcome and message come again, and do no harm", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  await group(alice, "bob");
  await says(alice, "one");
  jest.spyOn(server, "acknowledge").mockResolvedValue(undefined); // What he acknowledges does not get through.
  for (const { bytes } of await server.pull("bob")) {
    if ((await bob.session.receive(bytes)).some(({ type }) => type === "welcome")) await joinBy(bytes, bob.session);
  }
  jest.restoreAllMocks();
  await reads(bob);
  expect(bob.list.lines()).toEqual(["alice: one"]);
  expect(await server.pull("bob")).toEqual([]);
});

test("early, forged and lost messages are told apart, and the list says what is missing", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  const team = await group(alice, "bob");
  await says(alice, "one");
  const [welcome, early] = await server.pull("bob");
  expect(await bob.session.receive(early!.bytes)).toMatchObject([{ type: "waiting", for: "welcome" }]);
  expect(bob.list.lines()).toEqual([]);
  await joinBy(welcome!.bytes, bob.session);
  expect(bob.list.lines()).toEqual(["alice: one"]);

  const genuine = await team.encrypt(new TextEncoder().encode("two"));
  const forged = genuine.slice();
  forged[forged.length - 1]! ^= 1;
  const received = await bob.session.receive([forged, genuine]);
  expect(received).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }, { type: "message" }]);

  const tooOld = await team.encrypt(new TextEncoder().encode("never read"));
  for (let epoch = 0; epoch < 6; epoch++) await team.updateKeys();
  await reads(bob);
  expect(await bob.session.receive(tooOld)).toMatchObject([{ type: "unreadable", why: "epoch-too-old" }]);
  expect(bob.list.lines().slice(1)).toEqual(["alice: two", "A message cannot be read (epoch-too-old)."]);
});

test("the list tells who has come and gone, and that one is out oneself", async () => {
  const [alice, bob, carol] = [await comes("alice"), await comes("bob"), await comes("carol")];
  await comes("dave");
  const team = await group(alice, "bob");
  await team.addMembers([await invited("carol"), await invited("dave")]);
  await team.removeMembers(["carol"]);
  await reads(bob);
  await reads(carol);
  expect(bob.list.lines()).toEqual(["carol has joined. dave has joined.", "carol has left."]);
  expect(carol.list.lines()).toEqual(["You were removed."]);
});

test("a batch in the wrong order, with a Welcome in it, is read as it was said", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  const team = await group(alice, "bob");
  await reads(bob);
  for (let epoch = 0; epoch < 8; epoch++) {
    await says(alice, `${epoch}`);
    await team.updateKeys();
  }
  const [credential] = await alice.session.credentials();
  const members = [await invited("bob")];
  const other = await alice.session.createConversation("other", { credential: credential!, members });
  await say(other, "in the other", alice.list);
  await sendWhatWaits("alice", alice.list, server);

  await readBatch(bob.session, (await server.pull("bob")).reverse());
  const texts = ["0", "1", "2", "3", "4", "5", "6", "7", "in the other"];
  expect(bob.list.lines()).toEqual(texts.map((text) => `alice: ${text}`));
  expect(await bob.session.conversation("team").epoch()).toBe(await team.epoch());
});

test("as it stands in the pitfalls: newest first, the oldest messages of a long list are lost", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  const team = await group(alice, "bob");
  await reads(bob);
  for (let epoch = 0; epoch < 8; epoch++) {
    await says(alice, `${epoch}`);
    await team.updateKeys();
  }
  const newestFirst = (await server.pull("bob")).reverse();
  await bob.session.receive(newestFirst.map(({ bytes }) => bytes));
  expect(bob.list.lines()).toContain("A message cannot be read (epoch-too-old).");
});

test("a conversation that has removed bob stays in his list, and says so, until he wipes it or is in it again", async () => {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  const team = await group(alice, "bob");
  await reads(bob);
  const late = await team.encrypt(new TextEncoder().encode("said before"));
  await team.removeMembers(["bob"]);
  await reads(bob);

  expect([await bob.session.conversations(), await present(bob.session)]).toEqual([["team"], []]);
  const removed = bob.session.conversation("team");
  expect(await removed.state()).toMatchObject({ membership: "removed", epoch: 1n });
  expect(await removed.epoch()).toBe(1n);
  await expectCode(removed.members(), "CONVERSATION_INACTIVE");
  await expectCode(removed.encrypt(new Uint8Array(1)), "CONVERSATION_INACTIVE");
  expect(await bob.session.receive(late)).toMatchObject([{ type: "unreadable", why: "removed" }]);

  await team.addMembers([await invited("bob")]);
  await reads(bob);
  expect(await present(bob.session)).toEqual(["team"]);
  await team.removeMembers(["bob"]);
  await reads(bob);
  await removed.wipe();
  expect(await bob.session.conversations()).toEqual([]);
});

test("a proposal is noted by deliver and committed later; where another was first nothing is sent", async () => {
  const [alice] = [await comes("alice"), await comes("bob")];
  await group(alice, "bob");
  const change = { added: [], removed: [], updated: [], other: [] };
  const proposal = { type: "proposal", by: "external", change, commitAfterMs: 15_000 } as const;
  alice.list.deliver([{ ...proposal, messageId: "aa", conversationId: "team", epoch: 1n }]);
  expect([...alice.list.proposals]).toEqual([["team", 15_000]]);
  await commitProposals(alice.session, alice.list);
  expect([...alice.list.proposals]).toEqual([]);
  expect(await alice.session.conversation("team").epoch()).toBe(1n);
});

/** Alice's group with bob, whose commit the server accepts and says to refuse: he cannot have it back. */
async function stalledForBob(externalJoin: boolean) {
  const [alice, bob] = [await comes("alice"), await comes("bob")];
  const [credential] = await alice.session.credentials();
  const members = [await invited("bob")];
  const team = await alice.session.createConversation("team", { credential: credential!, members, externalJoin });
  await reads(bob);
  jest.spyOn(server, "sendCommit").mockImplementationOnce(async (...commit) => {
    await EmbeddedDeliveryService.prototype.sendCommit.apply(server, commit);
    return { status: "abort", reason: "a defect of the server" };
  });
  await expectCode(bob.session.conversation("team").updateKeys(), "COMMIT_REJECTED");
  await reads(bob);
  await expectCode(bob.session.conversation("team").encrypt(new Uint8Array(1)), "CONVERSATION_STALLED");
  await reads(alice);
  return { alice, bob, team };
}

test("who is stalled comes back from outside where the conversation allows it", async () => {
  const { alice, bob } = await stalledForBob(true);
  expect(await comesBack(bob.session, "team")).toBe("back");
  expect(await comesBack(bob.session, "team")).toBe("back"); // There is nothing to do any more.
  await says(bob, "Here I am again.");
  await reads(alice);
  expect(alice.list.lines().at(-1)).toBe("bob: Here I am again.");
});

test("who is stalled in a conversation that lets nobody in is let in again by a member", async () => {
  const { alice, bob, team } = await stalledForBob(false);
  expect(await comesBack(bob.session, "team")).toBe("ask");
  await letsInAgain(team, await invited("bob"));
  await reads(bob);
  await says(bob, "Here I am again.");
  await reads(alice);
  expect(alice.list.lines().at(-1)).toBe("bob: Here I am again.");
});
