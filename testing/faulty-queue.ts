import type { DeliveryService, PullOptions, QueueEntry } from "../delivery-service/index.js";
import { framingOf } from "../delivery-service/framing.js";
import type { Id } from "../lib/index.js";
import type { FaultyNetwork } from "./network.js";

/**
 * How far apart entries may change places. A message that came after more commits than clients keep epochs would be lost for a
 * reason of its own, and that is not what is to be tested.
 */
const WINDOW = 5;

/** How a history tells of it. */
export const OLD_WELCOME = "an old Welcome comes again";

/** What waits for one client, held back, repeated, mixed up and tampered with; but all of it comes until it is acknowledged. */
export class FaultyQueue {
  readonly #service: DeliveryService;
  readonly #clientId: Id;
  readonly #network: FaultyNetwork;
  /** Handed out at least once. What is not comes also to a client that asks only for what follows it. */
  readonly #seen = new Set<number>();
  /** Acknowledged out of order: the service takes acknowledgements only from the front. */
  readonly #acknowledged = new Set<number>();
  #recent: QueueEntry[] = [];
  /** All that were ever handed out. */
  readonly #welcomes: QueueEntry[] = [];

  constructor(service: DeliveryService, clientId: Id, network: FaultyNetwork) {
    this.#service = service;
    this.#clientId = clientId;
    this.#network = network;
  }

  async pull({ after = 0, limit = 100 }: PullOptions): Promise<QueueEntry[]> {
    const entries = await this.#waiting();
    return this.#spoilt(entries.filter(({ cursor }) => cursor > after || !this.#seen.has(cursor))).slice(0, limit);
  }

  /** This one entry, whatever was handed out before it: that may not have been received. */
  async acknowledge(cursor: number): Promise<void> {
    this.#acknowledged.add(cursor);
    let last: number | undefined;
    for (const entry of await this.#service.pull(this.#clientId)) {
      if (!this.#acknowledged.has(entry.cursor)) break;
      last = entry.cursor;
    }
    if (last !== undefined) await this.#service.acknowledge(this.#clientId, last);
  }

  async #waiting(): Promise<QueueEntry[]> {
    const entries = await this.#service.pull(this.#clientId, { limit: WINDOW });
    return entries.filter(({ cursor }) => !this.#acknowledged.has(cursor));
  }

  #spoilt(entries: QueueEntry[]): QueueEntry[] {
    const { random } = this.#network;
    let handed = entries.filter(() => !this.#happens("held", "something is held back"));
    for (const entry of handed) this.#seen.add(entry.cursor);
    if (handed.length > 1 && this.#happens("reordered", "what waits comes in another order")) {
      handed = random.shuffled(handed);
    }
    const known = this.#recent;
    this.#recent = [...known, ...handed].slice(-2 * WINDOW);
    const old = this.#oldWelcomes();
    this.#welcomes.push(...handed.filter(({ bytes }) => framingOf(bytes).kind === "welcome"));
    const present = handed.flatMap((entry) => [
      ...(this.#happens("tampered", "a copy was tampered with") ? [this.#tampered(entry)] : []),
      entry,
      ...(this.#happens("repeated", "something comes again") ? [random.pick([...known, entry])] : []),
    ]);
    return [...present, ...old];
  }

  /** At most one, of all that came before. */
  #oldWelcomes(): QueueEntry[] {
    const replays = this.#welcomes.length > 0 && this.#happens("welcomeReplayed", OLD_WELCOME);
    return replays ? [this.#network.random.pick(this.#welcomes)] : [];
  }

  /** Acknowledging it acknowledges nothing. */
  #tampered({ conversationId, bytes }: QueueEntry): QueueEntry {
    const { random } = this.#network;
    const copy = Uint8Array.from(bytes);
    const place = random.below(copy.length);
    copy[place] = (copy[place] ?? 0) ^ (1 << random.below(8));
    return { cursor: 0, conversationId, bytes: copy };
  }

  #happens(fault: "held" | "reordered" | "repeated" | "tampered" | "welcomeReplayed", words: string): boolean {
    return this.#network.happens(fault, this.#clientId, words);
  }
}
