import { catchUp, type Learnt, lookForJoin } from "./catch-up.js";
import type { Name } from "./id.js";
import type { Flight, Lane } from "./lane.js";
import type { NativeDatabase, NativeMerged } from "./native-binding.js";
import type { SessionState } from "./state.js";

/** What differs between the commit of a member and the external commit of somebody who joins. */
export interface CommitKind {
  /** What listeners are told when it is merged. */
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
  learn: (state, lane, conversation, _flight, signal) => catchUp(state, lane, conversation, signal),
};

/** Made from a GroupInfo, by a client outside (RFC 9420 section 12.4.3.2). */
export const externalCommit: CommitKind = {
  cause: "joined",
  merge: (native, id, commitId, handshakesOnly) => native.mergeJoin(id, commitId, handshakesOnly),
  clear: (native, id, commitId) => native.dropJoin(id, commitId),
  learn: (state, _lane, conversation, flight, signal) => lookForJoin(state, conversation, flight, signal),
};
