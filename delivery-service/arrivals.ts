import type { Id } from "../lib/index.js";
import { onAbort } from "../lib/on-abort.js";

/** Who is waiting for something to arrive in a queue. */
export class Arrivals {
  readonly #waiting = new Map<Id, Set<Waiter>>();

  /**
   * Wakes whoever waits for this client. It goes on in a later turn, when the transaction that queued the entry has ended;
   * if that was rolled back, it finds nothing and waits again.
   */
  announce(clientId: Id): void {
    for (const waiter of this.#waiting.get(clientId) ?? []) waiter.wake();
  }

  /** Resolves when something arrives or the time is over; rejects with the signal's reason, or with that of `close`. */
  next(clientId: Id, ms: number, signal: AbortSignal | undefined): Promise<void> {
    const waiters = this.#waiting.get(clientId) ?? new Set();
    this.#waiting.set(clientId, waiters);
    return new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        clearTimeout(timer);
        stopWaiting();
        waiters.delete(waiter);
        if (waiters.size === 0) this.#waiting.delete(clientId);
      };
      const wake = (): void => {
        leave();
        resolve();
      };
      const fail = (reason: unknown): void => {
        leave();
        reject(reason);
      };
      const waiter: Waiter = { wake, fail };
      const timer = setTimeout(wake, ms);
      const stopWaiting = onAbort(signal, () => fail(signal?.reason));
      waiters.add(waiter);
    });
  }

  /** Ends every waiting with this error. */
  close(reason: Error): void {
    for (const waiters of this.#waiting.values()) for (const waiter of waiters) waiter.fail(reason);
  }
}

interface Waiter {
  readonly wake: () => void;
  readonly fail: (reason: unknown) => void;
}
