import type { DeliveryService, QueueEntry } from "conclave-mls/delivery-service";
import { ALICE, ARCHIVE } from "./alice.js";

/** What waits for her, in the order that the plot wants. An entry comes again until it is acknowledged. */
export class Mailbox {
  readonly #service: DeliveryService;
  /** In which order things came does not matter for the cursors: they are counted here. */
  #cursor = 0;
  #waiting: QueueEntry[] = [];
  #held: QueueEntry[] = [];
  /** How far the service's own queue was read. */
  #after = 0;

  constructor(service: DeliveryService) {
    this.#service = service;
  }

  /**
   * Puts in what is new for her: all of it as it came, or the entries of these places, in this order. What is left out is held
   * back until she has once found nothing.
   */
  async fill(order?: readonly number[]): Promise<void> {
    const entries = await this.#service.pull(ALICE, { after: this.#after });
    this.#after = entries.at(-1)?.cursor ?? this.#after;
    const queued = entries.filter(({ conversationId }) => conversationId !== ARCHIVE);
    const places = order ?? queued.keys();
    for (const place of places) this.#put(queued[place]!);
    this.#held.push(...queued.filter((_, place) => order?.includes(place) === false));
  }

  pull(limit: number): QueueEntry[] {
    const entries = this.#waiting.slice(0, limit);
    if (entries.length === 0) this.#held.splice(0).forEach((entry) => this.#put(entry));
    return entries;
  }

  acknowledge(cursor: number): void {
    this.#waiting = this.#waiting.filter((entry) => entry.cursor > cursor);
  }

  #put(entry: QueueEntry): void {
    this.#waiting.push({ ...entry, cursor: ++this.#cursor });
  }
}
