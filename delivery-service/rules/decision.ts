/**
 * What the rules of the delivery service come to. A rule is a pure function: it gets a request and
 * the facts that a store has gathered for it, and returns a decision. It throws the `DeliveryError`
 * that refuses a request; then nothing changes.
 */
import type { CipherSuite, Id } from "../../lib/index.js";
import type { PublishedKeyPackage } from "../service.js";
import type { Member } from "./conversation.js";

/** The answer to a request, and the changes that make the answer true. */
export interface Decision<Answer> {
  readonly answer: Answer;
  /** A store applies them in this order, all or none. */
  readonly effects: readonly Effect[];
}

export type Effect =
  Deliver | PublishKeyPackage | RememberAbort | RetireLastResort | SaveConversation | SaveMember | SpendKeyPackage;

/** Stores an entry, and puts it behind everything that waits for these clients. */
export interface Deliver {
  readonly type: "deliver";
  readonly entry: Entry;
  readonly to: readonly Id[];
}

/** Something that is delivered. */
export interface Entry {
  readonly conversationId: Id;
  readonly kind: "commit" | "proposal" | "message" | "welcome";
  readonly epoch: bigint;
  /** The place in the log of its conversation; a Welcome is in no log. */
  readonly sequence: number | undefined;
  /** SHA-256 of the bytes, lowercase hex. */
  readonly messageId: string;
  readonly bytes: Uint8Array;
}

/** The conversation is in this epoch now; `groupInfo` takes the place of the one before. */
export interface SaveConversation {
  readonly type: "saveConversation";
  readonly conversationId: Id;
  readonly epoch: bigint;
  readonly groupInfo: Uint8Array;
  readonly externalJoin: boolean;
}

/** Takes the place of what was stored of this client in this conversation. */
export interface SaveMember {
  readonly type: "saveMember";
  readonly conversationId: Id;
  readonly member: Member;
}

/** The commit is answered with `abort` and this reason from now on. */
export interface RememberAbort {
  readonly type: "rememberAbort";
  readonly commitId: string;
  readonly reason: string;
}

/** Adds a key package to its client's supply, as the newest. */
export interface PublishKeyPackage {
  readonly type: "publishKeyPackage";
  readonly clientId: Id;
  readonly keyPackage: PublishedKeyPackage;
}

/** Takes the client's last resort of that cipher suite out of the supply, if there is one. */
export interface RetireLastResort {
  readonly type: "retireLastResort";
  readonly clientId: Id;
  readonly cipherSuite: CipherSuite;
}

/** Takes a key package out of the supply. Who published it stays known. */
export interface SpendKeyPackage {
  readonly type: "spendKeyPackage";
  readonly ref: Id;
}
