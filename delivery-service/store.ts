import type { CipherSuite, Id, MlsTransportResponse } from "../lib/index.js";
import type { CommitFacts } from "./rules/commit.js";
import type { Decision } from "./rules/decision.js";
import type { Publishers, Supply } from "./rules/key-package.js";
import type { MessageFacts } from "./rules/message.js";
import type { GroupInfoFacts, LogRange, QueueRange, Standing } from "./rules/reading.js";
import type { LogEntry, PublishedKeyPackage, QueueEntry, SentMessage } from "./service.js";

/**
 * Where a delivery service keeps what it knows.
 *
 * A method with a rule gathers the facts for the rule and applies the effects of its decision in
 * one transaction: the facts are still true when the effects are applied, and either all effects
 * are applied or none. A store may call the rule again with new facts when it finds that a fact has
 * changed. What the rule throws passes through, and nothing is stored. What a call changed is
 * durable when it resolves.
 */
export interface Store {
  sendCommit(
    about: AboutCommit,
    rule: Rule<CommitFacts, MlsTransportResponse>,
  ): Promise<Decision<MlsTransportResponse>>;

  sendMessage(about: AboutMessage, rule: Rule<MessageFacts, SentMessage>): Promise<Decision<SentMessage>>;

  publishKeyPackages(refs: readonly Id[], rule: Rule<Publishers, undefined>): Promise<Decision<undefined>>;

  claimKeyPackage(
    about: AboutSupply,
    rule: Rule<Supply, PublishedKeyPackage | undefined>,
  ): Promise<Decision<PublishedKeyPackage | undefined>>;

  /** How many key packages the supply has, the last resort not counted. */
  countKeyPackages(about: AboutSupply): Promise<number>;

  /** Takes all key packages of the client out of the supply. Who published them stays known. */
  withdrawKeyPackages(clientId: Id): Promise<void>;

  /** What the client is in the conversation now. */
  standing(conversationId: Id, clientId: Id): Promise<Standing>;

  /** The same with the GroupInfo, all of the same moment. */
  groupInfo(conversationId: Id, clientId: Id): Promise<GroupInfoFacts>;

  /** That part of the log in its order; `page` says where an answer ends. */
  readLog(range: LogRange): Promise<LogEntry[]>;

  /** That part of the queue, oldest first; `page` says where an answer ends. */
  readQueue(range: QueueRange): Promise<QueueEntry[]>;

  /** Deletes the client's queue up to and including the cursor. A cursor is never used again. */
  acknowledge(clientId: Id, cursor: number): Promise<void>;

  /** Every call after it rejects with `CLOSED`. Idempotent. */
  close(): Promise<void>;
}

export type Rule<Facts, Answer> = (facts: Facts) => Decision<Answer>;

export interface AboutCommit {
  readonly commitId: string;
  /**
   * `undefined` for a commit that names none, because it is none; a store knows nothing of that
   * conversation.
   */
  readonly conversationId: Id | undefined;
  /** Of the key packages that the commit adds. */
  readonly keyPackageRefs: readonly Id[];
}

export interface AboutMessage {
  readonly messageId: string;
  /** As in `AboutCommit`. */
  readonly conversationId: Id | undefined;
}

/**
 * The key packages of a client and cipher suite that have not expired at that time, in milliseconds
 * since 1970.
 */
export interface AboutSupply {
  readonly clientId: Id;
  readonly cipherSuite: CipherSuite;
  readonly now: number;
}
