/** The scenario of docs/05-keystore-and-keys.md: its regions are what the page shows. */
import { chmod, open as openFile, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import {
  Credential,
  type CredentialRef,
  Database,
  DatabaseKey,
  inspectMessage,
  type KeyPackage,
  MlsError,
  Session,
  type SessionOptions,
} from "conclave-mls";
import { EmbeddedDeliveryService, transportOf } from "conclave-mls/delivery-service";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";

/** What the page uses of Electron's safeStorage. */
interface SafeStorage {
  encryptStringAsync(plainText: string): Promise<Buffer>;
  decryptStringAsync(encrypted: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }>;
}

// snippet: key
/** The key from the file in which the operating system has wrapped it; at the very first start, a fresh one. */
async function keyFrom(file: string, safeStorage: SafeStorage): Promise<DatabaseKey> {
  let wrapped: Buffer;
  try {
    wrapped = await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    const key = DatabaseKey.generate();
    await wrapInto(file, key, safeStorage); // On the disk before anything is encrypted with it.
    return key;
  }
  const { result, shouldReEncrypt } = await safeStorage.decryptStringAsync(wrapped);
  const bytes = Buffer.from(result, "base64");
  const key = DatabaseKey.from(bytes);
  bytes.fill(0);
  if (shouldReEncrypt) await wrapInto(file, key, safeStorage);
  return key;
}

async function wrapInto(file: string, key: DatabaseKey, safeStorage: SafeStorage): Promise<void> {
  const bytes = Buffer.from(key.copyBytes());
  const wrapped = await safeStorage.encryptStringAsync(bytes.toString("base64"));
  bytes.fill(0);
  await writeFile(`${file}.new`, wrapped, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file); // Never half a key, whenever the process dies.
}
// end

// snippet: open
async function openKeystore(path: string, key: DatabaseKey): Promise<Database> {
  try {
    return await Database.open(path, key);
  } finally {
    key[Symbol.dispose](); // The open keystore has a copy of its own.
  }
}
// end

// snippet: refusals
/** What to tell the user, and what to do. */
function whatNow(error: unknown): string {
  if (MlsError.is(error, "DATABASE_IN_USE")) return "It is open already: show the other window.";
  if (MlsError.is(error, "DATABASE_KEY_WRONG")) return "Another key, or another file: look for the right one.";
  if (MlsError.is(error, "DATABASE_TOO_NEW")) return "A newer version has been here: update the application.";
  if (MlsError.is(error, "DATABASE_CORRUPT"))
    return "The file is damaged: move it aside, and join again as a new client.";
  if (MlsError.is(error, "DATABASE_ROLLED_BACK"))
    return "This is an old state: put the newest files back, or go on from here if they are lost.";
  if (MlsError.is(error, "DATABASE_IO"))
    return "The disk does not play along: make room, check the permissions, try again.";
  throw error;
}
// end

// snippet: older-state
/** Goes on from an older state, because the newest one is lost. Answers the conversations that cannot go on. */
async function goOnFrom(path: string, key: DatabaseKey, options: SessionOptions): Promise<[Session, string[]]> {
  const session = await Session.open(await Database.open(path, key, { acceptRollback: true }), options);
  const stuck: string[] = [];
  for (const id of await session.conversations()) {
    const conversation = session.conversation(id);
    if (!(await conversation.active())) continue;
    try {
      await conversation.updateKeys(); // Until then encrypt() rejects with EPOCH_EXHAUSTED.
    } catch {
      stuck.push(id); // The lost state had gone on in it: be invited again, or join by an external commit.
    }
  }
  return [session, stuck];
}
// end

// snippet: another-key
/** Goes on in all conversations with a fresh signature key, and deletes the old one. */
async function renewSignatureKey(session: Session, old: CredentialRef): Promise<CredentialRef> {
  const { cipherSuite } = old;
  const credential = await session.addCredential(Credential.basic(session.clientId, { cipherSuite }));
  for (const id of await session.conversations()) {
    const conversation = session.conversation(id);
    if (await conversation.active()) await conversation.updateKeys({ credential });
  }
  await session.removeCredential(old); // Its key packages go with it: publish fresh ones, and withdraw the old ones before.
  return credential;
}
// end

// snippet: publish-again
/** Puts a fresh last resort into the place of the old one, and has everything on the server that can be used. */
async function republish(session: Session, credential: CredentialRef): Promise<void> {
  await session.generateKeyPackages(credential, { count: 1, lastResort: true }); // Replaces the one before.
  const keyPackages: KeyPackage[] = [];
  for (const { bytes, ...one } of await session.keyPackages({ bytes: true })) {
    if (bytes !== undefined) keyPackages.push({ ...one, bytes });
  }
  await server.publishKeyPackages(session.clientId, keyPackages);
}
// end

// snippet: closing
/** All sessions of the application, so that nobody forgets one. */
class Sessions {
  readonly #open = new Set<Session>();

  add(session: Session): Session {
    this.#open.add(session);
    return session;
  }

  /** Resolves when every keystore is stored and unlocked. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((session) => session.close()));
    this.#open.clear();
  }
}
// end

/** Stands for safeStorage: protects nothing, counts, and can want to have everything wrapped anew. */
class Keyring implements SafeStorage {
  shouldReEncrypt = false;
  wrapped = 0;

  async encryptStringAsync(plainText: string): Promise<Buffer> {
    this.wrapped += 1;
    return Buffer.from(`wrapped:${plainText}`);
  }

  async decryptStringAsync(encrypted: Buffer): Promise<{ result: string; shouldReEncrypt: boolean }> {
    return { result: encrypted.toString().replace("wrapped:", ""), shouldReEncrypt: this.shouldReEncrypt };
  }
}

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const sessions = new Sessions();
let folder: string;
let path: string;
let server: EmbeddedDeliveryService;

beforeEach(async () => {
  server = await EmbeddedDeliveryService.inMemory();
  path = await freshPath("alice.db");
  folder = dirname(path);
});

afterEach(async () => {
  await sessions.close();
  await server.close();
  await cleanUp();
});

async function openSession(key: DatabaseKey): Promise<Session> {
  return sessions.add(await Session.open(await openKeystore(path, key), { clientId: "alice" }));
}

/** What opening it says, in the words of the page. */
async function refusal(key: DatabaseKey): Promise<string> {
  const error = await Database.open(path, key).then(
    (database) => database.close(),
    (refused: unknown) => refused,
  );
  return whatNow(error);
}

test("the key is made once, comes back from the keyring, and opens what it has closed", async () => {
  const keyring = new Keyring();
  const file = join(folder, "alice.key");
  const session = await openSession(await keyFrom(file, keyring));
  await session.setData("note", new Uint8Array([1]));
  await sessions.close();
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  const again = await openSession(await keyFrom(file, keyring));
  expect(await again.data("note")).toEqual(new Uint8Array([1]));
  expect(keyring.wrapped).toBe(1);
  await sessions.close();

  keyring.shouldReEncrypt = true;
  await openSession(await keyFrom(file, keyring));
  expect(keyring.wrapped).toBe(2);
  expect((await readdir(folder)).filter((name) => name.startsWith("alice.key"))).toEqual(["alice.key"]);
});

test("a keyring that fails makes no second key: it is told, and the keystore waits", async () => {
  const keyring = new Keyring();
  const file = join(folder, "alice.key");
  await openSession(await keyFrom(file, keyring));
  await sessions.close();
  const wrapped = await readFile(file);
  keyring.decryptStringAsync = async () => Promise.reject(new Error("the keyring is locked"));
  await expect(keyFrom(file, keyring)).rejects.toThrow("the keyring is locked");
  expect(await readFile(file)).toEqual(wrapped);
});

test("a key that is disposed is wiped, and shows itself nowhere", async () => {
  const key = DatabaseKey.generate();
  const bytes = key.copyBytes();
  expect([key.toString(), JSON.stringify({ key }), inspect(key)].join()).not.toContain(
    Buffer.from(bytes).toString("hex"),
  );
  await openSession(key);
  expect(() => key.copyBytes()).toThrow(MlsError);
});

test("each way in which a keystore does not open says what to do", async () => {
  const bytes = DatabaseKey.generate().copyBytes();
  const key = (): DatabaseKey => DatabaseKey.from(bytes);
  const session = await openSession(key());
  for (let i = 0; i < 20; i++) await session.setData(`value ${i}`, new Uint8Array(4096).fill(i));
  expect(await refusal(key())).toMatch("open already");
  await sessions.close();
  expect(await refusal(DatabaseKey.generate())).toMatch("Another key");

  const file = await openFile(path, "r+");
  await file.write(Buffer.alloc(64, 0xff), 0, 64, Math.floor((await file.stat()).size / 2));
  await file.close();
  expect(await refusal(key())).toMatch("damaged");

  path = join(folder, "nowhere", "alice.db");
  expect(await refusal(key())).toMatch("does not play along");
});

test("a fresh signature key is used everywhere, and the old one is gone", async () => {
  const open = async (clientId: string): Promise<Session> =>
    sessions.add(await Session.open(await Database.inMemory(), { clientId, transport: transportOf(server, clientId) }));
  const [alice, bob] = [await open("alice"), await open("bob")];
  const old = await alice.addCredential(Credential.basic("alice", { cipherSuite }));
  const bobs = await bob.addCredential(Credential.basic("bob", { cipherSuite }));
  const [invited] = await bob.generateKeyPackages(bobs, { count: 1 });
  await server.publishKeyPackages("bob", [invited!]);
  const team = await alice.createConversation("team", { credential: old, members: [invited!.bytes] });
  await alice.createConversation("notes", { credential: old });

  const credential = await renewSignatureKey(alice, old);
  expect(await alice.credentials()).toEqual([credential]);
  await server.sendMessage("alice", await team.encrypt(Buffer.from("hello")));
  const read: string[] = [];
  for (const { bytes } of await server.pull("bob")) {
    if (inspectMessage(bytes).kind === "welcome") await bob.joinByWelcome(bytes);
    else
      for (const one of await bob.receive(bytes))
        if (one.type === "message") read.push(Buffer.from(one.plaintext).toString());
  }
  expect(read).toEqual(["hello"]);
  expect(await bob.conversation("team").members()).toEqual(await team.members());
});

test("an upload that failed is repeated, and the server has each key package once and the fresh last resort", async () => {
  const session = await openSession(DatabaseKey.generate());
  const credential = await session.addCredential(Credential.basic("alice", { cipherSuite }));
  const [old] = await session.generateKeyPackages(credential, { count: 1, lastResort: true });
  const [published, lost] = await session.generateKeyPackages(credential, { count: 2 });
  await server.publishKeyPackages("alice", [old!, published!]); // The answer never came, and the other one was not sent.
  await republish(session, credential);
  await republish(session, credential);

  const claimed = [1, 2, 3, 4].map(() => server.claimKeyPackage("alice", cipherSuite));
  const refs = (await Promise.all(claimed)).map((one) => one!.ref);
  expect(refs.slice(0, 2).sort()).toEqual([published!.ref, lost!.ref].sort());
  expect(refs[2]).toBe(refs[3]);
  expect(refs[2]).not.toBe(old!.ref);
});

test("a keystore belongs to one client for ever", async () => {
  const bytes = DatabaseKey.generate().copyBytes();
  await openSession(DatabaseKey.from(bytes));
  await sessions.close();
  const database = await openKeystore(path, DatabaseKey.from(bytes));
  await expectCode(Session.open(database, { clientId: "bob" }), "CLIENT_MISMATCH");
  await database.close();
});

test("on the disk are three files for their owner only, without names and contents; after closing, two", async () => {
  await chmod(folder, 0o755);
  const session = await openSession(DatabaseKey.generate());
  const credential = await session.addCredential(Credential.basic("alice", { cipherSuite }));
  await session.createConversation("a name that nobody should read", { credential });
  await session.setData("note", Buffer.from("something that nobody should read"));

  const files = (await readdir(folder)).sort();
  expect(files).toEqual(["alice.db", "alice.db-wal", "alice.db.lock"]);
  for (const file of files) {
    expect((await stat(join(folder, file))).mode & 0o077).toBe(0);
    expect((await readFile(join(folder, file))).toString("latin1")).not.toContain("nobody should read");
  }
  await sessions.close();
  expect((await readdir(folder)).sort()).toEqual(["alice.db", "alice.db.lock"]);
});

test("an old copy is noticed by its lock file, and going on from it renews all keys", async () => {
  const bytes = DatabaseKey.generate().copyBytes();
  const options = { clientId: "alice", transport: transportOf(server, "alice") };
  const first = sessions.add(await Session.open(await openKeystore(path, DatabaseKey.from(bytes)), options));
  const credential = await first.addCredential(Credential.basic("alice", { cipherSuite }));
  await first.createConversation("notes", { credential });
  await first.close();
  const old = await readFile(path);
  const lost = sessions.add(await Session.open(await openKeystore(path, DatabaseKey.from(bytes)), options));
  await lost.conversation("notes").encrypt(Buffer.from("by the state that is lost"));
  await lost.close();

  await writeFile(path, old);
  const refused = await expectCode(openKeystore(path, DatabaseKey.from(bytes)), "DATABASE_ROLLED_BACK");
  expect(whatNow(refused)).toContain("an old state");
  const [session, stuck] = await goOnFrom(path, DatabaseKey.from(bytes), options);
  sessions.add(session);
  expect(stuck).toEqual([]);
  await session.conversation("notes").encrypt(Buffer.from("with keys of its own"));
});
