/**
 * What the rules of the delivery service come to. A rule is a pure function: it gets a request and
 * the facts that a store has gathered for it, and returns a decision. It throws the `DeliveryError`
 * that refuses a request; then nothing changes.
 */
import type { CipherSuite, Id } from "../../lib/index.js";
import type { PublishedKeyPackage } from "../service.js";

/** The answer to a request, and the changes that make the answer true. */
export interface Decision<Answer> {
  readonly answer: Answer;
  /** A store applies them in this order, all or none. */
  readonly effects: readonly Effect[];
}

export type Effect = PublishKeyPackage | RetireLastResort | SpendKeyPackage;

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
