/**
 * How large things may be here. The numbers follow from what the sessions of this package can make
 * (`native/core/src/limits.rs`), so that nothing that a session sends is refused for its size.
 */

/** The largest application message before encryption, in bytes. */
const LARGEST_PLAINTEXT = 16 * 1024 * 1024;
/** The largest additional authenticated data of a message, in bytes. */
const LARGEST_AAD = 64 * 1024;
/** The longest identity and the longest conversation id, in bytes. */
const LONGEST_IDENTITY = 4096;
/** What encryption adds at most: framing, signature, padding and tags, in bytes. */
const OVERHEAD = 4096;

/** The largest message, commit, Welcome or GroupInfo, in bytes. A Welcome for 10,000 members takes about 4 MiB. */
export const LARGEST_MESSAGE = LARGEST_PLAINTEXT + LARGEST_AAD + LONGEST_IDENTITY + OVERHEAD;
/** The largest key package, in bytes. */
export const LARGEST_KEY_PACKAGE = 64 * 1024;
/** The most key packages that are published at once. */
export const MOST_KEY_PACKAGES = 1000;
/** The most clients that one commit adds, and the most that it removes. */
export const MOST_CHANGED = 4096;
/** The most entries of one answer. */
export const MOST_ENTRIES = 1000;
/** One answer carries about so many bytes of messages, and always at least one entry. */
export const LARGEST_ANSWER = 8 * 1024 * 1024;
/** The longest `Id`, in characters: an identity that is not text becomes hex with two characters in front. */
export const LONGEST_ID = 2 * LONGEST_IDENTITY + 2;

/** The most characters that so many bytes become in base64. */
export function inBase64(bytes: number): number {
  return 4 * Math.ceil(bytes / 3);
}
