import { MlsError, type Session } from "conclave-mls";
import type { Arrival } from "./connection.js";

/** A Welcome for keys that are gone, or to an epoch that is over, or damaged, or without its tree: it never gets better. */
const NEVER_BETTER = [
  "WELCOME_WITHOUT_KEY_PACKAGE",
  "WELCOME_OVERTAKEN",
  "WELCOME_INVALID",
  "ROLLBACK_REFUSED",
  "RATCHET_TREE_MISSING",
] as const;

/**
 * Takes what one connection brings, one after the other in the order of the server, and acknowledges each only when `receive` has
 * returned: then `deliver` has stored what it said, and the keystore its new keys.
 *
 * The first failure ends the queue. To go on behind it would acknowledge what failed, since a cursor stands for everything up to
 * it; the next connection brings it again.
 */
export class DecryptQueue {
  readonly #session: Session;
  readonly #acknowledge: (cursor: number) => Promise<void>;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: Arrival[] = [];
  #running = false;
  #over = false;

  constructor(session: Session, acknowledge: (cursor: number) => Promise<void>, failed: (error: unknown) => void) {
    this.#session = session;
    this.#acknowledge = acknowledge;
    this.#failed = failed;
  }

  push(arrival: Arrival): void {
    this.#waiting.push(arrival);
    if (!this.#running) void this.#run();
  }

  /** The connection is gone: what was not taken yet will come again. */
  stop(): void {
    this.#over = true;
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      for (let next = this.#next(); next !== undefined; next = this.#next()) {
        const received = await this.#session.receive(next.bytes);
        if (received.some(({ type }) => type === "welcome")) await this.#join(next.bytes);
        await this.#acknowledge(next.cursor);
      }
    } catch (error) {
      if (!this.#over) this.#failed(error);
      this.#over = true;
    } finally {
      this.#running = false;
    }
  }

  #next(): Arrival | undefined {
    return this.#over ? undefined : this.#waiting.shift();
  }

  /** A Welcome that cannot be used must not hold up the rest. */
  async #join(welcome: Uint8Array): Promise<void> {
    try {
      await this.#session.joinByWelcome(welcome);
    } catch (error) {
      if (!MlsError.is(error, ...NEVER_BETTER)) throw error;
    }
  }
}
