import type { Id, Received } from "../../lib/index.js";
import type { World } from "./world.js";

/** What somebody has read. */
interface Reading {
  readonly text: string;
  readonly by: Id;
  readonly epoch: bigint;
  /** How often something had been put back when it was read. */
  readonly setbacks: number;
}

/** The store of a simulated application, beside the keystore: what was said, read and lost. It outlives crashes. */
export class Notes {
  /** What was read, by messageId. */
  readonly read = new Map<Id, Reading>();
  /** What was told to be unreadable. */
  readonly lost = new Map<Id, string>();
  /** What was encrypted: the text by messageId. */
  readonly sealed = new Map<Id, string>();
  /** What a session has taken with it when it ended in the middle of handing it over: only without `deliver`. */
  readonly mayBeLost = new Set<Id>();
  /**
   * Messages that were encrypted in a transaction which is not known to be stored. They may be sent all the same; but when they come
   * back to a session that was opened later, it may not know that they are its own, and says `rejected`.
   */
  readonly unstored = new Set<Id>();
  /** Conversations that were wiped: the session knows nothing of what was read and sent before. */
  readonly wiped = new Set<Id>();
  /** The epochs whose commit, one of a guest from outside, was rejected, by conversation. */
  readonly refused = new Map<Id, bigint>();
  /** Messages that the session keeps until they can be read. */
  readonly #waiting = new Set<Id>();
  readonly #name: Id;
  readonly #world: World;
  #setbacks = 0;

  constructor(name: Id, world: World) {
    this.#name = name;
    this.#world = world;
  }

  /** Notes what was received. Its own messages come back as `ignored`. */
  takes(received: readonly Received[]): void {
    for (const one of received) {
      if (one.type === "waiting") this.#waiting.add(one.messageId);
      else this.#waiting.delete(one.messageId);
      if (one.type === "message") this.#reads(one);
      else if (one.type === "unreadable") this.#loses(one);
      else if (one.type === "commit") this.#world.truth.notesApplied(this.#name, one.messageId);
      else if (one.type === "rejected") this.#refuses(one);
      if (one.type === "rejected" && this.#isGenuine(one.messageId)) {
        this.#world.history.problem(this.#name, `rejected a genuine message: ${one.code}, ${one.reason}`);
      }
    }
  }

  /** Something was thrown, or a session ended, that puts back what was received: it will come again. */
  setBack(): void {
    this.#setbacks += 1;
  }

  /** The session ended while it handed this message over: that may be lost, and what it released too. */
  endedAt(messageId: Id): void {
    for (const id of [messageId, ...this.#waiting]) this.mayBeLost.add(id);
  }

  #refuses({ messageId, conversationId, epoch }: Received & { type: "rejected" }): void {
    const conversation = this.#world.truth.conversations.get(conversationId ?? "");
    if (conversation?.ofGuestsFromOutside.has(messageId) === true && epoch !== undefined)
      this.refused.set(conversation.id, epoch);
  }

  /** What was read and stays read, or was sent, is not lost, whenever it comes again. */
  #loses({ messageId, conversationId, why }: Received & { type: "unreadable" }): void {
    this.lost.set(messageId, why);
    if (this.wiped.has(conversationId)) return;
    const reading = this.read.get(messageId);
    const sent = this.sealed.get(messageId);
    if (reading?.setbacks === this.#setbacks)
      this.#world.history.problem(this.#name, `was told that it lost ${reading.text}, which it has read: ${why}`);
    if (sent !== undefined && !this.unstored.has(messageId))
      this.#world.history.problem(this.#name, `was told that it lost ${sent}, which it has sent: ${why}`);
  }

  #isGenuine(messageId: Id): boolean {
    return this.#world.truth.isGenuine(messageId) && !this.unstored.has(messageId);
  }

  #reads({ messageId, plaintext, aad, sender, epoch }: Received & { type: "message" }): void {
    const before = this.read.get(messageId);
    const text = new TextDecoder().decode(plaintext);
    const { truth } = this.#world;
    truth.notesKey(this.#name, sender.clientId, sender.signatureKey);
    if (!truth.guests.has(sender.clientId) && new TextDecoder().decode(aad) !== besides(text)) {
      this.#world.history.problem(this.#name, `read ${text} with the additional data of another message`);
    }
    if (before?.setbacks === this.#setbacks) this.#world.history.problem(this.#name, `read twice: ${text}`);
    if (before === undefined) this.#world.history.count("messages read");
    this.read.set(messageId, { text, by: sender.clientId, epoch, setbacks: this.#setbacks });
  }
}

/** The additional data of a message: seen by the server, and no other message's. */
export function besides(text: string): string {
  return `beside ${text}`;
}
