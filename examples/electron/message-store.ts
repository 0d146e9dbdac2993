import Database from "better-sqlite3";
import type { Id } from "conclave-mls";

/** A message, own ones included, in the order in which they came or were sent. */
export interface Message {
  readonly messageId: Id;
  readonly conversationId: Id;
  readonly sender: Id;
  readonly text: string;
}

/** Something the user should know: a message that is lost, one that was forged, a change that did not take place. */
export interface Notice {
  /** Of what it is about, so that it is told once. */
  readonly id: Id;
  readonly text: string;
}

/** What the user has written and the server has not taken yet. */
export interface Draft {
  readonly id: number;
  readonly conversationId: Id;
  readonly text: string;
  /** Encrypted: from here on the same bytes are sent again, so that others get it once. */
  readonly bytes: Buffer | null;
  /** Why it will never be sent. */
  readonly problem: string | null;
}

/**
 * The application's own database: what the user sees. It is no keystore. Everybody who can read the file can read it, as in most
 * messengers; if that is not enough, use a build of SQLite that encrypts.
 */
export class MessageStore {
  readonly #database: Database.Database;

  /** Opens the file, or makes it. */
  constructor(path: string) {
    this.#database = new Database(path);
    this.#database.pragma("journal_mode = WAL");
    // What `deliver` has stored must survive a power cut: the keystore deletes the message's key right after it. In WAL mode
    // better-sqlite3's own default (NORMAL) does not wait for the disk.
    this.#database.pragma("synchronous = FULL");
    this.#database.exec(SCHEMA);
  }

  /** Stores all of it, or nothing; what is there already stays as it is. That is the "once" of exactly once. */
  keep({ messages, notices }: { messages: readonly Message[]; notices: readonly Notice[] }): void {
    const message = this.#database.prepare(
      "INSERT OR IGNORE INTO messages (message_id, conversation, sender, text) VALUES (@messageId, @conversationId, @sender, @text)",
    );
    const notice = this.#database.prepare("INSERT OR IGNORE INTO notices (id, text) VALUES (@id, @text)");
    this.#database.transaction(() => {
      for (const one of messages) message.run(one);
      for (const one of notices) notice.run(one);
    })();
  }

  messages(conversationId: Id): Message[] {
    const rows = this.#database.prepare<[Id], Message>(`
      SELECT message_id AS messageId, conversation AS conversationId, sender, text FROM messages
      WHERE conversation = ? ORDER BY place`);
    return rows.all(conversationId);
  }

  notices(): Notice[] {
    return this.#database.prepare<[], Notice>("SELECT id, text FROM notices ORDER BY place").all();
  }

  drafts(): Draft[] {
    const rows = this.#database.prepare<[], Draft>(
      "SELECT id, conversation AS conversationId, text, bytes, problem FROM drafts ORDER BY id",
    );
    return rows.all();
  }

  addDraft(conversationId: Id, text: string): void {
    this.#database.prepare("INSERT INTO drafts (conversation, text) VALUES (?, ?)").run(conversationId, text);
  }

  /** Remembers the encrypted form, or with null forgets it. */
  setBytes({ id }: Draft, bytes: Uint8Array | null): void {
    this.#database.prepare("UPDATE drafts SET bytes = ? WHERE id = ?").run(bytes, id);
  }

  setProblem({ id }: Draft, problem: string): void {
    this.#database.prepare("UPDATE drafts SET problem = ? WHERE id = ?").run(problem, id);
  }

  /** The server has taken it: from a draft it becomes a message. */
  sent({ id }: Draft, message: Message): void {
    this.#database.transaction(() => {
      this.keep({ messages: [message], notices: [] });
      this.#database.prepare("DELETE FROM drafts WHERE id = ?").run(id);
    })();
  }

  close(): void {
    this.#database.close();
  }
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS messages (
    place INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, conversation TEXT NOT NULL, sender TEXT NOT NULL, text TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS notices (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS drafts (
    id INTEGER PRIMARY KEY, conversation TEXT NOT NULL, text TEXT NOT NULL, bytes BLOB, problem TEXT
  ) STRICT`;
