import { catchUp } from "./catch-up.js";
import type { Name } from "./id.js";
import type { Flight, Lane } from "./lane.js";
import { lookForJoin } from "./look-for-join.js";
import type { NativeDatabase, NativeMerged } from "./native-binding.js";
import type { SessionState } from "./state.js";

/**
 * What asking the server came to. A failure teaches nothing about the commit, and the next attempt
 * will.
 */
export interface Learnt {
  /** Whether the server has accepted the commit; what else is learnt, those who receive it say. */
  readonly accepted?: boolean;
  /** Whether the commit has gone from here: its conversation was wiped while it was on its way. */
  readonly wiped?: boolean;
  /**
   * Whether the server has more that only the application can receive, and the application does
   * not.
   */
  readonly behind?: boolean;
  /** Why nothing could be learnt. */
  readonly cause?: unknown;
}

/** What differs between the commit of a member and the external commit of somebody who joins. */
export interface CommitKind {
  /** Whether this client is in the conversation already, or joins it by this. */
  readonly cause: "own" | "joined";
  /** The server accepted it. */
  merge(native: NativeDatabase, id: Uint8Array, commitId: string, handshakesOnly: boolean): Promise<NativeMerged>;
  /** The server never accepts it. */
  clear(native: NativeDatabase, id: Uint8Array, commitId: string): Promise<unknown>;
  /** Learns after a `retry` what became of it, if the transport can tell. */
  learn(state: SessionState, lane: Lane, conversation: Name, flight: Flight, signal?: AbortSignal): Promise<Learnt>;
}

/** Made in a conversation that this client is in. */
export const memberCommit: CommitKind = {
  cause: "own",
  merge: (native, id, commitId, handshakesOnly) => native.mergeCommit(id, commitId, handshakesOnly),
  clear: (native, id, commitId) => native.clearCommit(id, commitId),
  learn: catchUp,
};

/** Made from a GroupInfo, by a client outside (RFC 9420 section 12.4.3.2). */
export const externalCommit: CommitKind = {
  cause: "joined",
  merge: (native, id, commitId, handshakesOnly) => native.mergeJoin(id, commitId, handshakesOnly),
  clear: (native, id, commitId) => native.dropJoin(id, commitId),
  learn: (state, _lane, conversation, flight, signal) => lookForJoin(state, conversation, flight, signal),
};
