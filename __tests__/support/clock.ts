import type { Clock } from "../../lib/clock.js";

interface Timer {
  readonly due: number;
  readonly delay: number;
  readonly callback: () => void;
}

/** A clock that stands still until the test moves it, and spreads nothing. */
export class FakeClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<Timer>();
  readonly #watchers = new Set<() => void>();

  now(): number {
    return this.#now;
  }

  random(): number {
    return 0;
  }

  after(delay: number, callback: () => void): () => void {
    const timer = { due: this.#now + delay, delay, callback };
    this.#timers.add(timer);
    for (const look of this.#watchers) look();
    return () => this.#timers.delete(timer);
  }

  /** The delays that are waited for now, shortest first. */
  get delays(): number[] {
    return [...this.#timers].map(({ delay }) => delay).sort((a, b) => a - b);
  }

  /** Resolves when somebody waits for exactly so long. */
  async waitedFor(delay: number): Promise<void> {
    if (this.delays.includes(delay)) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!this.delays.includes(delay)) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  /** Lets the time pass, and whoever waited long enough go on. */
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers].sort((a, b) => a.due - b.due)) {
      if (timer.due > this.#now || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }

  /** Waits until somebody waits for exactly so long, and lets that time pass. */
  async pass(delay: number): Promise<void> {
    await this.waitedFor(delay);
    this.advance(delay);
  }
}
