/**
 * One of the three: a process with an encrypted keystore of its own, as an application would have it. It reads what arrives all the
 * time, and does what the story asks for.
 */
import { join } from "node:path";
import {
  type CipherSuite,
  type CommitResult,
  Credential,
  Database,
  DatabaseKey,
  type Member,
  MlsError,
  type Received,
  Session,
} from "conclave-mls";
import { deliveryServiceAt, follow, transportOf } from "conclave-mls/delivery-service";
import { Gate } from "./gate.js";
import { MessageList } from "./message-list.js";
import { GROUP, takeRequests, tell } from "./protocol.js";
import type { EpochChange } from "./record.js";

const CIPHER_SUITE: CipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

const { name, folder, url } = introduction();
const service = deliveryServiceAt(url);
const gate = new Gate(transportOf(service, name));
const messages = new MessageList();
// A real application keeps the key where the operating system keeps secrets; in Electron, safeStorage. Here it dies with the process.
const database = await Database.open(join(folder, `${name}.keystore`), DatabaseKey.generate());
const session = await Session.open(database, { clientId: name, transport: gate.transport, deliver: messages.deliver });
const group = session.conversation(GROUP);

const waiting = new Set<() => void>();
const changes: EpochChange[] = [];
session.on("conversationChanged", ({ epoch, change: { added, removed, updated } }) => {
  changes.push({ epoch, added: names(added), removed: names(removed), updated: names(updated) });
  somethingHappened();
});

const leaving = new AbortController();
const reading = readWhatArrives();
let keyUpdate: Promise<CommitResult> | undefined;

takeRequests({
  async publishKeyPackages() {
    const credential = await session.addCredential(Credential.basic(name, { cipherSuite: CIPHER_SUITE }));
    await service.publishKeyPackages(name, await session.generateKeyPackages(credential, { count: 5 }));
  },

  async createGroup(others) {
    const credential = (await session.credentials())[0];
    if (credential === undefined) throw new Error(`${name} has no credential yet.`);
    const members = await Promise.all(
      others.map(async (clientId) => {
        const keyPackage = await service.claimKeyPackage(clientId, CIPHER_SUITE);
        if (keyPackage === undefined) throw new Error(`${clientId} has published no key package.`);
        return { keyPackage: keyPackage.bytes, clientId };
      }),
    );
    await session.createConversation(GROUP, { credential, members });
  },

  async say(lines) {
    const said = [];
    for (const text of lines) {
      const message = await group.encrypt(new TextEncoder().encode(text));
      said.push(messages.willComeBack(message, name, text));
      await service.sendMessage(name, message);
    }
    return said;
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

  async remove(other) {
    await group.removeMembers([other]);
  },

  async reached({ lines, epoch = 0n }) {
    await until(() => messages.lines.length >= lines && currentEpoch() >= epoch);
    const authenticator = (await group.active()) ? hex(await group.epochAuthenticator()) : undefined;
    return { name, epoch: currentEpoch(), authenticator };
  },

  async tryToTakePart(later) {
    const served = await service.fetch(name, GROUP, { fromEpoch: currentEpoch() });
    const received = await session.receive(later);
    const writing = await group.encrypt(new TextEncoder().encode("Can you still hear me?")).then(
      () => "encrypted",
      (error: unknown) => (MlsError.is(error) ? error.code : String(error)),
    );
    return { name, fetched: served.length, results: received.map(inWords), writing };
  },

  async report() {
    const { lines: list, again, trouble } = messages;
    return { name, process: process.pid, list, again, trouble, changes, retries: gate.retries };
  },

  async leave() {
    leaving.abort();
    await reading;
    await session.close();
    await service.close();
  },
});

/** What the story gives a person on the way. */
function introduction(): { name: string; folder: string; url: string } {
  const [name, folder] = process.argv.slice(2);
  const url = process.env.DELIVERY_SERVICE;
  if (name !== undefined && folder !== undefined && url !== undefined) return { name, folder, url };
  throw new Error("This program is one person of the demo. Start the demo: npm run demo");
}

/** Takes what arrives and acknowledges it when it is stored; until it is acknowledged it would come again. */
async function readWhatArrives(): Promise<void> {
  for await (const { bytes, cursor } of follow(service, name, { signal: leaving.signal })) {
    const received = await session.receive(bytes);
    if (received.some((one) => one.type === "welcome")) await session.joinByWelcome(bytes);
    await service.acknowledge(name, cursor);
    tell({ read: messages.lines.length });
    somethingHappened();
  }
}

function currentEpoch(): bigint {
  return changes.at(-1)?.epoch ?? 0n;
}

function somethingHappened(): void {
  for (const look of waiting) look();
}

/** Resolves as soon as this holds: looked at now, and whenever something happened. */
function until(holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!holds()) return;
      waiting.delete(look);
      resolve();
    };
    waiting.add(look);
    look();
  });
}

function inWords(received: Received): string {
  return "why" in received ? `${received.type}: ${received.why}` : received.type;
}

function names(members: readonly Member[]): string[] {
  return members.map((member) => member.clientId).sort();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
