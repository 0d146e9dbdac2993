import { hasBrand } from "../lib/errors.js";

/** Why a delivery service did not answer: a closed list of words to act on. `docs/server.md` says what each means. */
export type DeliveryErrorCode =
  | "INVALID_REQUEST"
  | "TOO_LARGE"
  | "KEY_PACKAGE_TAKEN"
  | "CONVERSATION_UNKNOWN"
  | "NOT_A_MEMBER"
  | "EPOCH_AHEAD"
  | "EPOCH_TOO_OLD"
  | "SQLITE_MISSING"
  | "DATABASE_IN_USE"
  | "DATABASE_FOREIGN"
  | "STORAGE_FAILED"
  | "CLOSED"
  | "UNREACHABLE"
  | "INTERNAL_ERROR";

/** What the codes mean; `docs/server.md` lists them with these words. */
export const deliveryErrorCodes: Readonly<Record<DeliveryErrorCode, string>> = {
  INVALID_REQUEST: "An argument has the wrong type, size or content; the message names it. Nothing changed.",
  TOO_LARGE: "The request is larger than the loopback server takes. Send less at a time.",
  KEY_PACKAGE_TAKEN: "Another client has published this key package. Publish only what your own session generated.",
  CONVERSATION_UNKNOWN: "No commit of this conversation was ever accepted. Its first commit makes it known.",
  NOT_A_MEMBER: "The client is not, or no longer, in the conversation.",
  EPOCH_AHEAD: "The commit that begins the message's epoch was not accepted here. Send that one first.",
  EPOCH_TOO_OLD: "The message's epoch is too far in the past. Receive the newer commits and encrypt anew.",
  SQLITE_MISSING:
    "better-sqlite3, which only this export needs, is not installed, does not load, or needs a newer Node. The message says which.",
  DATABASE_IN_USE: "Another service, in this process or in another one, has the file open.",
  DATABASE_FOREIGN:
    "The file is something else: an encrypted keystore, another program's database, one of a newer version.",
  STORAGE_FAILED: "SQLite failed (disk full, no permission, a damaged file). Nothing of the call was stored.",
  CLOSED: "The service, or the connection to it, was closed.",
  UNREACHABLE:
    "The loopback server did not answer, or with nonsense. Whether the call took effect is unknown; make it again.",
  INTERNAL_ERROR: "A defect of the service. Please report it.",
};

const brand = Symbol.for("conclave-mls.DeliveryError");

/** What a `DeliveryService` rejects with. Messages say what failed and what to do, and never carry payloads or identities. */
export class DeliveryError extends Error {
  /** What happened, in a word that a program can act on. */
  readonly code: DeliveryErrorCode;

  /** Makes an error of this code. */
  constructor(code: DeliveryErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Also true for an error of another copy of the package (CommonJS next to ESM). With codes: only for one of them. */
  static is(error: unknown, ...codes: DeliveryErrorCode[]): error is DeliveryError {
    if (!hasBrand(error, brand)) return false;
    return codes.length === 0 || codes.some((code) => "code" in error && error.code === code);
  }
}
Object.defineProperty(DeliveryError.prototype, "name", { value: "DeliveryError", configurable: true, writable: true });
Object.defineProperty(DeliveryError.prototype, brand, { value: true });

/** Why a service that was closed does not answer. */
export function closed(): DeliveryError {
  return new DeliveryError("CLOSED", "The delivery service is closed; open it again.");
}
