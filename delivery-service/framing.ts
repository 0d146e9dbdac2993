import { createHash } from "node:crypto";
import { inspectMessage, type MessageInspection, MlsError } from "../lib/index.js";
import { DeliveryError } from "./errors.js";

/** What is readable of a message from outside. */
export type Frame = MessageInspection;

/** A message as a server has it. */
export interface Framed {
  /** A copy: the caller may change its bytes while the service waits for its store. */
  readonly bytes: Uint8Array;
  readonly messageId: string;
  /** `undefined` for bytes that are no MLS message. */
  readonly frame: Frame | undefined;
}

/** Reads a message, which may be unreadable. */
export function framed(message: Uint8Array): Framed {
  const bytes = new Uint8Array(message);
  return { bytes, messageId: messageIdOf(bytes), frame: readable(bytes) };
}

function readable(bytes: Uint8Array): Frame | undefined {
  try {
    return framingOf(bytes);
  } catch (error) {
    if (DeliveryError.is(error, "INVALID_REQUEST")) return undefined;
    throw error;
  }
}

/**
 * What is readable from outside an MLS message: kind, conversation and epoch stand in the clear, also of a PrivateMessage
 * (RFC 9420 section 6.3). The server reads them itself, so that no claim of the sender decides the order of commits.
 */
export function framingOf(message: Uint8Array): Frame {
  try {
    return inspectMessage(message);
  } catch (cause) {
    if (!MlsError.is(cause, "MESSAGE_INVALID")) throw cause;
    throw new DeliveryError(
      "INVALID_REQUEST",
      "These bytes are not an MLS message; send them as the session made them.",
      {
        cause,
      },
    );
  }
}

/** SHA-256, lowercase hex: `commitId` of a commit, `messageId` of everything else. */
export function messageIdOf(message: Uint8Array): string {
  return createHash("sha256").update(message).digest("hex");
}

/**
 * The KeyPackageRef (RFC 9420 section 5.2) of a framed key package, lowercase hex. SHA-256 is the hash of every cipher suite
 * that `CipherSuite` names.
 */
export function keyPackageRefOf(framed: Uint8Array): string {
  const label = Buffer.from("MLS 1.0 KeyPackage Reference");
  const keyPackage = framed.subarray(4); // behind version and wire format
  return createHash("sha256")
    .update(Buffer.from([label.length]))
    .update(label)
    .update(lengthOf(keyPackage))
    .update(keyPackage)
    .digest("hex");
}

/** The length in front of a vector: one, two or four bytes, told apart by the first two bits (RFC 9420 section 2.1.2). */
function lengthOf(vector: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  if (vector.length < 0x40) return Buffer.from([vector.length]);
  length.writeUInt32BE(vector.length);
  if (vector.length < 0x4000) {
    length.writeUInt16BE(0x4000 + vector.length);
    return length.subarray(0, 2);
  }
  length.writeUInt32BE(0x80000000 + vector.length);
  return length;
}
