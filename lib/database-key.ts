import { randomFillSync } from "node:crypto";
import { inspect } from "node:util";
import { type Bytes, copyBytes } from "./bytes.js";
import { MlsError } from "./errors.js";

const KEY_LENGTH = 32;

/**
 * The key of an encrypted keystore: 32 random bytes. It shows itself nowhere, neither printed nor as JSON; `copyBytes` is the
 * only way out. Dispose it as soon as the database is open: the keystore has a copy of its own by then.
 */
export class DatabaseKey implements Disposable {
  readonly #bytes: Bytes;
  #wiped = false;

  private constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** A fresh random key. */
  static generate(): DatabaseKey {
    return new DatabaseKey(randomFillSync(new Uint8Array(KEY_LENGTH)));
  }

  /**
   * The key from where it was kept. Copies exactly 32 bytes, else `INVALID_ARGUMENT`; wipe your own copy after it. The bytes
   * must be random, not a password: nothing is derived from them.
   */
  static from(bytes: Bytes): DatabaseKey {
    return new DatabaseKey(copyBytes(bytes, "bytes", { min: KEY_LENGTH, max: KEY_LENGTH }));
  }

  /** A copy for Electron's safeStorage or a key service. `INVALID_ARGUMENT` after the key was wiped. */
  copyBytes(): Bytes {
    if (this.#wiped) {
      throw new MlsError(
        "INVALID_ARGUMENT",
        "The key was wiped already. Make another DatabaseKey from where the key is kept.",
      );
    }
    return new Uint8Array(this.#bytes);
  }

  /** Wipes the key; safe while a database is open. */
  [Symbol.dispose](): void {
    this.#wiped = true;
    this.#bytes.fill(0);
  }

  /** Says that it is a key, never which. */
  toString(): string {
    return "DatabaseKey(..)";
  }

  /** Says that it is a key, never which. */
  toJSON(): string {
    return "DatabaseKey(..)";
  }

  /** Says that it is a key, never which. */
  [inspect.custom](): string {
    return "DatabaseKey(..)";
  }
}
