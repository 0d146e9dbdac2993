import { createHash } from "node:crypto";
// Of Node itself: not every environment of tests has them as globals.
import { TextDecoder, TextEncoder } from "node:util";
import { type Bytes, copyBytes } from "./bytes.js";
import { MlsError } from "./errors.js";
import { limits } from "./limits.js";

/**
 * A name of a client or conversation as a string: text as it is; other bytes, and text beginning with "0x", as "0x" and
 * lowercase hex. Reversible, and the same for the same bytes, so fit for Map keys, SQL, JSON and IPC.
 *
 * "Text" is valid UTF-8 without characters that nobody sees: control characters (also U+0080 to U+009F), format characters such as
 * those for bidirectional text, joiners and byte order marks, and the separators U+2028 and U+2029 (Unicode 16: Cc, Cf, Zl, Zp).
 */
export type Id = string;

/**
 * An {@link Id}, or the bytes themselves: 1 to 4,096 of them. A string beginning with "0x" must be hex. Lone surrogates and
 * characters that nobody sees (see {@link Id}) are `INVALID_ARGUMENT` in a string: names that have them must be passed as bytes.
 */
export type IdLike = Id | Uint8Array;

/** An id in both forms: what people and maps use, and what MLS uses. */
export interface Name {
  /** The string form. */
  readonly id: Id;
  /** The bytes in group and credential; nobody else holds this memory. */
  readonly bytes: Bytes;
}

/** Reads an {@link IdLike}; `name` is what the caller called it, for the message of the `INVALID_ARGUMENT` it may throw. */
export function nameOf(value: unknown, name: string): Name {
  const bytes = typeof value === "string" ? bytesOfText(value, name) : bytesOf(value, name);
  return { id: idOf(bytes), bytes };
}

/** The string form of these bytes. */
export function idOf(bytes: Uint8Array): Id {
  const text = textOf(bytes);
  return text === undefined || text.startsWith("0x") ? `0x${Buffer.from(bytes).toString("hex")}` : text;
}

/** Whether a string can be encoded as UTF-8 without loss. */
export function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}

function bytesOf(value: unknown, name: string): Bytes {
  if (!ArrayBuffer.isView(value)) throw new MlsError("INVALID_ARGUMENT", `${name} must be a string or a Uint8Array.`);
  return copyBytes(value, name, limits.idBytes);
}

function bytesOfText(text: string, name: string): Bytes {
  if (text.startsWith("0x")) return bytesOfHex(text.slice(2), name);
  if (!isWellFormed(text) || invisible.test(text)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} has control characters, invisible format characters or lone surrogates. Take them out; if they belong to the ` +
        "name, pass it as a Uint8Array.",
    );
  }
  return copyBytes(new TextEncoder().encode(text), name, limits.idBytes);
}

function bytesOfHex(digits: string, name: string): Bytes {
  if (digits.length % 2 === 1 || !/^[0-9a-f]*$/i.test(digits)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} begins with "0x" but is not hex. Pass text that begins with "0x" as a Uint8Array.`,
    );
  }
  return copyBytes(Buffer.from(digits, "hex"), name, limits.idBytes);
}

/**
 * The messageId of a message, and the commitId of a commit: the SHA-256 of its bytes, lowercase
 * hex.
 */
export function messageIdOf(message: Uint8Array): Id {
  return createHash("sha256").update(message).digest("hex");
}

// A byte order mark is part of the name: without ignoreBOM the decoder would drop it, and two names would look the same.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = utf8.decode(bytes);
    return invisible.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/**
 * The code points of the categories Cc, Cf, Zl and Zp, as of Unicode 16: first and last of each range. The same table is in
 * native/core/src/id.rs; a test holds the two together.
 */
// prettier-ignore
const INVISIBLE: readonly (readonly [number, number])[] = [
  [0x0000, 0x001f],
  [0x007f, 0x009f],
  [0x00ad, 0x00ad],
  [0x0600, 0x0605],
  [0x061c, 0x061c],
  [0x06dd, 0x06dd],
  [0x070f, 0x070f],
  [0x0890, 0x0891],
  [0x08e2, 0x08e2],
  [0x180e, 0x180e],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2064],
  [0x2066, 0x206f],
  [0xfeff, 0xfeff],
  [0xfff9, 0xfffb],
  [0x110bd, 0x110bd],
  [0x110cd, 0x110cd],
  [0x13430, 0x1343f],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0001, 0xe0001],
  [0xe0020, 0xe007f],
];

const codePoint = (number: number): string => `\\u{${number.toString(16)}}`;
const invisible = new RegExp(`[${INVISIBLE.map((range) => range.map(codePoint).join("-")).join("")}]`, "u");
