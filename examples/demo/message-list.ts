import { createHash } from "node:crypto";
import type { Id, Received } from "conclave-mls";
import { type AnnouncedFile, type Content, decodeContent, encodeContent } from "./content.js";
import type { Diary } from "./diary.js";
import type { FileDigest, Line } from "./record.js";
import type { Seal, Store } from "./store.js";

/**
 * What one person sees on the screen: every message once, in the one order that the delivery service gave them. It is a table
 * with the message id as primary key: whatever was delivered before a kill and comes again after it is there already.
 */
export class MessageList {
  readonly #name: string;
  readonly #store: Store;
  readonly #seal: Seal;
  readonly #diary: Diary;
  readonly #sql: ReturnType<typeof statements>;

  constructor(name: string, store: Store, seal: Seal, diary: Diary) {
    this.#name = name;
    this.#store = store;
    this.#seal = seal;
    this.#diary = diary;
    this.#sql = statements(store);
  }

  /**
   * Keeps an own message, before the first attempt to send it. It takes its place on the list when it comes back from the
   * delivery service: only that knows the order. `task` says what it is sent for, to know it again.
   */
  willSend(task: string, message: Uint8Array, content: Content): OwnMessage {
    const own = { messageId: messageIdOf(message), unsent: message };
    this.#add({ ...own, place: null, by: this.#name, content, plaintext: encodeContent(content), task });
    return own;
  }

  /** The message of that task, if there is one. */
  sentFor(task: string): OwnMessage | undefined {
    return this.#sql.sentFor.get(task);
  }

  /** For `SessionOptions.deliver`: takes in everything that was received, all of it or nothing. */
  readonly deliver = (received: readonly Received[]): void => {
    this.#store.transaction(() => received.forEach((one) => this.#take(one)))();
  };

  /** How many messages of a kind are on the list. */
  count(kind: Content["kind"]): number {
    return this.#sql.count.get(kind) ?? 0;
  }

  /** The lines on the list, in order. */
  lines(): Line[] {
    return this.#sql.onList.all("line").map(({ messageId, by, content }) => {
      const line = decodeContent(this.#seal.open(content));
      return { messageId, by, text: line.kind === "line" ? line.text : "" };
    });
  }

  /** The file that somebody has announced. */
  announced(): AnnouncedFile | undefined {
    const [row] = this.#sql.onList.all("file");
    const content = row === undefined ? undefined : decodeContent(this.#seal.open(row.content));
    return content?.kind === "file" ? content.file : undefined;
  }

  /** What the chunks on the list make together. */
  assembled(name: string): FileDigest {
    const hash = createHash("sha256");
    let bytes = 0;
    for (const sealed of this.#sql.chunks.iterate()) {
      const chunk = decodeContent(this.#seal.open(sealed));
      if (chunk.kind !== "chunk") continue;
      hash.update(chunk.bytes);
      bytes += chunk.bytes.length;
    }
    return { name, bytes, sha256: hash.digest("hex") };
  }

  #take(received: Received): void {
    const { messageId } = received;
    switch (received.type) {
      case "message": {
        const { sender, plaintext } = received;
        const content = decodeContent(plaintext);
        if (this.#has(messageId)) this.#diary.note("again");
        this.#add({ messageId, place: this.#end(), by: sender.clientId, content, plaintext, task: null, unsent: null });
        break;
      }
      case "ignored":
        if (received.why === "own" && this.#sql.comeBack.run({ messageId, place: this.#end() }).changes > 0) break;
        // Not acknowledged before a kill, or read once more by a retry. Own commits are not on the list.
        if (this.#has(messageId)) this.#diary.noteRepeat();
        break;
      case "unreadable":
        // A retry reads the log from its beginning, and the keys of what has long been read are gone.
        if (this.#has(messageId)) this.#diary.noteRepeat();
        else if (!this.#wasElsewhere(received)) this.#diary.note("trouble", `unreadable: ${received.why}`);
        break;
      case "welcome": // The loop that pulls will join by it.
      case "commit": // The session's events tell more.
        break;
      case "rejected":
        this.#diary.note("trouble", `rejected: ${received.code}`);
        break;
      case "waiting":
        if (!this.#wasElsewhere(received)) this.#diary.note("trouble", `waiting for a ${received.for}`);
        break;
      case "proposal":
        this.#diary.note("trouble", "a proposal that nobody made");
        break;
    }
  }

  /**
   * What was sent before somebody came, or after they were removed, must be unreadable to them; or it waits, in vain, for them to be
   * invited again.
   */
  #wasElsewhere({ epoch }: { epoch: bigint }): boolean {
    const epochs = this.#diary.epochs();
    const [first, last] = [epochs[0], epochs.find(({ removed }) => removed.includes(this.#name))];
    return (first !== undefined && epoch < first.epoch) || (last !== undefined && epoch >= last.epoch);
  }

  #has(messageId: Id): boolean {
    return this.#sql.has.get(messageId) !== undefined;
  }

  #end(): number {
    return (this.#sql.last.get() ?? 0) + 1;
  }

  #add({ content, plaintext, ...row }: NewMessage): void {
    const { kind } = content;
    const number = content.kind === "chunk" ? content.index : 0;
    this.#sql.add.run({ ...row, kind, number, sealed: this.#seal.seal(plaintext) });
  }
}

/** As the session calls a message that it receives. */
export function messageIdOf(message: Uint8Array): Id {
  return createHash("sha256").update(message).digest("hex");
}

/** A message of one's own. */
interface OwnMessage {
  readonly messageId: Id;
  /** Its bytes, as long as the delivery service may not have it. */
  readonly unsent: Uint8Array | null;
}

interface NewMessage {
  readonly messageId: Id;
  readonly place: number | null;
  readonly by: string;
  readonly content: Content;
  readonly plaintext: Uint8Array;
  readonly task: string | null;
  readonly unsent: Uint8Array | null;
}

interface Row {
  readonly messageId: Id;
  readonly by: string;
  readonly content: Buffer;
}

function statements(store: Store) {
  return {
    add: store.prepare(
      `INSERT OR IGNORE INTO messages (message_id, place, sender, kind, number, content, task, unsent)
       VALUES (@messageId, @place, @by, @kind, @number, @sealed, @task, @unsent)`,
    ),
    comeBack: store.prepare(
      "UPDATE messages SET place = @place, unsent = NULL WHERE message_id = @messageId AND place IS NULL",
    ),
    has: store.prepare<[Id], number>("SELECT 1 FROM messages WHERE message_id = ? AND place IS NOT NULL").pluck(),
    sentFor: store.prepare<[string], OwnMessage>("SELECT message_id AS messageId, unsent FROM messages WHERE task = ?"),
    last: store.prepare<[], number | null>("SELECT max(place) FROM messages").pluck(),
    count: store.prepare<[string], number>("SELECT count(place) FROM messages WHERE kind = ?").pluck(),
    onList: store.prepare<[string], Row>(
      `SELECT message_id AS messageId, sender AS by, content FROM messages
       WHERE kind = ? AND place IS NOT NULL ORDER BY place`,
    ),
    chunks: store
      .prepare<[], Buffer>("SELECT content FROM messages WHERE kind = 'chunk' AND place IS NOT NULL ORDER BY number")
      .pluck(),
  };
}
