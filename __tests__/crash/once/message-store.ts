import Sqlite from "better-sqlite3";
import type { Id } from "conclave-mls";
import type { Habit } from "./habits.js";

/** Something that was said in a conversation. */
export interface Line {
  readonly messageId: Id;
  readonly conversationId: Id;
  readonly text: string;
}

/** The application's own database, a file beside the keystore: what it was told, in that order, and which errands it has done. */
export class MessageStore implements Disposable {
  readonly #database: Sqlite.Database;
  readonly #keep: Sqlite.Transaction<(line: Line) => void>;

  constructor(path: string, habit: Habit) {
    this.#database = new Sqlite(path);
    this.#database.pragma("journal_mode = WAL");
    this.#database.pragma("synchronous = FULL");
    this.#database.exec(`
      CREATE TABLE IF NOT EXISTS messages (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        messageId TEXT NOT NULL ${habit === "stores without a key" ? "" : "UNIQUE"},
        conversationId TEXT NOT NULL,
        text TEXT NOT NULL
      );
      CREATE TABLE IF NOT EXISTS repeated (messageId TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS errands (errand INTEGER PRIMARY KEY);
    `);
    const insert = this.#database.prepare<Line>(
      "INSERT OR IGNORE INTO messages (messageId, conversationId, text) VALUES (@messageId, @conversationId, @text)",
    );
    const repeat = this.#database.prepare<Line>("INSERT INTO repeated (messageId) VALUES (@messageId)");
    this.#keep = this.#database.transaction((line: Line) => {
      if (insert.run(line).changes === 0) repeat.run(line);
    });
  }

  /** Stores a line, durably; one that is here already is only counted. */
  keep(line: Line): void {
    this.#keep(line);
  }

  /** What was said in a conversation, in the order in which it came. */
  lines(conversationId: Id): Line[] {
    const select = "SELECT messageId, conversationId, text FROM messages WHERE conversationId = ? ORDER BY place";
    return this.#database.prepare<[Id], Line>(select).all(conversationId);
  }

  /** How many lines came once more and were ignored. */
  get repeated(): number {
    return this.#database.prepare<[], number>("SELECT count(*) FROM repeated").pluck().get() ?? 0;
  }

  isDone(errand: number): boolean {
    return this.#database.prepare("SELECT 1 FROM errands WHERE errand = ?").get(errand) !== undefined;
  }

  done(errand: number): void {
    this.#database.prepare("INSERT INTO errands (errand) VALUES (?)").run(errand);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
