/**
 * One of the five: a process with an encrypted keystore and a message list of its own, as an application would have them. It reads
 * what arrives all the time, and does what the story asks for. It may be killed at any moment; started anew, it goes on.
 */
import { join } from "node:path";
import {
  type CipherSuite,
  type CommitResult,
  Credential,
  Database,
  DatabaseKey,
  type Id,
  type Invitee,
  type Member,
  MlsError,
  type Received,
  Session,
} from "conclave-mls";
import { deliveryServiceAt, transportOf } from "conclave-mls/delivery-service";
import { Conditions } from "./conditions.js";
import { type Content, encodeContent } from "./content.js";
import { Diary } from "./diary.js";
import { contentsOf, digestOf } from "./file-chunks.js";
import { Gate } from "./gate.js";
import { MessageList, messageIdOf } from "./message-list.js";
import { GROUP, introduction, takeRequests, tell } from "./protocol.js";
import { readWhatArrives } from "./reading.js";
import { openStore, Seal } from "./store.js";

const CIPHER_SUITE: CipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

const { name, folder } = castAs();
const { url, key } = await introduction();
const service = deliveryServiceAt(url);
const store = openStore(join(folder, `${name}.messages`));
const diary = new Diary(store);
const messages = new MessageList(name, store, new Seal(key), diary);
const gate = new Gate(transportOf(service, name), () => diary.note("retry"));

const session = await Session.open(await openKeystore(), {
  clientId: name,
  transport: gate.transport,
  deliver: messages.deliver,
});
const credential =
  (await session.credentials())[0] ??
  (await session.addCredential(Credential.basic(name, { cipherSuite: CIPHER_SUITE })));
const group = session.conversation(GROUP);

const conditions = new Conditions();
let fromOutside = false;
session.on("conversationChanged", ({ epoch, cause, change: { added, removed, updated } }) => {
  const how = {
    created: "created",
    joined: fromOutside ? "external" : "welcome",
    own: "member",
    received: "member",
  } as const;
  diary.enter({ epoch, cause: how[cause], added: names(added), removed: names(removed), updated: names(updated) });
  conditions.somethingHappened();
});

const leaving = new AbortController();
const reading = readWhatArrives(session, service, leaving.signal, () => {
  tell({ lines: messages.count("line"), chunks: messages.count("chunk") });
  conditions.somethingHappened();
});
let keyUpdate: Promise<CommitResult> | undefined;

takeRequests({
  async publishKeyPackages() {
    await service.publishKeyPackages(name, await session.generateKeyPackages(credential, { count: 5 }));
  },

  async createGroup(others) {
    const members = await Promise.all(others.map(invitee));
    await session.createConversation(GROUP, { credential, members, externalJoin: true });
  },

  async invite(other) {
    await group.addMembers([await invitee(other)]);
  },

  async joinFromOutside() {
    fromOutside = true;
    await session.joinByExternalCommit(GROUP, { credential });
  },

  async remove(other) {
    await group.removeMembers([other]);
  },

  async say(cues) {
    const said = [];
    for (const { number, text } of cues) {
      said.push({ messageId: await send(`line ${number}`, { kind: "line", text }), by: name, text });
    }
    return said;
  },

  async sendFile(path) {
    const file = await digestOf(path);
    const messageIds = [];
    for await (const content of contentsOf(path, file)) {
      messageIds.push(await send(`file, message ${messageIds.length}`, content));
    }
    return { ...file, messageIds };
  },

  async fileArrived() {
    await conditions.until(() => messages.count("chunk") === messages.announced()?.chunks);
    return messages.assembled(messages.announced()?.name ?? "");
  },

  async prepareKeyUpdate() {
    const atTheGate = gate.close();
    keyUpdate = group.updateKeys();
    // Whichever is first: a commit that fails never comes to the gate.
    await Promise.race([atTheGate, keyUpdate]);
    return (await atTheGate).epoch;
  },

  async sendKeyUpdate() {
    if (keyUpdate === undefined) throw new Error(`${name} has prepared no key update.`);
    gate.open();
    const { epoch, attempts } = await keyUpdate;
    return { epoch, attempts };
  },

  async reached({ lines, epoch = 0n }) {
    await conditions.until(() => messages.count("line") >= lines && currentEpoch() >= epoch);
    const authenticator = (await group.active()) ? hex(await group.epochAuthenticator()) : undefined;
    return { name, epoch: currentEpoch(), authenticator };
  },

  async tryToRead(others) {
    const wanted = new Set(others.map(messageIdOf));
    const served = (await gate.transport.fetchMessages?.(GROUP, 0n, leaving.signal)) ?? [];
    let fetched = 0;
    for await (const message of served) if (wanted.has(messageIdOf(message))) fetched += 1;
    return { name, fetched, results: (await session.receive(others)).map(inWords) };
  },

  async tryToWrite() {
    return group.encrypt(new TextEncoder().encode("Can you still hear me?")).then(
      () => "encrypted",
      (error: unknown) => (MlsError.is(error) ? error.code : String(error)),
    );
  },

  async report() {
    return { name, process: process.pid, list: messages.lines(), changes: diary.epochs(), ...diary.notes() };
  },

  async leave() {
    leaving.abort();
    await reading;
    await session.close();
    await service.close();
    store.close();
  },
});

/** Who this process is, and where its files are. */
function castAs(): { name: string; folder: string } {
  const [name, folder] = process.argv.slice(2);
  if (name !== undefined && folder !== undefined && process.connected) return { name, folder };
  throw new Error("This program is one person of the demo. Start the demo: npm run demo");
}

async function openKeystore(): Promise<Database> {
  using databaseKey = DatabaseKey.from(key);
  key.fill(0);
  return await Database.open(join(folder, `${name}.keystore`), databaseKey);
}

/**
 * Sends something once, whatever happens to this process: the message is kept before it leaves, and the same bytes go out again
 * until they have come back. The delivery service takes them as the same message.
 */
async function send(task: string, content: Content): Promise<Id> {
  const { messageId, unsent } =
    messages.sentFor(task) ?? messages.willSend(task, await group.encrypt(encodeContent(content)), content);
  if (unsent !== null) await service.sendMessage(name, unsent);
  return messageId;
}

async function invitee(clientId: string): Promise<Invitee> {
  const keyPackage = await service.claimKeyPackage(clientId, CIPHER_SUITE);
  if (keyPackage === undefined) throw new Error(`${clientId} has published no key package.`);
  return { keyPackage: keyPackage.bytes, clientId };
}

function currentEpoch(): bigint {
  return diary.epochs().at(-1)?.epoch ?? 0n;
}

function inWords(received: Received): string {
  if ("why" in received) return `${received.type}: ${received.why}`;
  return received.type === "waiting" ? `waiting for a ${received.for}` : received.type;
}

function names(members: readonly Member[]): string[] {
  return members.map((member) => member.clientId).sort();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
