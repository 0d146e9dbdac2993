import { createHash } from "node:crypto";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { Credential, Database, DatabaseKey, type Received, Session } from "conclave-mls";
import { Server } from "../../support/server.js";
import { suite } from "../kills/client.js";
import type { Random } from "../random.js";
import { type Event, type Recording, sentOf } from "./events.js";

const idOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * Goes on with a keystore as a power cut has left it, in the world as it was at that moment. Answers what is wrong, in words:
 * nothing, if all that had left alice before is still good, and all that she does now is good for the others.
 *
 * `folder` has her files; `recorded` is where carol's keystore is, who has joined no conversation yet and reads everything
 * that was ever sent.
 */
export async function goOn(
  recording: Recording,
  past: readonly Event[],
  folder: string,
  recorded: string,
  random: Random,
): Promise<string[]> {
  const image = new Image(recording, past, random);
  try {
    await image.open(folder, recorded);
    await image.recover();
    await image.useKeyPackages();
    await image.talk();
    return image.wrong;
  } catch (error) {
    return [...image.wrong, describe(error)];
  } finally {
    await image.close();
  }
}

class Image {
  readonly wrong: string[] = [];
  readonly #recording: Recording;
  readonly #past: readonly Event[];
  readonly #server = new Server();
  /** What everybody said before the cut, by message. */
  readonly #said = new Map<string, { by: string; text: string }>();
  #alice: Session | undefined;
  #carol: Session | undefined;

  /** The server as it was: with a commit that was on its way either accepted or not. */
  constructor(recording: Recording, past: readonly Event[], random: Random) {
    this.#recording = recording;
    this.#past = past;
    const accepted = new Set(past.flatMap((event) => (event.kind === "accepted" ? [event.commitId] : [])));
    for (const event of past) {
      if (event.kind === "sealed" || event.kind === "theirs") {
        this.#server.post(event.bytes);
        this.#said.set(idOf(event.bytes), { by: event.kind === "sealed" ? "alice" : "bob", text: event.text });
      } else if (event.kind === "their commit") this.#server.take(sentOf(event.commit));
      else if (event.kind === "sent" && (accepted.has(event.commit.commitId) || random.chance(0.5)))
        this.#server.take(sentOf(event.commit));
    }
  }

  async open(folder: string, recorded: string): Promise<void> {
    const { alice, carol } = this.#recording.keys;
    const database = await Database.open(join(folder, "keystore.db"), DatabaseKey.from(alice));
    this.#alice = await Session.open(database, { clientId: "alice", transport: this.#server.transport("alice") });
    copyFileSync(join(recorded, "carol.db"), join(folder, "carol.db"));
    this.#carol = await Session.open(await Database.open(join(folder, "carol.db"), DatabaseKey.from(carol)), {
      clientId: "carol",
    });
  }

  async close(): Promise<void> {
    await this.#alice?.close();
    await this.#carol?.close();
  }

  /** Finds what was on its way, and receives what was not acknowledged. */
  async recover(): Promise<void> {
    const alice = this.#alice!;
    await this.#knowsWhatItSent();
    for (const welcome of this.#server.takeWelcomes("alice")) await alice.joinByWelcome(welcome);
    const known = await alice.conversations();
    for (const id of this.#conversations()) {
      if (!known.includes(id)) this.wrong.push(`${id} is forgotten`);
      else await this.#receivesTheRest(id);
    }
    const open = await alice.settle();
    if (open.length > 0) this.wrong.push(`a commit stays open: ${open[0]!.why}`);
  }

  /** The newest key packages that were handed out and not used yet still have their private keys. */
  async useKeyPackages(): Promise<void> {
    const used = new Set(
      this.#past.flatMap((event) =>
        event.kind === "their commit" ? event.commit.welcomeTo.map(({ keyPackageRef }) => keyPackageRef) : [],
      ),
    );
    const unused = this.#past.flatMap((event) => (event.kind === "key package" && !used.has(event.ref) ? [event] : []));
    await using dave = await Session.open(await Database.inMemory(), {
      clientId: "dave",
      transport: this.#server.transport("dave"),
    });
    const credential = await dave.addCredential(Credential.basic("dave", { cipherSuite: suite }));
    for (const { bytes, ref } of unused.slice(-2)) {
      await dave.createConversation(`daves-${ref}`, { credential, members: [bytes] });
      for (const welcome of this.#server.takeWelcomes("alice")) await this.#alice!.joinByWelcome(welcome);
    }
  }

  /** Says something everywhere and commits: others can read it, and all are in the same epoch. */
  async talk(): Promise<void> {
    for (const welcome of this.#server.takeWelcomes("carol")) await this.#carol!.joinByWelcome(welcome);
    for (const id of this.#conversations()) {
      const [alices, carols] = [this.#alice!.conversation(id), this.#carol!.conversation(id)];
      await this.#carolReads(id, 0);
      const before = this.#server.log(id).length;
      for (const text of ["after the cut", "and once more"]) {
        const bytes = await alices.encrypt(Buffer.from(text));
        this.#said.set(idOf(bytes), { by: "alice", text });
        this.#server.post(bytes);
      }
      await alices.updateKeys();
      await this.#carolReads(id, before);
      const same = Buffer.from(await alices.epochAuthenticator()).equals(await carols.epochAuthenticator());
      if (!same) this.wrong.push(`alice and carol do not agree in ${id}`);
    }
  }

  /** The conversations whose first commit the server has. */
  #conversations(): string[] {
    const ids = new Set(
      this.#past.flatMap((event) =>
        event.kind === "sent" || event.kind === "their commit" ? [event.commit.conversationId] : [],
      ),
    );
    return [...ids].filter((id) => this.#server.log(id).length > 0);
  }

  /** Her last commit that had left is staged, or it is known what became of it. */
  async #knowsWhatItSent(): Promise<void> {
    const sent = this.#past.findLast((event) => event.kind === "sent");
    if (sent === undefined) return;
    const { commitId, conversationId, epoch } = sent.commit;
    const open = await this.#alice!.unsettledCommits();
    if (open.some((one) => one.commitId === commitId)) return;
    const now = await this.#alice!.conversation(conversationId).epoch();
    if (now <= BigInt(epoch)) this.wrong.push(`a commit that had left is forgotten in ${conversationId}`);
  }

  /** What was acknowledged is not there once more, and what was not can be read. */
  async #receivesTheRest(id: string): Promise<void> {
    const log = this.#server.log(id);
    const acknowledged = this.#past.findLast((event) => event.kind === "read" && event.conversation === id);
    const upTo = acknowledged?.kind === "read" ? acknowledged.upTo : 0;
    for (const one of await this.#alice!.receive(log.slice(Math.max(0, upTo - 5), upTo)))
      if (one.type === "message") this.wrong.push(`what was acknowledged in ${id} could be read once more`);
    for (const one of await this.#alice!.receive(log.slice(upTo))) this.#judge("alice", one);
  }

  async #carolReads(id: string, from: number): Promise<void> {
    const log = this.#server.log(id).slice(from);
    const read = new Set<string>();
    for (const one of await this.#carol!.receive(log)) {
      this.#judge("carol", one);
      if (one.type === "message") read.add(one.messageId);
    }
    const expected = log.map(idOf).filter((messageId) => this.#said.has(messageId));
    for (const messageId of expected) {
      const { by, text } = this.#said.get(messageId)!;
      if (!read.has(messageId)) this.wrong.push(`carol cannot read "${text}" of ${by} in ${id}: a key was used twice`);
    }
  }

  #judge(who: string, one: Received): void {
    const said = "messageId" in one ? this.#said.get(one.messageId) : undefined;
    if (one.type === "unreadable") this.wrong.push(`${who} could not read ${said?.text ?? "something"}: ${one.why}`);
    // Her own message, from a transaction that was not stored: she cannot know it.
    if (one.type === "rejected" && said?.by !== who) this.wrong.push(`${who} rejected something: ${one.reason}`);
    if (one.type === "message" && Buffer.from(one.plaintext).toString() !== said?.text)
      this.wrong.push(`${who} read something that nobody said`);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${"code" in error ? `${String(error.code)} ` : ""}${error.message}`;
}
