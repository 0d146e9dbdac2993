import type { Id } from "../lib/index.js";
import { onAbort } from "../lib/on-abort.js";

/** Who is waiting for something to arrive in a queue. */
export class Arrivals {
  readonly #listeners = new Map<Id, Set<Listener>>();

  /** Wakes those who wait for this client. Called when what arrived is stored. */
  announce(clientId: Id): void {
    for (const listener of this.#listeners.get(clientId) ?? []) listener.wake();
  }

  /** Hears of all that arrives for this client from now on, until `stop`. */
  listen(clientId: Id): Listener {
    const listeners = this.#listeners.get(clientId) ?? new Set();
    this.#listeners.set(clientId, listeners);
    const listener = new Listener(() => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(clientId);
    });
    listeners.add(listener);
    return listener;
  }

  /** Ends every waiting with this error. */
  close(reason: Error): void {
    for (const listeners of this.#listeners.values()) for (const listener of listeners) listener.fail(reason);
  }
}

class Listener {
  readonly stop: () => void;
  #heard = false;
  #failure: Error | undefined;
  #wakeUp = (): void => {};

  constructor(stop: () => void) {
    this.stop = stop;
  }

  wake(): void {
    this.#heard = true;
    this.#wakeUp();
  }

  fail(reason: Error): void {
    this.#failure = reason;
    this.#wakeUp();
  }

  /**
   * Resolves when something has arrived since the last call, or the time is over; rejects with the
   * signal's reason, or with that of `close`.
   */
  async next(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#heard && this.#failure === undefined && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          stopWaiting();
          resolve();
        };
        const timer = setTimeout(end, ms);
        const stopWaiting = onAbort(signal, end);
        this.#wakeUp = end;
      });
    }
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    this.#heard = false;
  }
}
