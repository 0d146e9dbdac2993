import { types } from "node:util";
import { MlsError } from "./errors.js";
import { limits } from "./limits.js";

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

/**
 * A copy of the caller's bytes, with its own memory, so that the caller may change, transfer or free the original at once.
 *
 * Takes a `Uint8Array`, a `Buffer` or any other view, also of another realm or on shared memory. Throws `INVALID_ARGUMENT` for
 * everything else, for a view whose memory was transferred away, and outside the limits (in bytes, inclusive); without any it
 * takes as much as one message may have.
 */
export function copyBytes(value: unknown, name: string, { min = 0, max = limits.messageBytes.max } = {}): Bytes {
  const bytes = copyOfUpTo(value, name, max);
  if (bytes.length < min || bytes.length > max) {
    const length = bytes.length > max ? lengthOf(value as ArrayBufferView) : bytes.length;
    throw new MlsError("INVALID_ARGUMENT", `${name} must have ${range(min, max)}; it has ${length}.`);
  }
  return bytes;
}

/**
 * A copy of a message from outside. What is too large is for the core to refuse, as everything else that is wrong with a message:
 * of it the first bytes are copied, one more than are accepted, so that it costs the same whatever its size.
 */
export function copyMessage(value: unknown, name: string, most = limits.messageBytes.max): Bytes {
  return copyOfUpTo(value, name, most);
}

/** A copy of at most one byte more than `max`. */
function copyOfUpTo(value: unknown, name: string, max: number): Bytes {
  if (!ArrayBuffer.isView(value)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} must be a Uint8Array. Pass bytes, for text for example new TextEncoder().encode(text).`,
    );
  }
  const bytes = copyOf(value, max + 1);
  if (bytes === undefined) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      `${name} was transferred to another thread or detached. Pass bytes that this thread still owns.`,
    );
  }
  return bytes;
}

/**
 * A copy of the first bytes, or undefined where the memory is not there any more: every way to read a detached buffer but its
 * length throws.
 */
function copyOf(view: ArrayBufferView, most: number): Bytes | undefined {
  try {
    if (types.isUint8Array(view) && lengthOf(view) <= most) return new Uint8Array(view);
    const [buffer, offset] = [slot(view, "buffer"), slot(view, "byteOffset")];
    return new Uint8Array(new Uint8Array(buffer as ArrayBuffer, offset as number, Math.min(lengthOf(view), most)));
  } catch {
    return undefined;
  }
}

function lengthOf(view: ArrayBufferView): number {
  return slot(view, "byteLength") as number;
}

const OF_ARRAYS = Object.getPrototypeOf(Uint8Array.prototype) as object;

/** Reads an internal slot of the view, not its property, which a subclass may have replaced. */
function slot(view: ArrayBufferView, name: "buffer" | "byteOffset" | "byteLength"): unknown {
  const prototype = types.isTypedArray(view) ? OF_ARRAYS : DataView.prototype;
  return Object.getOwnPropertyDescriptor(prototype, name)?.get?.call(view);
}

function range(min: number, max: number): string {
  if (min === max) return `exactly ${min} bytes`;
  return min === 0 ? `at most ${max} bytes` : `${min} to ${max} bytes`;
}
