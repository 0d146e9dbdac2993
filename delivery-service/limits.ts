/**
 * How large things may be here. The numbers are those of the sessions of this package, so that nothing that a session sends is
 * refused for its size.
 */
import { limits } from "../lib/index.js";

/** The largest message, commit, Welcome or GroupInfo, in bytes. A Welcome for 10,000 members takes about 4 MiB. */
export const LARGEST_MESSAGE = limits.messageBytes.max;
/** The largest key package, in bytes. */
export const LARGEST_KEY_PACKAGE = limits.keyPackageBytes.max;
/** The most key packages that are published at once. */
export const MOST_KEY_PACKAGES = limits.keyPackages.max;
/** The most clients that one commit adds, and the most that it removes. */
export const MOST_CHANGED = limits.listLength.max;
/** The most entries of one answer. */
export const MOST_ENTRIES = 1000;
/** One answer carries about so many bytes of messages, and always at least one entry. */
export const LARGEST_ANSWER = 8 * 1024 * 1024;
/** The longest `Id`, in characters: an identity that is not text becomes hex with two characters in front. */
export const LONGEST_ID = 2 * limits.idBytes.max + 2;

/** The most characters that so many bytes become in base64. */
export function inBase64(bytes: number): number {
  return 4 * Math.ceil(bytes / 3);
}
