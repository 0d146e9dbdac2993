import { types } from "node:util";
import { MlsError } from "./errors.js";

/**
 * Bytes that come out, with memory of their own: a `Uint8Array<ArrayBuffer>`, as `Blob`, `fetch` and WebCrypto want them.
 * TypeScript before 5.7, which has no such type, reads this as `Uint8Array`. What goes in is any `Uint8Array`, and is copied
 * before the call returns.
 */
export type Bytes = ReturnType<Uint8Array["slice"]>;

/** Bytes that the addon has made: each on memory of its own, which its generated types do not say. */
export function made(bytes: Uint8Array): Bytes {
  return bytes as Bytes;
}

/** The largest input that is encrypted or stored in one piece: 64 MiB. */
export const LARGEST_INPUT = 64 * 1024 * 1024;

/**
 * A copy of the caller's bytes, with its own memory, so that the caller may change, transfer or free the original at once.
 *
 * Takes a `Uint8Array`, a `Buffer` or any other view, also of another realm or on shared memory. Throws `INVALID_ARGUMENT` for
 * everything else, for a view whose memory was transferred away, and outside the limits (in bytes, inclusive).
 */
export function copyBytes(value: unknown, name: string, { min = 0, max = LARGEST_INPUT } = {}): Bytes {
  if (!ArrayBuffer.isView(value)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} must be a Uint8Array. Pass bytes, for text for example new TextEncoder().encode(text).`,
    );
  }
  const bytes = copyOf(value);
  if (bytes === undefined) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} was transferred to another thread or detached. Pass bytes that this thread still owns.`,
    );
  }
  if (bytes.length < min || bytes.length > max) {
    throw new MlsError("INVALID_ARGUMENT", `${name} must have ${range(min, max)}; it has ${bytes.length}.`);
  }
  return bytes;
}

/** The copy, or undefined where the memory is not there any more: every way to read a detached buffer but its length throws. */
function copyOf(view: ArrayBufferView): Bytes | undefined {
  try {
    // Reads the view's internal slots, not its properties, which a subclass may have replaced.
    if (types.isUint8Array(view)) return new Uint8Array(view);
    return new Uint8Array(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  } catch {
    return undefined;
  }
}

function range(min: number, max: number): string {
  if (min === max) return `exactly ${min} bytes`;
  return min === 0 ? `at most ${max} bytes` : `${min} to ${max} bytes`;
}
