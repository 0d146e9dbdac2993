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
} from "../delivery-service/index.js";
import { framingOf, messageIdOf } from "../delivery-service/framing.js";
import type { CipherSuite, Id, MlsTransportResponse } from "../lib/index.js";
import { FaultyQueue } from "./faulty-queue.js";
import type { FaultyNetwork } from "./network.js";

/** How often a queue that is waited for is looked at, in simulated milliseconds. */
const LOOK_AGAIN = 500;

/** How a history tells of it. */
export const OLD_GROUP_INFO = "the GroupInfo of an epoch that is over is handed out";

/** A delivery service at the far end of a faulty network: every call is a request, and answers to commits and queues suffer. */
export class FaultyDeliveryService implements DeliveryService {
  readonly #service: DeliveryService;
  readonly #network: FaultyNetwork;
  readonly #queues = new Map<Id, FaultyQueue>();
  /** Commits that were answered `abort` here: never to be accepted, however late a copy of them arrives. */
  readonly #aborted = new Set<Id>();
  readonly #accepted = new Set<Id>();
  /** The GroupInfo of each epoch that an accepted commit has begun, by conversation. */
  readonly #groupInfos = new Map<Id, StoredGroupInfo[]>();

  /** Made by `FaultyNetwork.over`. */
  constructor(service: DeliveryService, network: FaultyNetwork) {
    this.#service = service;
    this.#network = network;
  }

  publishKeyPackages(clientId: Id, keyPackages: readonly PublishedKeyPackage[]): Promise<void> {
    const carryOut = () => this.#service.publishKeyPackages(clientId, keyPackages);
    return this.#network.request(clientId, "a publication", carryOut);
  }

  claimKeyPackage(ofClientId: Id, cipherSuite: CipherSuite): Promise<PublishedKeyPackage | undefined> {
    const carryOut = () => this.#service.claimKeyPackage(ofClientId, cipherSuite);
    return this.#network.request(ofClientId, "a claim", carryOut);
  }

  countKeyPackages(clientId: Id, cipherSuite: CipherSuite): Promise<number> {
    const carryOut = () => this.#service.countKeyPackages(clientId, cipherSuite);
    return this.#network.request(clientId, "a count", carryOut);
  }

  withdrawKeyPackages(clientId: Id): Promise<void> {
    return this.#network.request(clientId, "a withdrawal", () => this.#service.withdrawKeyPackages(clientId));
  }

  sendCommit(clientId: Id, bundle: SentBundle, { welcomeTo, removed }: MembershipClaim): Promise<MlsTransportResponse> {
    // Without the caller's signal: what has left goes on, also when nobody waits for it any more.
    const carryOut = () => this.#decide(clientId, bundle, { welcomeTo, removed });
    return this.#network.request(clientId, "a commit", carryOut);
  }

  sendMessage(clientId: Id, message: Uint8Array): Promise<SentMessage> {
    return this.#network.request(clientId, "a message", () => this.#service.sendMessage(clientId, message));
  }

  fetch(clientId: Id, conversationId: Id, { fromEpoch, after, limit }: FetchOptions): Promise<LogEntry[]> {
    const carryOut = () => this.#service.fetch(clientId, conversationId, { fromEpoch, after, limit });
    return this.#network.request(clientId, "a fetch", carryOut);
  }

  groupInfo(clientId: Id, conversationId: Id): Promise<StoredGroupInfo> {
    const carryOut = () => this.#groupInfo(clientId, conversationId);
    return this.#network.request(clientId, "a question for the GroupInfo", carryOut);
  }

  /** Waits by the simulated clock: the service is asked again and again. */
  async pull(clientId: Id, { waitMs = 0, signal, ...options }: PullOptions = {}): Promise<QueueEntry[]> {
    const carryOut = () => this.#queueOf(clientId).pull(options);
    for (let left = waitMs; ; left -= LOOK_AGAIN) {
      signal?.throwIfAborted();
      const entries = await this.#network.request(clientId, "a pull", carryOut);
      if (entries.length > 0 || left <= 0) return entries;
      await this.#network.clock.sleep(Math.min(left, LOOK_AGAIN));
    }
  }

  acknowledge(clientId: Id, cursor: number): Promise<void> {
    const carryOut = () => this.#queueOf(clientId).acknowledge(cursor);
    return this.#network.request(clientId, "an acknowledgement", carryOut);
  }

  /** Closes the service behind it. */
  close(): Promise<void> {
    return this.#service.close();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What the far end answers to a commit. */
  async #decide(clientId: Id, bundle: SentBundle, claim: MembershipClaim): Promise<MlsTransportResponse> {
    const network = this.#network;
    const commitId = messageIdOf(bundle.commit);
    const refused: MlsTransportResponse = { status: "abort", reason: "The simulation refuses this commit." };
    if (this.#aborted.has(commitId)) return refused;
    if (network.happens("retry", clientId, "a commit is told to retry, unseen")) return { status: "retry" };
    if (!this.#accepted.has(commitId) && network.happens("abort", clientId, "a commit is refused for good")) {
      this.#aborted.add(commitId);
      return refused;
    }
    const answer = await this.#service.sendCommit(clientId, bundle, claim);
    if (answer.status === "success" && !this.#accepted.has(commitId)) {
      this.#accepted.add(commitId);
      this.#keepGroupInfo(bundle.groupInfo);
    }
    if (network.happens("garbage", clientId, "the answer to a commit is nonsense"))
      return network.random.pick(NONSENSE);
    if (answer.status !== "success") return answer;
    const late = network.happens("retryAfterAccepting", clientId, "a commit is accepted and told to retry");
    return late ? { status: "retry", afterMs: network.random.below(2_000) } : answer;
  }

  /** The newest one, or one that is over. */
  async #groupInfo(clientId: Id, conversationId: Id): Promise<StoredGroupInfo> {
    const network = this.#network;
    const newest = await this.#service.groupInfo(clientId, conversationId);
    const old = (this.#groupInfos.get(conversationId) ?? []).filter(({ epoch }) => epoch < newest.epoch);
    const replays = old.length > 0 && network.happens("groupInfoReplayed", clientId, OLD_GROUP_INFO);
    return replays ? network.random.pick(old) : newest;
  }

  #keepGroupInfo(groupInfo: Uint8Array): void {
    const { conversationId = "", epoch = 0n } = framingOf(groupInfo);
    const kept = this.#groupInfos.get(conversationId) ?? [];
    this.#groupInfos.set(conversationId, [...kept, { epoch, groupInfo }]);
  }

  #queueOf(clientId: Id): FaultyQueue {
    let queue = this.#queues.get(clientId);
    if (queue === undefined)
      this.#queues.set(clientId, (queue = new FaultyQueue(this.#service, clientId, this.#network)));
    return queue;
  }
}

/** Answers that no server should give; every one must count as none. */
const NONSENSE = [
  undefined,
  "success",
  {},
  { status: "SUCCESS" },
  { status: "retry", afterMs: -1 },
  { status: "abort" },
] as unknown as readonly MlsTransportResponse[];
