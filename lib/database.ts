import { bytesOfKey, type DatabaseKey } from "./database-key.js";
import { fromNative, hasBrand, MlsError } from "./errors.js";
import type { NativeDatabase } from "./native-binding.js";
import { native } from "./native.js";
import { databaseOptions, parse } from "./options.js";

/** What a session gets of the database that it takes over. */
export interface Keystore {
  readonly native: NativeDatabase;
  /** Closes it; idempotent. */
  close(): Promise<void>;
  /** Undoes taking it over: the session did not come to be. */
  giveBack(): void;
}

// A symbol of the global registry: under it a database that the CommonJS build opened is handed to a session of the ES module
// build. Nobody gets more by it than by `Session.open`: the keystore, once, and no key.
const handOver = Symbol.for("conclave-mls.Database.handOver");
type HandOver = (closeOwner: () => Promise<void>) => Keystore;

/** Hands a database over, with the way to close its new owner. Internal: only `Session.open` does this. */
export function takeOver(database: unknown, closeOwner: () => Promise<void>): Keystore {
  if (!hasBrand(database, handOver)) throw new MlsError("INVALID_ARGUMENT", "database must be a Database.");
  const keystore = (database as { [handOver]: HandOver })[handOver](closeOwner);
  // The copies of one installation share the addon. Another version's may have other methods.
  if (keystore.native instanceof native().NativeDatabase) return keystore;
  keystore.giveBack();
  throw new MlsError(
    "INVALID_ARGUMENT",
    "database must be a Database of this installation of conclave-mls, and another one opened it. Open it with the package that Session comes from.",
  );
}

/** How a keystore is opened. */
export interface DatabaseOptions {
  /**
   * Goes on from an older state where the newest one is missing (`DATABASE_ROLLED_BACK`). What the
   * lost state has received is missing then, and it may have used message keys that this one knows
   * nothing of. So in every conversation `encrypt` rejects with `EPOCH_EXHAUSTED` until
   * `updateKeys()`, or another commit of this client, has begun a new epoch. Does nothing where the
   * newest state is there. Default: false.
   */
  readonly acceptRollback?: boolean;
}

/**
 * An encrypted keystore: one file, with its key, for one client. One process, one thread and one session own it at a time.
 * Hand it to `Session.open`; closing the session closes it.
 */
export class Database implements AsyncDisposable {
  readonly #native: NativeDatabase;
  #closeOwner: (() => Promise<void>) | undefined;
  #closed: Promise<void> | undefined;

  private constructor(opened: NativeDatabase) {
    this.#native = opened;
  }

  /**
   * Opens the keystore at this path, or makes one there, readable by this user only. The folder
   * must exist. A file that is there must be a keystore: an empty one is `DATABASE_CORRUPT`.
   *
   * Fails with `DATABASE_KEY_WRONG`, `DATABASE_IN_USE`, `DATABASE_CORRUPT`, `DATABASE_TOO_NEW`,
   * `DATABASE_ROLLED_BACK`, `DATABASE_IO`, or `INVALID_ARGUMENT` for what cannot be the path of a
   * keystore; what is there stays as it is then.
   */
  static async open(path: string, key: DatabaseKey, options: DatabaseOptions = {}): Promise<Database> {
    refuseOddPath(path);
    const bytes = bytesOfKey(key);
    try {
      const { acceptRollback } = parse(databaseOptions, options, "options");
      return await Database.#open(path, bytes, acceptRollback);
    } finally {
      bytes.fill(0);
    }
  }

  /** A keystore for tests and harnesses: gone with the process, and with it the membership of every group. */
  static async inMemory(): Promise<Database> {
    return Database.#open(undefined, undefined, false);
  }

  /** Closes it, and the session that has taken it over; idempotent. Resolves when the file is unlocked. */
  close(): Promise<void> {
    return this.#closeOwner === undefined ? this.#close() : this.#closeOwner();
  }

  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  static async #open(
    path: string | undefined,
    key: Uint8Array | undefined,
    acceptRollback: boolean,
  ): Promise<Database> {
    try {
      return new Database(await native().NativeDatabase.open(path, key, acceptRollback));
    } catch (error) {
      throw fromNative(error);
    }
  }

  #close(): Promise<void> {
    this.#closed ??= this.#native.close().catch((error: unknown) => Promise.reject(fromNative(error)));
    return this.#closed;
  }

  #takeOver(closeOwner: () => Promise<void>): Keystore {
    if (this.#closed !== undefined) throw new MlsError("DATABASE_CLOSED", "The database is closed. Open it again.");
    if (this.#closeOwner !== undefined) {
      throw new MlsError(
        "DATABASE_IN_USE",
        "Another session has this database. Use that session, or close it and open the database again.",
      );
    }
    this.#closeOwner = closeOwner;
    const giveBack = (): void => {
      this.#closeOwner = undefined;
    };
    return { native: this.#native, close: () => this.#close(), giveBack };
  }

  static {
    const value = function (this: Database, closeOwner: () => Promise<void>): Keystore {
      return this.#takeOver(closeOwner);
    };
    Object.defineProperty(this.prototype, handOver, { value });
  }
}

function refuseOddPath(path: unknown): void {
  if (typeof path !== "string" || path === "" || path.includes("\0")) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      "path must be the path of a file: a string, not empty, without NUL characters.",
    );
  }
  // SQLite gives these a meaning of their own, and one of them is a keystore without encryption that vanishes.
  if (path.startsWith(":") || path.startsWith("file:")) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      "path must not begin with ':' or 'file:'. For a keystore in memory call Database.inMemory().",
    );
  }
}
