/**
 * A session whose files are watched (its log is written by interpose.c), and everything of it that others can see. Arguments:
 * the folder to leave all that in, a seed, how many things to do, and the log.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  Credential,
  type CredentialRef,
  Database,
  DatabaseKey,
  type MlsConversation,
  MlsError,
  type MlsTransport,
  Session,
} from "conclave-mls";
import { Server } from "../../support/server.js";
import { Marker } from "../io/log.js";
import { suite } from "../kills/client.js";
import { Random } from "../random.js";
import { commitOf, type Event, writeRecording } from "./events.js";

const [folder = "", seed = "", steps = "", log = ""] = process.argv.slice(2);
const random = new Random(Number(seed));
const keys = { alice: new Uint8Array(randomBytes(32)), carol: new Uint8Array(randomBytes(32)) };
const server = new Server();
const events: Event[] = [];
const marker = new Marker(log);

/** From here on others can see it. */
function happened(event: Event): void {
  events.push(event);
  marker.mark(events.length);
}

const transport: MlsTransport = {
  ...server.transport("alice"),
  async sendCommitBundle(bundle, context) {
    const sent = { from: "alice", bundle, context };
    happened({ kind: "sent", commit: commitOf(sent) });
    const answer = server.take(sent);
    if (answer.status === "success") happened({ kind: "accepted", commitId: context.commitId });
    if (random.chance(0.15)) throw new Error("The answer got lost.");
    return answer;
  },
};
const bobsTransport: MlsTransport = {
  ...server.transport("bob"),
  async sendCommitBundle(bundle, context) {
    const sent = { from: "bob", bundle, context };
    const answer = server.take(sent);
    if (answer.status === "success") happened({ kind: "their commit", commit: commitOf(sent) });
    return answer;
  },
};

async function openAlice(): Promise<Session> {
  const database = await Database.open(join(folder, "alice/keystore.db"), DatabaseKey.from(keys.alice));
  return Session.open(database, { clientId: "alice", transport });
}

mkdirSync(join(folder, "alice"), { recursive: true });
let alice = await openAlice();
const credential = await alice.addCredential(Credential.basic("alice", { cipherSuite: suite }));
const credentials = [credential, await alice.addCredential(Credential.basic("alice", { cipherSuite: suite }))];
const [bob, bobsCredential] = await person("bob", await Database.inMemory(), bobsTransport);
const carolsFile = await Database.open(join(folder, "carol.db"), DatabaseKey.from(keys.carol));
const [carol, carolsCredential] = await person("carol", carolsFile);
const [bobsKeyPackage, carolsKeyPackage] = await Promise.all([
  lastResort(bob, bobsCredential),
  lastResort(carol, carolsCredential),
]);
await carol.close();

const conversations: string[] = [];
const unused: { bytes: Uint8Array; ref: string }[] = [];
const read = { alice: new Map<string, number>(), bob: new Map<string, number>() };

for (let step = 0; step < Number(steps); step++) await doSomething();
await alice.close();
await bob.close();
writeRecording(join(folder, "recording.json"), { events, keys });

async function doSomething(): Promise<void> {
  const weights = { say: 5, much: 2, store: 3, regret: 3, listen: 6, bobCommits: 3, commit: 4, publish: 2, reopen: 2 };
  const more = conversations.length < 3 ? 4 : 0;
  const what = random.weighted({ ...weights, found: more, join: more });
  switch (what) {
    case "found":
      return found();
    case "join":
      return joinBobs();
    case "publish":
      return publish();
    case "reopen":
      await alice.close();
      alice = await openAlice();
      return;
    default:
  }
  if (conversations.length === 0) return found();
  const id = random.of(conversations);
  const conversation = alice.conversation(id);
  switch (what) {
    case "say":
      return say(conversation);
    case "much":
      await Promise.all(Array.from({ length: 8 }, () => say(conversation)));
      return;
    case "store":
      await alice.transaction((tx) => sayTwice(tx.conversation(id)));
      return;
    case "regret": {
      const regret = new Error("taken back");
      const work = alice.transaction(async (tx) => {
        await sayTwice(tx.conversation(id));
        throw regret;
      });
      return work.catch((error: unknown) => {
        if (error !== regret) throw error;
      });
    }
    case "listen":
      await bobReads(id);
      await bobSays(id);
      return aliceReads(id);
    case "bobCommits":
      await bobReads(id);
      await bob.conversation(id).updateKeys();
      await bobSays(id);
      return aliceReads(id);
    case "commit":
      await aliceReads(id);
      await settled(conversation.updateKeys(random.chance(0.3) ? { credential: random.of(credentials) } : {}));
      return;
  }
}

async function found(): Promise<void> {
  const id = `alices-${conversations.length}`;
  const members = [bobsKeyPackage, carolsKeyPackage];
  await settled(alice.createConversation(id, { credential, members }));
  await bob.joinByWelcome(server.takeWelcomes("bob")[0]!);
  conversations.push(id);
}

async function joinBobs(): Promise<void> {
  if (unused.length === 0) await publish();
  const id = `bobs-${conversations.length}`;
  const members = [unused.shift()!.bytes, carolsKeyPackage];
  await bob.createConversation(id, { credential: bobsCredential, members });
  await alice.joinByWelcome(server.takeWelcomes("alice")[0]!);
  happened({ kind: "joined", conversation: id });
  conversations.push(id);
}

async function publish(): Promise<void> {
  for (const { bytes, ref } of await alice.generateKeyPackages(credential, { count: 2 })) {
    happened({ kind: "key package", bytes, ref });
    unused.push({ bytes, ref });
  }
}

async function say(conversation: MlsConversation): Promise<void> {
  const text = `alice ${events.length} ${random.below(2 ** 32)}`;
  const bytes = await conversation.encrypt(Buffer.from(text));
  happened({ kind: "sealed", bytes, text });
  server.post(bytes);
}

async function sayTwice(conversation: MlsConversation): Promise<void> {
  await say(conversation);
  await say(conversation);
}

async function bobSays(id: string): Promise<void> {
  const text = `bob ${random.below(2 ** 32)}`;
  const bytes = await bob.conversation(id).encrypt(Buffer.from(text));
  server.post(bytes);
  happened({ kind: "theirs", bytes, text });
}

async function bobReads(id: string): Promise<void> {
  await bob.receive(news("bob", id));
}

async function aliceReads(id: string): Promise<void> {
  const all = news("alice", id);
  await alice.receive(all);
  happened({ kind: "read", conversation: id, upTo: read.alice.get(id)! });
}

function news(who: "alice" | "bob", id: string): Uint8Array[] {
  const from = read[who].get(id) ?? 0;
  read[who].set(id, server.log(id).length);
  return server.log(id).slice(from);
}

/** A lost answer is found again. */
async function settled(commit: Promise<unknown>): Promise<void> {
  try {
    await commit;
  } catch (error) {
    if (!MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN")) throw error;
    while ((await alice.settle()).length > 0);
  }
}

async function person(clientId: string, database: Database, through?: MlsTransport): Promise<[Session, CredentialRef]> {
  const session = await Session.open(database, { clientId, ...(through && { transport: through }) });
  return [session, await session.addCredential(Credential.basic(clientId, { cipherSuite: suite }))];
}

async function lastResort(session: Session, owned: CredentialRef): Promise<Uint8Array> {
  const [keyPackage] = await session.generateKeyPackages(owned, { count: 1, lastResort: true });
  return keyPackage!.bytes;
}
