import type { CipherSuite, Id, MlsTransportResponse } from "../lib/index.js";
import { Arrivals } from "./arrivals.js";
import { closed, DeliveryError } from "./errors.js";
import { framed, framingOf, keyPackageRefOf, messageIdOf } from "./framing.js";
import { checked, requests } from "./requests.js";
import { decideCommit, type SentCommit } from "./rules/commit.js";
import type { Decision } from "./rules/decision.js";
import { decideClaim, decidePublication, type ReadKeyPackage } from "./rules/key-package.js";
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
import { SqliteStore } from "./sqlite/store.js";
import type { Store } from "./store.js";

/**
 * A delivery service inside this process, on one SQLite file or in memory. It needs better-sqlite3 (`SQLITE_MISSING`).
 *
 * Calls take effect one after the other, each in one SQLite transaction. What a call changed is on the disk (WAL,
 * `synchronous=FULL`) when it resolves.
 */
export class EmbeddedDeliveryService implements DeliveryService {
  readonly #store: Store;
  readonly #arrivals = new Arrivals();

  /**
   * Opens the service's file, or creates it, readable for its owner only. `DATABASE_IN_USE` while another service has it
   * open; `DATABASE_FOREIGN`, and the file stays as it is, when it is anything else.
   */
  static async open(path: string): Promise<EmbeddedDeliveryService> {
    if (typeof path !== "string" || path === "") {
      throw new DeliveryError("INVALID_REQUEST", "path: must be a non-empty string; without a file use inMemory().");
    }
    return new EmbeddedDeliveryService(await SqliteStore.open(path));
  }

  /** For tests: gone with `close`. */
  static async inMemory(): Promise<EmbeddedDeliveryService> {
    return new EmbeddedDeliveryService(await SqliteStore.open(undefined));
  }

  private constructor(store: Store) {
    this.#store = store;
  }

  async publishKeyPackages(clientId: Id, keyPackages: readonly PublishedKeyPackage[]): Promise<void> {
    const request = checked(requests.publishKeyPackages, { clientId, keyPackages });
    const publication = {
      clientId: request.clientId,
      keyPackages: request.keyPackages.map(readKeyPackage),
      now: Date.now(),
    };
    const refs = request.keyPackages.map(({ ref }) => ref);
    await this.#store.publishKeyPackages(refs, (publishers) => decidePublication(publication, publishers));
  }

  async claimKeyPackage(ofClientId: Id, cipherSuite: CipherSuite): Promise<PublishedKeyPackage | undefined> {
    const request = checked(requests.claimKeyPackage, { ofClientId, cipherSuite });
    const about = { clientId: request.ofClientId, cipherSuite: request.cipherSuite, now: Date.now() };
    return (await this.#store.claimKeyPackage(about, decideClaim)).answer;
  }

  async countKeyPackages(clientId: Id, cipherSuite: CipherSuite): Promise<number> {
    const request = checked(requests.countKeyPackages, { clientId, cipherSuite });
    return this.#store.countKeyPackages({ ...request, now: Date.now() });
  }

  async withdrawKeyPackages(clientId: Id): Promise<void> {
    const request = checked(requests.withdrawKeyPackages, { clientId });
    await this.#store.withdrawKeyPackages(request.clientId);
  }

  async sendCommit(clientId: Id, bundle: SentBundle, claim: MembershipClaim): Promise<MlsTransportResponse> {
    const request = checked(requests.sendCommit, { clientId, bundle }, claim);
    request.signal?.throwIfAborted();
    const { commit, welcome, groupInfo } = request.bundle;
    const sent: SentCommit = {
      ...request,
      commit: framed(commit),
      welcome: welcome && framed(welcome),
      groupInfo: framed(groupInfo),
    };
    const about = {
      commitId: sent.commit.messageId,
      conversationId: sent.commit.frame?.conversationId,
      keyPackageRefs: sent.welcomeTo.map(({ keyPackageRef }) => keyPackageRef),
    };
    return this.#delivered(await this.#store.sendCommit(about, (facts) => decideCommit(sent, facts)));
  }

  async sendMessage(clientId: Id, message: Uint8Array): Promise<SentMessage> {
    const request = checked(requests.sendMessage, { clientId, message });
    const bytes = new Uint8Array(request.message);
    const frame = framingOf(bytes);
    const sent = { clientId: request.clientId, bytes, messageId: messageIdOf(bytes), frame };
    const about = { messageId: sent.messageId, conversationId: frame.conversationId };
    return this.#delivered(await this.#store.sendMessage(about, (facts) => decideMessage(sent, facts)));
  }

  async fetch(clientId: Id, conversationId: Id, options: FetchOptions): Promise<LogEntry[]> {
    const request = checked(requests.fetch, { clientId, conversationId }, options);
    request.signal?.throwIfAborted();
    const standing = await this.#store.standing(request.conversationId, request.clientId);
    return this.#store.readLog(readableLog(request, standing));
  }

  async groupInfo(clientId: Id, conversationId: Id): Promise<StoredGroupInfo> {
    const request = checked(requests.groupInfo, { clientId, conversationId });
    return readableGroupInfo(await this.#store.groupInfo(request.conversationId, request.clientId));
  }

  async pull(clientId: Id, options?: PullOptions): Promise<QueueEntry[]> {
    const request = checked(requests.pull, { clientId }, options);
    request.signal?.throwIfAborted();
    const end = performance.now() + request.waitMs;
    // It listens before it looks, so that nothing is missed that arrives in between.
    const arrivals = this.#arrivals.listen(request.clientId);
    try {
      for (;;) {
        const entries = await this.#store.readQueue(request);
        const rest = end - performance.now();
        if (entries.length > 0 || rest <= 0) return entries;
        await arrivals.next(rest, request.signal);
      }
    } finally {
      arrivals.stop();
    }
  }

  async acknowledge(clientId: Id, cursor: number): Promise<void> {
    const request = checked(requests.acknowledge, { clientId, cursor });
    await this.#store.acknowledge(request.clientId, request.cursor);
  }

  async close(): Promise<void> {
    this.#arrivals.close(closed());
    await this.#store.close();
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Wakes the clients that got something by what was stored. */
  #delivered<Answer>({ answer, effects }: Decision<Answer>): Answer {
    for (const effect of effects) {
      if (effect.type === "deliver") for (const clientId of effect.to) this.#arrivals.announce(clientId);
    }
    return answer;
  }
}

function readKeyPackage(keyPackage: PublishedKeyPackage): ReadKeyPackage {
  const bytes = new Uint8Array(keyPackage.bytes); // a copy, for the same reason as in `framed`
  return { keyPackage: { ...keyPackage, bytes }, frame: framingOf(bytes), ref: keyPackageRefOf(bytes) };
}
