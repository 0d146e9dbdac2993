import type { CipherSuite, Id, MlsTransportResponse } from "../lib/index.js";
import { abortedCommitTable } from "./sqlite/aborted-commits.js";
import { Arrivals } from "./arrivals.js";
import { conversationTable } from "./sqlite/conversations.js";
import { openDatabase, storageError, type Database } from "./sqlite/database.js";
import { entryTable } from "./sqlite/entries.js";
import { DeliveryError } from "./errors.js";
import { framed, framingOf, keyPackageRefOf, messageIdOf } from "./framing.js";
import { keyPackageTable } from "./sqlite/key-packages.js";
import { memberTable } from "./sqlite/members.js";
import { queueTable } from "./sqlite/queues.js";
import { checked, requests } from "./requests.js";
import { decideCommit } from "./rules/commit.js";
import type { Decision, Effect } from "./rules/decision.js";
import { decideClaim, decidePublication } from "./rules/key-package.js";
import { decideMessage } from "./rules/message.js";
import { readableGroupInfo, readableLog } from "./rules/reading.js";
import type {
  DeliveryService,
  FetchOptions,
  LogEntry,
  MembershipClaim,
  PullOptions,
  PublishedKeyPackage,
  QueueEntry,
  SentBundle,
  SentMessage,
  StoredGroupInfo,
} from "./service.js";

/**
 * A delivery service inside this process, on one SQLite file or in memory. It needs better-sqlite3 (`SQLITE_MISSING`).
 *
 * Each call is checked, runs as one SQLite transaction from beginning to end before another begins, and is on the disk
 * (WAL, `synchronous=FULL`) when it resolves.
 */
export class EmbeddedDeliveryService implements DeliveryService {
  readonly #database: Database;
  readonly #transaction: (work: () => unknown) => unknown;
  readonly #arrivals = new Arrivals();
  readonly #tables: Tables;

  /**
   * Opens the service's file, or creates it, readable for its owner only. `DATABASE_IN_USE` while another service has it
   * open; `DATABASE_FOREIGN`, and the file stays as it is, when it is anything else.
   */
  static async open(path: string): Promise<EmbeddedDeliveryService> {
    if (typeof path !== "string" || path === "") {
      throw new DeliveryError("INVALID_REQUEST", "path: must be a non-empty string; without a file use inMemory().");
    }
    return new EmbeddedDeliveryService(await openDatabase(path));
  }

  /** For tests: gone with `close`. */
  static async inMemory(): Promise<EmbeddedDeliveryService> {
    return new EmbeddedDeliveryService(await openDatabase(undefined));
  }

  private constructor(database: Database) {
    this.#database = database;
    const transaction = database.transaction((work: () => unknown) => work());
    this.#transaction = (work) => transaction.immediate(work);
    this.#tables = tablesOf(database);
  }

  async publishKeyPackages(clientId: Id, keyPackages: readonly PublishedKeyPackage[]): Promise<void> {
    const request = checked(requests.publishKeyPackages, { clientId, keyPackages });
    const read = request.keyPackages.map((keyPackage) => {
      const { bytes } = framed(keyPackage.bytes);
      return { keyPackage: { ...keyPackage, bytes }, frame: framingOf(bytes), ref: keyPackageRefOf(bytes) };
    });
    const publication = { clientId: request.clientId, keyPackages: read, now: Date.now() };
    const refs = request.keyPackages.map(({ ref }) => ref);
    this.#run(({ keyPackages }) => this.#done(decidePublication(publication, keyPackages.publishersOf(refs))));
  }

  async claimKeyPackage(ofClientId: Id, cipherSuite: CipherSuite): Promise<PublishedKeyPackage | undefined> {
    const request = checked(requests.claimKeyPackage, { ofClientId, cipherSuite });
    const of = { clientId: request.ofClientId, cipherSuite, now: Date.now() };
    return this.#run(({ keyPackages }) => this.#done(decideClaim(keyPackages.supplyOf(of))));
  }

  async countKeyPackages(clientId: Id, cipherSuite: CipherSuite): Promise<number> {
    const request = checked(requests.countKeyPackages, { clientId, cipherSuite });
    return this.#run(({ keyPackages }) => keyPackages.count({ ...request, now: Date.now() }));
  }

  async withdrawKeyPackages(clientId: Id): Promise<void> {
    const request = checked(requests.withdrawKeyPackages, { clientId });
    this.#run(({ keyPackages }) => keyPackages.withdraw(request.clientId));
  }

  async sendCommit(clientId: Id, bundle: SentBundle, claim: MembershipClaim): Promise<MlsTransportResponse> {
    const request = checked(requests.sendCommit, { clientId, bundle }, claim);
    request.signal?.throwIfAborted();
    const { commit, welcome, groupInfo } = request.bundle;
    const sent = {
      ...request,
      commit: framed(commit),
      welcome: welcome && framed(welcome),
      groupInfo: framed(groupInfo),
    };
    const { messageId, frame } = sent.commit;
    const conversationId = frame?.conversationId;
    const refs = request.welcomeTo.map(({ keyPackageRef }) => keyPackageRef);
    return this.#run(({ entries, abortedCommits, conversations, members, keyPackages }) => {
      const facts = {
        sequence: entries.sequenceOf(messageId),
        abortedBefore: abortedCommits.reasonOf(messageId),
        conversation: conversationId === undefined ? undefined : conversations.find(conversationId),
        members: conversationId === undefined ? [] : members.present(conversationId),
        publishers: keyPackages.publishersOf(refs),
      };
      return this.#done(decideCommit(sent, facts));
    });
  }

  async sendMessage(clientId: Id, message: Uint8Array): Promise<SentMessage> {
    const request = checked(requests.sendMessage, { clientId, message });
    const bytes = new Uint8Array(request.message);
    const frame = framingOf(bytes);
    const sent = { clientId: request.clientId, bytes, messageId: messageIdOf(bytes), frame };
    const { conversationId } = frame;
    return this.#run(({ entries, conversations, members }) => {
      const facts = {
        sequence: entries.sequenceOf(sent.messageId),
        conversation: conversationId === undefined ? undefined : conversations.find(conversationId),
        members: conversationId === undefined ? [] : members.present(conversationId),
      };
      return this.#done(decideMessage(sent, facts));
    });
  }

  async fetch(clientId: Id, conversationId: Id, options: FetchOptions): Promise<LogEntry[]> {
    const request = checked(requests.fetch, { clientId, conversationId }, options);
    request.signal?.throwIfAborted();
    return this.#run(({ conversations, members, entries }) => {
      const conversation = conversations.find(request.conversationId);
      const member = members.find(request.conversationId, request.clientId);
      return entries.read(readableLog(request, { conversation, member }));
    });
  }

  async groupInfo(clientId: Id, conversationId: Id): Promise<StoredGroupInfo> {
    const request = checked(requests.groupInfo, { clientId, conversationId });
    return this.#run(({ conversations, members }) => {
      const conversation = conversations.findWithGroupInfo(request.conversationId);
      const member = members.find(request.conversationId, request.clientId);
      return readableGroupInfo({ conversation, member });
    });
  }

  async pull(clientId: Id, options?: PullOptions): Promise<QueueEntry[]> {
    const request = checked(requests.pull, { clientId }, options);
    request.signal?.throwIfAborted();
    const end = performance.now() + request.waitMs;
    for (;;) {
      const entries = this.#run(({ queues }) => queues.read(request));
      const rest = end - performance.now();
      if (entries.length > 0 || rest <= 0) return entries;
      await this.#arrivals.next(clientId, rest, request.signal);
    }
  }

  async acknowledge(clientId: Id, cursor: number): Promise<void> {
    const request = checked(requests.acknowledge, { clientId, cursor });
    this.#run(({ queues }) => queues.drop(request.clientId, request.cursor));
  }

  async close(): Promise<void> {
    this.#arrivals.close(closed());
    this.#database.close();
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** One call: one transaction, begun and ended without giving way to another call. */
  #run<R>(work: (tables: Tables) => R): R {
    if (!this.#database.open) throw closed();
    try {
      return this.#transaction(() => work(this.#tables)) as R;
    } catch (error) {
      throw storageError(error);
    }
  }

  /** Applies what was decided. Runs inside of the transaction in which the facts were gathered. */
  #done<A>({ answer, effects }: Decision<A>): A {
    for (const effect of effects) this.#apply(effect);
    return answer;
  }

  #apply(effect: Effect): void {
    const { entries, queues, conversations, members, abortedCommits, keyPackages } = this.#tables;
    switch (effect.type) {
      case "deliver": {
        const entry = entries.insert(effect.entry);
        for (const clientId of effect.to) {
          queues.put(clientId, entry);
          this.#arrivals.announce(clientId);
        }
        return;
      }
      case "saveConversation":
        return conversations.save(effect);
      case "saveMember":
        return members.save(effect);
      case "rememberAbort":
        return abortedCommits.insert(effect);
      case "publishKeyPackage":
        return keyPackages.publish(effect);
      case "retireLastResort":
        return keyPackages.retireLastResort(effect);
      case "spendKeyPackage":
        return keyPackages.spend(effect);
    }
  }
}

function tablesOf(database: Database) {
  return {
    entries: entryTable(database),
    queues: queueTable(database),
    conversations: conversationTable(database),
    members: memberTable(database),
    abortedCommits: abortedCommitTable(database),
    keyPackages: keyPackageTable(database),
  };
}
type Tables = ReturnType<typeof tablesOf>;

function closed(): DeliveryError {
  return new DeliveryError("CLOSED", "The delivery service is closed; open it again.");
}
