import { randomFillSync } from "node:crypto";
import { type Bytes, copyBytes } from "./bytes.js";
import { hasBrand, MlsError } from "./errors.js";

const KEY_LENGTH = 32;

// A symbol of the global registry, so that a key of the CommonJS build is known to the ES module build.
const brand = Symbol.for("conclave-mls.DatabaseKey");

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
  static from(bytes: Uint8Array): DatabaseKey {
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
}

Object.defineProperty(DatabaseKey.prototype, brand, { value: true });
// What `util.inspect` asks for. Not in the class, whose types would need those of Node then.
const inspectCustom = Symbol.for("nodejs.util.inspect.custom");
Object.defineProperty(DatabaseKey.prototype, inspectCustom, { value: () => "DatabaseKey(..)" });

/**
 * The bytes of a key, also of one that another copy of the package made: they cross by its `copyBytes`, which everybody who
 * has the key can call. Wipe them after use. Throws `INVALID_ARGUMENT` for what is no key, or was wiped.
 */
export function bytesOfKey(key: unknown): Bytes {
  if (!hasBrand(key, brand)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      "key must be a DatabaseKey. Make one with DatabaseKey.from or DatabaseKey.generate.",
    );
  }
  // A copy already, as `copyBytes` promises, and checked: what bears the brand may be of another version.
  const bytes: unknown = (key as DatabaseKey).copyBytes();
  const copy = copyBytes(bytes, "key", { min: KEY_LENGTH, max: KEY_LENGTH });
  (bytes as Bytes).fill(0);
  return copy;
}
