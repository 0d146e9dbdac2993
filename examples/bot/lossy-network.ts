import { setTimeout as sleep } from "node:timers/promises";
import { type Id, inspectMessage } from "conclave-mls";
import { DeliveryError, type DeliveryService, type QueueEntry } from "conclave-mls/delivery-service";
import { chance } from "./chance.js";

/** What can become of a request, and how often that happens. */
const FATES = {
  /** It never arrives. */
  lost: 0.08,
  /** It arrives, and the answer is lost. */
  unanswered: 0.08,
  /** The connection breaks, and the request arrives all the same when nobody expects it any more. */
  belated: 0.04,
  /** It takes its time, and others overtake it. */
  slow: 0.1,
  /** It arrives twice. */
  twice: 0.05,
};
type Fate = keyof typeof FATES;

const LONGEST_WAY = 30;

/**
 * A bad network in front of a good delivery service. A seed decides the fate of each client's n-th request in a conversation, so
 * a run can be made again; which of two clients is faster is still up to the machine.
 */
export class LossyNetwork {
  readonly faults: Record<Fate | "repeated" | "reordered", number> = {
    lost: 0,
    unanswered: 0,
    belated: 0,
    slow: 0,
    twice: 0,
    repeated: 0,
    reordered: 0,
  };
  readonly #service: DeliveryService;
  readonly #seed: number;
  readonly #counts = new Map<string, number>();
  readonly #underway = new Set<Promise<unknown>>();

  constructor(service: DeliveryService, seed: number) {
    this.#service = service;
    this.#seed = seed;
  }

  /** The service as this client reaches it. */
  of(client: Id): DeliveryService {
    const service = this.#service;
    const over = <R>(what: string, request: () => Promise<R>): Promise<R> => this.#send(`${client} ${what}`, request);
    const close = async (): Promise<void> => {}; // The service is somebody else's.
    return {
      publishKeyPackages: (id, packages) => over("publish", () => service.publishKeyPackages(id, packages)),
      claimKeyPackage: (id, suite) => over(`claim ${id}`, () => service.claimKeyPackage(id, suite)),
      countKeyPackages: (id, suite) => over("count", () => service.countKeyPackages(id, suite)),
      withdrawKeyPackages: (id) => over("withdrawal", () => service.withdrawKeyPackages(id)),
      sendCommit: (id, bundle, claim) =>
        over(`commit ${conversationOf(bundle.commit)}`, () => service.sendCommit(id, bundle, claim)),
      sendMessage: (id, message) => over(`message ${conversationOf(message)}`, () => service.sendMessage(id, message)),
      fetch: (id, conversation, options) =>
        over(`fetch ${conversation}`, () => service.fetch(id, conversation, options)),
      groupInfo: (id, conversation) => over(`info ${conversation}`, () => service.groupInfo(id, conversation)),
      pull: async (id, options) => this.#jumble(client, await service.pull(id, options)),
      acknowledge: (id, cursor) => over("acknowledge", () => service.acknowledge(id, cursor)),
      close,
      [Symbol.asyncDispose]: close,
    };
  }

  /** Resolves when nothing is on its way any more. */
  async quiet(): Promise<void> {
    while (this.#underway.size > 0) await Promise.allSettled(this.#underway);
  }

  async #send<R>(what: string, request: () => Promise<R>): Promise<R> {
    const place = this.#next(what);
    const fate = this.#fate(chance(this.#seed, what, place));
    if (fate === undefined) return request();
    this.faults[fate] += 1;
    const way = 1 + LONGEST_WAY * chance(this.#seed, what, place, "way");
    switch (fate) {
      case "lost":
        throw brokenConnection();
      case "unanswered":
        await request();
        throw brokenConnection();
      case "belated":
        this.#later(way, request);
        throw brokenConnection();
      case "slow":
        await sleep(way);
        return request();
      case "twice":
        await request();
        return request();
    }
  }

  /** A whole answer is lost, or what is in it comes twice or in another order. */
  #jumble(client: Id, entries: QueueEntry[]): QueueEntry[] {
    if (entries.length === 0) return entries;
    const place = this.#next(`${client} pull`);
    const draw = (...key: (string | number)[]): number => chance(this.#seed, client, "pull", place, ...key);
    if (draw() < FATES.unanswered) {
      this.faults.unanswered += 1;
      throw brokenConnection();
    }
    const jumbled = entries.flatMap((entry, n) => {
      if (draw("repeat", n) >= 0.1) return [entry];
      this.faults.repeated += 1;
      return [entry, entry];
    });
    for (let n = 1; n < jumbled.length; n++) {
      if (draw("swap", n) >= 0.1) continue;
      this.faults.reordered += 1;
      jumbled.splice(n - 1, 2, ...jumbled.slice(n - 1, n + 1).reverse());
    }
    return jumbled;
  }

  #next(what: string): number {
    const place = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, place);
    return place;
  }

  #fate(draw: number): Fate | undefined {
    for (const [fate, share] of Object.entries(FATES)) {
      if (draw < share) return fate as Fate;
      draw -= share;
    }
    return undefined;
  }

  #later(way: number, request: () => Promise<unknown>): void {
    const arrival = sleep(way)
      .then(request)
      .catch(() => {}) // Nobody hears the answer, whatever it is.
      .finally(() => this.#underway.delete(arrival));
    this.#underway.add(arrival);
  }
}

function conversationOf(message: Uint8Array): string {
  return inspectMessage(message).conversationId ?? "";
}

function brokenConnection(): DeliveryError {
  return new DeliveryError("UNREACHABLE", "The connection broke.");
}
