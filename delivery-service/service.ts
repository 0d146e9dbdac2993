import type { CipherSuite, CommitBundle, Id, KeyPackage, MlsTransportResponse } from "../lib/index.js";

/**
 * What clients ask of a delivery service. `EmbeddedDeliveryService` answers in process, `deliveryServiceAt` over loopback.
 *
 * `clientId` is always the client that asks. Nobody is authenticated here: the caller vouches for it, as a real server does
 * by its login. Bytes are MLSMessage-framed (RFC 9420 section 6) and copied on entry. A call that cannot
 * be answered rejects with a `DeliveryError`; a malformed one with code `INVALID_REQUEST`, after `close` with `CLOSED`.
 * What a resolved call changed is on the disk.
 */
export interface DeliveryService extends AsyncDisposable {
  /**
   * Puts key packages into the directory, all or none. One that this client has published before changes nothing, also
   * when it has been handed out. A last resort replaces the client's former one of that cipher suite.
   * `KEY_PACKAGE_TAKEN` when another client has published one of them.
   */
  publishKeyPackages(clientId: Id, keyPackages: readonly PublishedKeyPackage[]): Promise<void>;

  /**
   * Hands out one key package of this client, to whoever asks: the oldest that has not expired, and never again; when none
   * is left, the last resort, which stays. `undefined` when there is none either.
   */
  claimKeyPackage(ofClientId: Id, cipherSuite: CipherSuite): Promise<PublishedKeyPackage | undefined>;

  /** How many of this client's key packages can still be claimed, the last resort not counted. */
  countKeyPackages(clientId: Id, cipherSuite: CipherSuite): Promise<number>;

  /**
   * Hands out no key package any more that this client has published until now, the last resort included, and the same
   * ones not again: for a device that is lost, or whose keystore is. Idempotent. What it publishes afterwards is new.
   * Welcomes for key packages that were handed out before still reach the client's queue.
   */
  withdrawKeyPackages(clientId: Id): Promise<void>;

  /**
   * Accepts the first commit of each epoch of a conversation, and then, in one step: puts it into the log, keeps its
   * GroupInfo, delivers it to the members and the Welcome to those whom it adds. A commit of epoch 0 founds a conversation
   * that is not known yet. An external commit (RFC 9420 section 12.4.3.2) is accepted from whomever the newest GroupInfo lets
   * join, and makes the sender a member. Answered as `MlsTransport.sendCommitBundle` wants it: `success` for an accepted commit, whenever
   * it is sent again; `retry` when another one was accepted for that epoch; `abort`, for good, for what can never be
   * accepted. No commit of this service is in doubt when it is answered.
   */
  sendCommit(clientId: Id, bundle: SentBundle, claim: MembershipClaim): Promise<MlsTransportResponse>;

  /**
   * Puts an application message or a proposal into the log and delivers it to the members of its epoch, the sender too.
   * The same bytes again are the same entry. `CONVERSATION_UNKNOWN`, `NOT_A_MEMBER`, `EPOCH_AHEAD` for an epoch whose commit
   * was not accepted, `EPOCH_TOO_OLD` for a message more than five epochs old or a proposal of a past epoch.
   */
  sendMessage(clientId: Id, message: Uint8Array): Promise<SentMessage>;

  /**
   * What the log has from an epoch on: its commits, proposals and messages in their one order, as far as this client was a
   * member, up to the commit that removed it. Answers in pieces; an empty one is the end.
   */
  fetch(clientId: Id, conversationId: Id, options: FetchOptions): Promise<LogEntry[]>;

  /**
   * The GroupInfo that came with the newest accepted commit: for members, and for everybody when it allows external joins.
   * `CONVERSATION_UNKNOWN`, `NOT_A_MEMBER`.
   */
  groupInfo(clientId: Id, conversationId: Id): Promise<StoredGroupInfo>;

  /**
   * What waits for this client, oldest first: all that has not been acknowledged, so that an entry comes again until it is.
   * With `waitMs` an empty queue is answered when something arrives, or empty when the time is over.
   */
  pull(clientId: Id, options?: PullOptions): Promise<QueueEntry[]>;

  /** Deletes this client's queue up to and including the cursor: call it once the entries are stored. Idempotent. */
  acknowledge(clientId: Id, cursor: number): Promise<void>;

  /** Rejects what waits with `CLOSED`. Idempotent; nothing keeps the process alive after it. */
  close(): Promise<void>;
}

/** A `KeyPackage`, as `generateKeyPackages` makes it; its bytes may be any `Uint8Array`, as those are that came over a network. */
export interface PublishedKeyPackage extends Omit<KeyPackage, "bytes"> {
  /** MLSMessage-framed. */
  readonly bytes: Uint8Array;
}

/** A `CommitBundle`, as the transport gets it; its bytes may be any `Uint8Array`, as those that came over a network are. */
export type SentBundle = { readonly [Part in keyof CommitBundle]: Uint8Array };

/** What a commit does to the membership. Handshakes are encrypted: a server cannot read it from the bytes and takes the sender's word. */
export interface MembershipClaim {
  /** Whom the Welcome is for: everybody the commit adds. `SendContext.welcomeTo`. */
  readonly welcomeTo: readonly Addressee[];
  /** Whose leaves the commit removes, a client once per leaf. `SendContext.change.removed`. */
  readonly removed: readonly Id[];
  /** Gives up waiting for the answer; the commit may have been accepted all the same. */
  readonly signal?: AbortSignal | undefined;
}

/** One leaf that a commit adds. */
export interface Addressee {
  /** Whose queue gets the Welcome. */
  readonly clientId: Id;
  /** The key package it was added with: RFC 9420 section 5.2, lowercase hex. */
  readonly keyPackageRef: Id;
}

/** Where a message is now. */
export interface SentMessage {
  /** Its place in the conversation's order: 1, 2, 3, without gaps. */
  readonly sequence: number;
}

/** The public state of a conversation, signed by the sender of the newest accepted commit (RFC 9420 section 12.4.3). */
export interface StoredGroupInfo {
  /** The epoch that it describes: the one the newest accepted commit began. */
  readonly epoch: bigint;
  /** As it came with the commit, MLSMessage-framed. */
  readonly groupInfo: Uint8Array;
}

/** Which part of the log. */
export interface FetchOptions {
  /** Commits, proposals and messages of this epoch and of later ones. */
  readonly fromEpoch: bigint;
  /** Only what follows this sequence number. Default 0. */
  readonly after?: number | undefined;
  /** At most so many entries. Default 100, at most 1,000; fewer when they are large. */
  readonly limit?: number | undefined;
  /** Gives up waiting for the answer: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One commit, proposal or message in the order of its conversation. */
export interface LogEntry {
  /** The place in the conversation's order: 1, 2, 3, without gaps. */
  readonly sequence: number;
  /** As they were sent. */
  readonly bytes: Uint8Array;
}

/** Which part of a queue, and how long to wait for one. */
export interface PullOptions {
  /** Only what follows this cursor. Default 0: everything not acknowledged. */
  readonly after?: number | undefined;
  /** At most so many entries. Default 100, at most 1,000; fewer when they are large. */
  readonly limit?: number | undefined;
  /** How long an empty queue may wait, in milliseconds. Default 0, at most 60,000. */
  readonly waitMs?: number | undefined;
  /** Ends the waiting: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Something that waits for a client: a commit, proposal or message of a conversation, or a Welcome to it. */
export interface QueueEntry {
  /** Grows from entry to entry of a client, with gaps. */
  readonly cursor: number;
  /** The conversation it belongs to. */
  readonly conversationId: Id;
  /** As they were sent; `session.receive` takes them. */
  readonly bytes: Uint8Array;
}
