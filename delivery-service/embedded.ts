import type { CipherSuite, Id, MlsTransportResponse } from "../lib/index.js";
import { Arrivals } from "./arrivals.js";
import { commitOrder, type CommitOrder } from "./commits.js";
import { conversationStore } from "./conversations.js";
import { openDatabase, storageError, type Database } from "./database.js";
import { DeliveryError } from "./errors.js";
import { framingOf, keyPackageRefOf } from "./framing.js";
import { keyPackageTable, type KeyPackageTable } from "./key-packages.js";
import { memberList } from "./members.js";
import { messageOrder, type MessageOrder } from "./messages.js";
import { clientQueues, type ClientQueues } from "./queues.js";
import { checked, requests } from "./requests.js";
import type { Decision, Effect } from "./rules/decision.js";
import { decideClaim, decidePublication } from "./rules/key-package.js";
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
  readonly #keyPackages: KeyPackageTable;
  readonly #queues: ClientQueues;
  readonly #commits: CommitOrder;
  readonly #messages: MessageOrder;

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
    const keyPackages = keyPackageTable(database);
    const conversations = conversationStore(database);
    const members = memberList(database);
    const queues = clientQueues(database, this.#arrivals);
    this.#keyPackages = keyPackages;
    this.#queues = queues;
    this.#commits = commitOrder(database, { keyPackages, conversations, members, queues });
    this.#messages = messageOrder({ conversations, members, queues });
  }

  async publishKeyPackages(clientId: Id, keyPackages: readonly PublishedKeyPackage[]): Promise<void> {
    const request = checked(requests.publishKeyPackages, { clientId, keyPackages });
    const read = request.keyPackages.map((keyPackage) => ({
      keyPackage,
      frame: framingOf(keyPackage.bytes),
      ref: keyPackageRefOf(keyPackage.bytes),
    }));
    const publication = { clientId, keyPackages: read, now: Date.now() };
    const refs = request.keyPackages.map(({ ref }) => ref);
    this.#run(() => this.#done(decidePublication(publication, this.#keyPackages.publishersOf(refs))));
  }

  async claimKeyPackage(ofClientId: Id, cipherSuite: CipherSuite): Promise<PublishedKeyPackage | undefined> {
    const request = checked(requests.claimKeyPackage, { ofClientId, cipherSuite });
    const of = { clientId: request.ofClientId, cipherSuite, now: Date.now() };
    return this.#run(() => this.#done(decideClaim(this.#keyPackages.supplyOf(of))));
  }

  async countKeyPackages(clientId: Id, cipherSuite: CipherSuite): Promise<number> {
    const request = checked(requests.countKeyPackages, { clientId, cipherSuite });
    return this.#run(() => this.#keyPackages.count({ ...request, now: Date.now() }));
  }

  async withdrawKeyPackages(clientId: Id): Promise<void> {
    const request = checked(requests.withdrawKeyPackages, { clientId });
    this.#run(() => this.#keyPackages.withdraw(request.clientId));
  }

  async sendCommit(clientId: Id, bundle: SentBundle, claim: MembershipClaim): Promise<MlsTransportResponse> {
    const request = checked(requests.sendCommit, { clientId, bundle }, claim);
    request.signal?.throwIfAborted();
    return this.#run(() => this.#commits.accept(request));
  }

  async sendMessage(clientId: Id, message: Uint8Array): Promise<SentMessage> {
    const request = checked(requests.sendMessage, { clientId, message });
    return this.#run(() => this.#messages.send(request));
  }

  async fetch(clientId: Id, conversationId: Id, options: FetchOptions): Promise<LogEntry[]> {
    const request = checked(requests.fetch, { clientId, conversationId }, options);
    request.signal?.throwIfAborted();
    return this.#run(() => this.#messages.fetch(request));
  }

  async groupInfo(clientId: Id, conversationId: Id): Promise<StoredGroupInfo> {
    const request = checked(requests.groupInfo, { clientId, conversationId });
    return this.#run(() => this.#messages.groupInfo(request));
  }

  async pull(clientId: Id, options?: PullOptions): Promise<QueueEntry[]> {
    const request = checked(requests.pull, { clientId }, options);
    request.signal?.throwIfAborted();
    const end = performance.now() + request.waitMs;
    for (;;) {
      const entries = this.#run(() => this.#queues.pull(request));
      const rest = end - performance.now();
      if (entries.length > 0 || rest <= 0) return entries;
      await this.#arrivals.next(clientId, rest, request.signal);
    }
  }

  async acknowledge(clientId: Id, cursor: number): Promise<void> {
    const request = checked(requests.acknowledge, { clientId, cursor });
    this.#run(() => this.#queues.acknowledge(request));
  }

  async close(): Promise<void> {
    this.#arrivals.close(closed());
    this.#database.close();
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Applies what was decided. Runs inside of the transaction in which the facts were gathered. */
  #done<A>({ answer, effects }: Decision<A>): A {
    for (const effect of effects) this.#apply(effect);
    return answer;
  }

  #apply(effect: Effect): void {
    switch (effect.type) {
      case "publishKeyPackage":
        return this.#keyPackages.publish(effect);
      case "retireLastResort":
        return this.#keyPackages.retireLastResort(effect);
      case "spendKeyPackage":
        return this.#keyPackages.spend(effect);
    }
  }

  /** One call: one transaction, begun and ended without giving way to another call. */
  #run<R>(work: () => R): R {
    if (!this.#database.open) throw closed();
    try {
      return this.#transaction(work) as R;
    } catch (error) {
      throw storageError(error);
    }
  }
}

function closed(): DeliveryError {
  return new DeliveryError("CLOSED", "The delivery service is closed; open it again.");
}
