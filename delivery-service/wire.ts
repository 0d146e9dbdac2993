import { inBase64, LARGEST_MESSAGE, LONGEST_ID, MOST_CHANGED } from "./limits.js";

/** How deep objects and lists may be nested. The deepest that is sent are the bytes of a key package in a list: five levels. */
const DEEPEST = 8;
/** The most values of one text. The most that is sent is a commit that adds and removes as many as it may. */
const MOST_VALUES = 4 * MOST_CHANGED + 64;
/** The most bytes outside of strings: punctuation, numbers and words. */
const MOST_OUTSIDE = 64 * MOST_VALUES;
/** The longest string that is not bytes: an id, each of whose characters is escaped. */
const LONGEST_STRING = 6 * LONGEST_ID;
/** The longest bytes in base64. */
const LONGEST_BYTES = inBase64(LARGEST_MESSAGE);

/** What `decode` throws for text that is beyond its limits; the message has nothing of the text. */
export class BeyondLimits extends SyntaxError {}

/**
 * JSON with three more kinds of values, each an object with one key: bytes in base64, bigint as decimal text, dates in
 * milliseconds. What comes out of `decode` is checked by zod before anybody uses it.
 */
export function encode(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, converted: unknown) {
    const plain = this[key]; // before toJSON, which Buffer and Date have
    if (plain instanceof Uint8Array)
      return { $bytes: Buffer.from(plain.buffer, plain.byteOffset, plain.length).toString("base64") };
    if (typeof plain === "bigint") return { $bigint: plain.toString() };
    if (plain instanceof Date) return { $date: plain.getTime() };
    return converted;
  });
}

/**
 * Throws a `SyntaxError` for text that `encode` cannot have made. Where the text is beyond the limits that is a
 * `BeyondLimits`, thrown before anything is parsed: what follows costs no more than in proportion to the size.
 */
export function decode(text: Buffer): unknown {
  refuseBeyondLimits(text);
  return JSON.parse(text.toString(), (_key, value: unknown) => {
    if (typeof value !== "object" || value === null) return value;
    if ("$bytes" in value && typeof value.$bytes === "string")
      return new Uint8Array(Buffer.from(value.$bytes, "base64"));
    if ("$bigint" in value && typeof value.$bigint === "string") return bigint(value.$bigint);
    if ("$date" in value && typeof value.$date === "number") return new Date(value.$date);
    return value;
  });
}

/** An epoch is a uint64 (RFC 9420 section 8.1): no number here has more than 20 digits. */
function bigint(digits: string): bigint {
  if (!/^-?[0-9]{1,20}$/.test(digits))
    throw new BeyondLimits("a bigint has more than 20 digits, or others than 0 to 9");
  return BigInt(digits);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Goes over the text once and builds nothing. Whether the text is JSON at all is for the parser to judge. */
function refuseBeyondLimits(text: Buffer): void {
  let depth = 0;
  let values = 1;
  let outside = 0;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at] ?? 0;
    if (byte === QUOTE) {
      at = endOfString(text, at);
      continue;
    }
    if (++outside > MOST_OUTSIDE) throw new BeyondLimits(`more than ${MOST_OUTSIDE} bytes are outside of strings`);
    if (OPENING.has(byte)) {
      if (++depth > DEEPEST) throw new BeyondLimits(`values are nested deeper than ${DEEPEST} levels`);
      values++;
    } else if (CLOSING.has(byte)) depth--;
    else if (byte === COMMA) values++;
    if (values > MOST_VALUES) throw new BeyondLimits(`there are more than ${MOST_VALUES} values`);
  }
}

/** What stands in front of bytes, exactly as `encode` writes it. */
const BEFORE_BYTES = Buffer.from('{"$bytes":');

/** Where the quotation mark is that closes the string which is opened here. */
function endOfString(text: Buffer, opened: number): number {
  const before = text.subarray(Math.max(0, opened - BEFORE_BYTES.length), opened);
  if (before.equals(BEFORE_BYTES)) {
    const end = text.indexOf(QUOTE, opened + 1);
    if (end === -1 || end - opened - 1 > LONGEST_BYTES) {
      throw new BeyondLimits(`bytes are longer than ${LARGEST_MESSAGE}`);
    }
    if (text.subarray(opened, end).includes(BACKSLASH)) throw new BeyondLimits("bytes are not in base64");
    return end;
  }
  for (let at = opened + 1; at <= opened + 1 + LONGEST_STRING; at++) {
    if (text[at] === QUOTE) return at;
    if (text[at] === BACKSLASH) at++;
  }
  throw new BeyondLimits(`a string is longer than ${LONGEST_STRING} bytes`);
}
