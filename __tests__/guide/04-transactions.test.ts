/** The scenario of docs/04-transactions.md: its regions are what the page shows. */
import { dirname, join } from "node:path";
import { Credential, Database, DatabaseKey, type Invitee, MlsError, type Received, Session } from "conclave-mls";
import { type DeliveryService, EmbeddedDeliveryService, transportOf } from "conclave-mls/delivery-service";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// snippet: cursor
/** Receives a batch, and remembers how far it went, or does neither. */
async function receiveBatch(session: Session, batch: readonly Uint8Array[], cursor: number): Promise<Received[]> {
  return session.transaction(async (tx) => {
    const received = await tx.receive(batch);
    await tx.setData("cursor", encoder.encode(String(cursor)));
    return received;
  });
}

/** Where to go on after a restart. */
async function cursorOf(session: Session): Promise<number> {
  const cursor = await session.data("cursor");
  return cursor === undefined ? 0 : Number(decoder.decode(cursor));
}
// end

// snippet: leave
/** Says goodbye in every conversation, then forgets them all: one fsync, and never a half of it. */
async function leaveNothing(session: Session, send: (message: Uint8Array) => void): Promise<void> {
  await session.transaction(async (tx) => {
    for (const id of await tx.conversations()) {
      const conversation = tx.conversation(id);
      if (await conversation.active()) send(await conversation.encrypt(encoder.encode("Goodbye.")));
      await conversation.wipe();
    }
  });
}
// end

// snippet: commit
/** Notes what it is about to do, does it, and notes that it is done. */
async function inviteWithNote(session: Session, invitee: Invitee, check: () => void): Promise<void> {
  await session.transaction(async (tx) => {
    await tx.setData("inviting", encoder.encode("begun")); // Stored before the commit is sent.
    await tx.conversation("team").addMembers([invitee]); // Sent in the open: others go on meanwhile.
    await tx.setData("inviting", encoder.encode("done"));
    check(); // A throw here takes back "done", and nothing before it.
  });
}
// end

// snippet: dispose
/** For code that cannot be one callback, such as a stream of chunks. */
async function importAll(session: Session, chunks: AsyncIterable<{ name: string; value: Uint8Array }>): Promise<void> {
  await using tx = await session.newTransaction();
  for await (const { name, value } of chunks) await tx.setData(name, value);
  await tx.finish(); // Without it, also when something throws, leaving the block is an abort.
}
// end

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const open: { close(): Promise<void> }[] = [];
let folder: string;
let server: DeliveryService;

beforeEach(async () => {
  folder = dirname(await freshPath());
  server = await EmbeddedDeliveryService.inMemory();
  open.push(server);
});

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  await cleanUp();
});

async function comes(clientId: string, key = DatabaseKey.generate(), transactionTimeoutMs = 60_000): Promise<Session> {
  const database = await Database.open(join(folder, `${clientId}.keystore`), key);
  const transport = transportOf(server, clientId);
  const session = await Session.open(database, { clientId, transport, transactionTimeoutMs });
  open.push(session);
  if ((await session.credentials()).length === 0) {
    const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
    await server.publishKeyPackages(clientId, await session.generateKeyPackages(credential, { count: 3 }));
  }
  return session;
}

async function invited(clientId: string): Promise<Invitee> {
  const claimed = await server.claimKeyPackage(clientId, cipherSuite);
  return { keyPackage: claimed!.bytes, clientId };
}

async function aliceAndBob() {
  const key = DatabaseKey.generate();
  const [alice, bob] = [await comes("alice", key), await comes("bob")];
  const [credential] = await alice.credentials();
  const team = await alice.createConversation("team", { credential: credential!, members: [await invited("bob")] });
  const [welcome] = await server.pull("bob");
  await bob.joinByWelcome(welcome!.bytes);
  return { alice, key, team, bob };
}

const texts = (received: readonly Received[]): string[] =>
  received.flatMap((one) => (one.type === "message" ? [decoder.decode(one.plaintext)] : []));

test("messages and the cursor are stored together, and are there after a restart", async () => {
  const { alice, key, bob } = await aliceAndBob();
  const bobsTeam = bob.conversation("team");
  const batch = [await bobsTeam.encrypt(encoder.encode("one")), await bobsTeam.encrypt(encoder.encode("two"))];

  expect(texts(await receiveBatch(alice, batch, 2))).toEqual(["one", "two"]);
  await alice.close();

  const again = await comes("alice", key);
  expect(await cursorOf(again)).toBe(2);
  expect(await receiveBatch(again, batch, 2)).toMatchObject([{ why: "duplicate" }, { why: "duplicate" }]);
});

test("what throws takes everything back, and comes out as it is", async () => {
  const { alice, bob } = await aliceAndBob();
  const message = await bob.conversation("team").encrypt(encoder.encode("one"));
  const full = new Error("the disk of my own store is full");
  const failing = alice.transaction(async (tx) => {
    await tx.receive(message);
    await tx.setData("cursor", encoder.encode("1"));
    throw full;
  });
  await expect(failing).rejects.toBe(full);
  expect(await cursorOf(alice)).toBe(0);
  expect(texts(await alice.receive(message))).toEqual(["one"]);
});

test("bytes of a transaction that failed are safe to send: bob reads them, and what follows", async () => {
  const { alice, bob } = await aliceAndBob();
  const sent: Uint8Array[] = [];
  const failing = leaveNothing(alice, (message) => {
    sent.push(message);
    throw new Error("the connection is gone");
  });
  await expect(failing).rejects.toThrow("the connection is gone");
  expect(await alice.conversations()).toEqual(["team"]);
  sent.push(await alice.conversation("team").encrypt(encoder.encode("I am still here.")));
  expect(texts(await bob.receive(sent))).toEqual(["Goodbye.", "I am still here."]);

  await leaveNothing(alice, () => {});
  expect(await alice.conversations()).toEqual([]);
});

test("a commit is sent in the open: what came before it stays, what came after it is taken back", async () => {
  const { alice, team } = await aliceAndBob();
  await comes("carol");
  const failing = inviteWithNote(alice, await invited("carol"), () => {
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect(decoder.decode(await alice.data("inviting"))).toBe("begun");
  expect(await team.members()).toHaveLength(3);
});

test("newTransaction: finished it is stored, left by a throw it is not", async () => {
  const { alice } = await aliceAndBob();
  async function* chunks(breaks: boolean) {
    yield { name: "theme", value: encoder.encode("dark") };
    if (breaks) throw new Error("the file ends here");
    yield { name: "language", value: encoder.encode("en") };
  }
  await expect(importAll(alice, chunks(true))).rejects.toThrow("the file ends here");
  expect(await alice.data("theme")).toBeUndefined();
  await importAll(alice, chunks(false));
  expect(decoder.decode(await alice.data("language"))).toBe("en");
});

test("the session is refused inside its own transaction, at once", async () => {
  const { alice } = await aliceAndBob();
  // snippet: nested
  await alice.transaction(async (tx) => {
    await tx.setData("a", encoder.encode("1")); // Part of the transaction.
    const refused = await alice.setData("b", encoder.encode("2")).catch((error: unknown) => error);
    console.log(MlsError.is(refused, "TRANSACTION_NESTED")); // true: it would wait for itself.
  });
  // end
  expect(printed.splice(0)).toEqual([true]);
  expect(await alice.data("b")).toBeUndefined();
});

test("a transaction that is kept too long is rolled back, and the session goes on", async () => {
  const session = await comes("dave", undefined, 50);
  const never = session.transaction(async (tx) => {
    await tx.setData("a", encoder.encode("1"));
    await new Promise(() => {});
  });
  await expectCode(never, "TRANSACTION_TIMEOUT");
  expect(await session.data("a")).toBeUndefined();
  await session.setData("a", encoder.encode("2"));
});

/** What the snippets print. */
const printed: unknown[] = [];
jest.spyOn(console, "log").mockImplementation((...values: unknown[]) => void printed.push(...values));
