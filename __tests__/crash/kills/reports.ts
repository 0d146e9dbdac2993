import { writeSync } from "node:fs";

/** What a worker tells its parent, in one line each, the moment it is true: a line that was written outlives the worker. */
export type Report =
  /** The session is open. */
  | { readonly about: "open" }
  /** These bytes were handed out by `encrypt`, of this text; they may be sent or not. */
  | { readonly about: "sealed"; readonly bytes: string; readonly text: string }
  /** This key package was handed out. */
  | { readonly about: "key package"; readonly bytes: string; readonly ref: string }
  /** This text was delivered; an empty one: it came after this client had been removed. */
  | { readonly about: "read"; readonly messageId: string; readonly text: string }
  /** This message could not be read any more. */
  | { readonly about: "unreadable"; readonly messageId: string; readonly why: string }
  /** This message was rejected. */
  | { readonly about: "rejected"; readonly messageId: string; readonly reason: string }
  /** This client is about to forget a conversation, and will read nothing of it any more. */
  | { readonly about: "left"; readonly conversation: string }
  /** A call failed as calls may. */
  | { readonly about: "refused"; readonly what: string; readonly code: string }
  /** Something happened that must not. */
  | { readonly about: "wrong"; readonly what: string }
  /** How a conversation is in the end. */
  | { readonly about: "state"; readonly conversation: string; readonly epoch: string; readonly authenticator: string }
  /** All that was asked for is done. */
  | { readonly about: "done" };

const CHANNEL = 3;

/** Tells the parent, and returns when the line is out of this process. */
export function tell(report: Report): void {
  let rest = Buffer.from(`${JSON.stringify(report)}\n`);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(CHANNEL, rest));
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    }
  }
}

/** Bytes as they are told. */
export const told = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/** Bytes as they were told. */
export const untold = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
