import { readFileSync, writeFileSync } from "node:fs";
import type { Sent } from "../../support/server.js";

/** Something that others can see, in the order in which it happened. Bytes are in base64 where it is written down. */
export type Event =
  /** alice was handed a ciphertext, and the server has it. */
  | { readonly kind: "sealed"; readonly bytes: Uint8Array; readonly text: string }
  /** alice's transport was given a commit. */
  | { readonly kind: "sent"; readonly commit: Commit }
  /** The server has accepted it. */
  | { readonly kind: "accepted"; readonly commitId: string }
  /** Somebody else has posted a message. */
  | { readonly kind: "theirs"; readonly bytes: Uint8Array; readonly text: string }
  /** Somebody else's commit was accepted. */
  | { readonly kind: "their commit"; readonly commit: Commit }
  /** alice has acknowledged everything up to this place in the log of a conversation. */
  | { readonly kind: "read"; readonly conversation: string; readonly upTo: number }
  /** alice has acknowledged the Welcome to a conversation. */
  | { readonly kind: "joined"; readonly conversation: string }
  /** alice was handed a key package. */
  | { readonly kind: "key package"; readonly bytes: Uint8Array; readonly ref: string };

/** What a server gets with a commit. */
export interface Commit {
  readonly from: string;
  readonly commit: Uint8Array;
  readonly welcome: Uint8Array | undefined;
  readonly groupInfo: Uint8Array;
  readonly conversationId: string;
  readonly epoch: string;
  readonly commitId: string;
  readonly welcomeTo: readonly { readonly clientId: string; readonly keyPackageRef: string }[];
}

/** What a recorded session leaves beside its log. */
export interface Recording {
  readonly events: readonly Event[];
  readonly keys: { readonly alice: Uint8Array; readonly carol: Uint8Array };
}

/** The part of a send that can be written down. */
export function commitOf({ from, bundle, context }: Sent): Commit {
  const { conversationId, epoch, commitId, welcomeTo } = context;
  return { from, ...bundle, welcome: bundle.welcome, conversationId, epoch: String(epoch), commitId, welcomeTo };
}

/** The send that it was. */
export function sentOf({ from, commit, welcome, groupInfo, epoch, ...rest }: Commit): Sent {
  const change = { added: [], removed: [], updated: [], other: [] };
  const signal = new AbortController().signal;
  return {
    from,
    bundle: { commit, groupInfo, ...(welcome !== undefined && { welcome }) },
    context: { ...rest, epoch: BigInt(epoch), attempt: 1, change, signal },
  };
}

export function writeRecording(path: string, recording: Recording): void {
  writeFileSync(
    path,
    JSON.stringify(recording, (_, value: unknown) =>
      value instanceof Uint8Array ? { base64: Buffer.from(value).toString("base64") } : value,
    ),
  );
}

export function readRecording(path: string): Recording {
  return JSON.parse(readFileSync(path, "utf8"), (_, value: unknown) =>
    typeof value === "object" && value !== null && "base64" in value
      ? new Uint8Array(Buffer.from(String(value.base64), "base64"))
      : value,
  ) as Recording;
}
