import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import SQLite from "better-sqlite3";

/** A person's own database beside the keystore, which a process that follows on a killed one finds as it was. */
export type Store = SQLite.Database;

/** Opens the database, or creates it. */
export function openStore(path: string): Store {
  const store = new SQLite(path);
  store.pragma("journal_mode = WAL");
  store.pragma("synchronous = FULL"); // The keystore forgets the keys of a message as soon as it was taken in here.
  store.exec(`
    CREATE TABLE IF NOT EXISTS messages (
      message_id TEXT PRIMARY KEY,
      place      INTEGER UNIQUE,   -- on the list; none while an own message has not come back
      sender     TEXT NOT NULL,
      kind       TEXT NOT NULL,    -- of the content: line, file or chunk
      number     INTEGER NOT NULL, -- of a chunk
      content    BLOB NOT NULL,    -- sealed
      task       TEXT UNIQUE,      -- what an own message was sent for
      unsent     BLOB              -- an own message, encrypted, until it has come back
    ) STRICT;
    CREATE TABLE IF NOT EXISTS epochs (epoch INTEGER PRIMARY KEY, change TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS notes (kind TEXT NOT NULL, what TEXT NOT NULL) STRICT;
  `);
  return store;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Seals what is kept in the store: the keystore is encrypted, and plaintext beside it would give away what it protects. */
export class Seal {
  readonly #key: Buffer;

  /** The key of the keystore serves for both files; what is used here is derived from it. */
  constructor(key: Uint8Array) {
    this.#key = Buffer.from(hkdfSync("sha256", key, "", "message list of the demo", 32));
  }

  seal(plaintext: Uint8Array): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce);
    const sealed = [cipher.update(plaintext), cipher.final()];
    return Buffer.concat([nonce, ...sealed, cipher.getAuthTag()]);
  }

  /** Throws when the bytes are not what was sealed. */
  open(sealed: Buffer): Buffer {
    const decipher = createDecipheriv(CIPHER, this.#key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  }
}
