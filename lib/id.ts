import { type Bytes, copyBytes } from "./bytes.js";
import { MlsError } from "./errors.js";

/**
 * A name of a client or conversation as a string: text as it is; other bytes, and text beginning with "0x", as "0x" and
 * lowercase hex. Reversible, and the same for the same bytes, so fit for Map keys, SQL, JSON and IPC.
 *
 * "Text" is valid UTF-8 without control characters (U+0000 to U+001F, U+007F).
 */
export type Id = string;

/**
 * An {@link Id}, or the bytes themselves: 1 to 4,096 of them. A string beginning with "0x" must be hex. Lone surrogates and
 * control characters in a string are `INVALID_ARGUMENT`: names that have them must be passed as bytes.
 */
export type IdLike = Id | Uint8Array;

/** An id in both forms: what people and maps use, and what MLS uses. */
export interface Name {
  /** The string form. */
  readonly id: Id;
  /** The bytes in group and credential; nobody else holds this memory. */
  readonly bytes: Bytes;
}

const LONGEST_ID = 4096;

/** Reads an {@link IdLike}; `name` is what the caller called it, for the message of the `INVALID_ARGUMENT` it may throw. */
export function nameOf(value: unknown, name: string): Name {
  const bytes = typeof value === "string" ? bytesOfText(value, name) : bytesOf(value, name);
  return { id: idOf(bytes), bytes };
}

/** The string form of these bytes. */
export function idOf(bytes: Bytes): Id {
  const text = textOf(bytes);
  return text === undefined || text.startsWith("0x") ? `0x${Buffer.from(bytes).toString("hex")}` : text;
}

/** Whether a string can be encoded as UTF-8 without loss. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function bytesOf(value: unknown, name: string): Bytes {
  if (!ArrayBuffer.isView(value)) throw new MlsError("INVALID_ARGUMENT", `${name} must be a string or a Uint8Array.`);
  return copyBytes(value, name, { min: 1, max: LONGEST_ID });
}

function bytesOfText(text: string, name: string): Bytes {
  if (text.startsWith("0x")) return bytesOfHex(text.slice(2), name);
  if (!isWellFormed(text) || hasControlCharacter(text)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} has control characters or lone surrogates. Pass such a name as a Uint8Array.`,
    );
  }
  return copyBytes(new TextEncoder().encode(text), name, { min: 1, max: LONGEST_ID });
}

function bytesOfHex(digits: string, name: string): Bytes {
  if (digits.length % 2 === 1 || !/^[0-9a-f]*$/i.test(digits)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} begins with "0x" but is not hex. Pass text that begins with "0x" as a Uint8Array.`,
    );
  }
  return copyBytes(Buffer.from(digits, "hex"), name, { min: 1, max: LONGEST_ID });
}

// A byte order mark is part of the name: without ignoreBOM the decoder would drop it, and two names would look the same.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(bytes: Bytes): string | undefined {
  try {
    const text = utf8.decode(bytes);
    return hasControlCharacter(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function hasControlCharacter(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\u0000-\u001f\u007f]/.test(text);
}
