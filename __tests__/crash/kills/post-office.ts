import { inspectMessage } from "conclave-mls";
import type { DeliveryService, QueueEntry } from "conclave-mls/delivery-service";
import type { Random } from "../random.js";

/** What the post office tells of: before a call is done, and when it is done but not answered. */
export type Moment = "before" | "after";

/**
 * A delivery service that looks at every call on its way, so that a client can be killed just then, and loses an answer now and
 * then. What it has handed out it remembers.
 */
export class PostOffice {
  /** What clients see of it. */
  readonly service: DeliveryService;
  /** How often the answer to a commit gets lost. */
  lostAnswers = 0.05;
  /** Called at each request of a client. */
  onRequest: (clientId: string, moment: Moment) => void = () => {};
  /** The conversations of the messages that were handed out to a client, by client and message. */
  readonly handedOut = new Map<string, Map<string, string>>();
  /** Two different commits of a client for one epoch, if there were any. */
  readonly contradictions: string[] = [];
  /** How many epochs a message was behind when it was sent. */
  readonly behind = new Map<string, bigint>();
  readonly #commits = new Map<string, string>();
  /** The epoch that each conversation is in. */
  readonly #epochs = new Map<string, bigint>();
  /** The references of key packages that an accepted commit has used. */
  readonly usedKeyPackages = new Set<string>();

  constructor(behind: DeliveryService, random: Random, hash: (bytes: Uint8Array) => string) {
    const at = async <R>(clientId: string, work: () => Promise<R>): Promise<R> => {
      this.onRequest(clientId, "before");
      const answer = await work();
      this.onRequest(clientId, "after");
      return answer;
    };
    this.service = {
      publishKeyPackages: (id, keyPackages) => at(id, () => behind.publishKeyPackages(id, keyPackages)),
      claimKeyPackage: (id, suite) => behind.claimKeyPackage(id, suite),
      countKeyPackages: (id, suite) => behind.countKeyPackages(id, suite),
      withdrawKeyPackages: (id) => behind.withdrawKeyPackages(id),
      sendCommit: (id, bundle, claim) =>
        at(id, async () => {
          const { conversationId, epoch } = inspectMessage(bundle.commit);
          this.#note(`${id} in ${conversationId} at ${epoch}`, hash(bundle.commit));
          const answer = await behind.sendCommit(id, bundle, claim);
          if (answer.status === "success") {
            for (const { keyPackageRef } of claim.welcomeTo) this.usedKeyPackages.add(keyPackageRef);
            if (epoch! >= (this.#epochs.get(conversationId!) ?? 0n)) this.#epochs.set(conversationId!, epoch! + 1n);
          }
          if (random.chance(this.lostAnswers)) throw new Error("The answer got lost.");
          return answer;
        }),
      sendMessage: (id, message) =>
        at(id, () => {
          const { conversationId, epoch } = inspectMessage(message);
          this.behind.set(hash(message), (this.#epochs.get(conversationId!) ?? 0n) - epoch!);
          return behind.sendMessage(id, message);
        }),
      fetch: (id, conversationId, options) => at(id, () => behind.fetch(id, conversationId, options)),
      groupInfo: (id, conversationId) => behind.groupInfo(id, conversationId),
      pull: (id, options) =>
        at(id, async () => {
          const entries = await behind.pull(id, options);
          this.#remember(id, entries, hash);
          return entries;
        }),
      acknowledge: (id, cursor) => at(id, () => behind.acknowledge(id, cursor)),
      close: () => behind.close(),
      [Symbol.asyncDispose]: () => behind.close(),
    };
  }

  #note(place: string, commitId: string): void {
    const before = this.#commits.get(place);
    if (before !== undefined && before !== commitId) this.contradictions.push(`two commits of ${place}`);
    this.#commits.set(place, commitId);
  }

  #remember(id: string, entries: readonly QueueEntry[], hash: (bytes: Uint8Array) => string): void {
    const all = this.handedOut.get(id) ?? new Map<string, string>();
    this.handedOut.set(id, all);
    for (const { bytes, conversationId } of entries)
      if (inspectMessage(bytes).kind === "message") all.set(hash(bytes), conversationId);
  }
}
