import type { Clock } from "../lib/clock.js";
import { withAnswers } from "../lib/in-order.js";

/**
 * A clock that stands still until a test moves it. Sessions that were opened with `withClock(options, clock)` wait by it: back-off
 * and time limits pass as fast as the test wants, and at the same moments in every run.
 *
 * It also knows when such sessions are at work, so that {@link next} and {@link until} move the time only when nothing but time
 * is waited for. The lifetimes of key packages go by it, too: sessions with clocks of their own may find each other's expired.
 */
export class SimulatedClock implements Clock {
  #now: number;
  readonly #draw: () => number;
  readonly #timers = new Set<Timer>();
  readonly #watchers = new Set<() => void>();
  #working = 0;
  readonly #waitingForRest: (() => void)[] = [];

  /**
   * `start` in milliseconds since 1970; the machine's time when it is not given, so that others who go by that find key packages
   * valid. `random` is for the jitter of back-off, and spreads nothing when it is not given.
   */
  constructor({ start = Date.now(), random = () => 0 }: { start?: number; random?: () => number } = {}) {
    this.#now = start;
    this.#draw = random;
  }

  /** Milliseconds since 1970, as far as this clock is concerned. */
  now(): number {
    return this.#now;
  }

  /** What `random` of the constructor answers. */
  random(): number {
    return this.#draw();
  }

  /** Calls back when the time has been moved so far. Returns the way to stop it. */
  after(delay: number, callback: () => void): () => void {
    const timer = { due: this.#now + delay, delay, callback };
    this.#timers.add(timer);
    for (const look of this.#watchers) look();
    return () => this.#timers.delete(timer);
  }

  /** Resolves when the time has been moved so far. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Lets the time pass, and whoever waited long enough go on. */
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of this.#inOrder()) {
      if (timer.due > this.#now || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
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

  /** Waits until somebody waits for exactly so long, and lets that time pass. */
  async pass(delay: number): Promise<void> {
    await this.waitedFor(delay);
    this.advance(delay);
  }

  /** Moves the time to the moment that is waited for first, calls back there, and waits until all is at rest. False: nobody waits. */
  async next(): Promise<boolean> {
    await this.rest();
    const [first] = this.#inOrder();
    if (first === undefined) return false;
    this.#timers.delete(first);
    this.#now = Math.max(this.#now, first.due);
    first.callback();
    await this.rest();
    return true;
  }

  /**
   * What the work comes to; the time moves as far as that takes. Rejects when nobody waits for time any more and the work goes on
   * waiting: it would for ever.
   */
  async until<R>(work: Promise<R>): Promise<R> {
    const state = { going: true };
    const over = (): void => void (state.going = false);
    work.then(over, over);
    await this.rest();
    while (state.going) {
      if (await this.next()) continue;
      throw new Error("This work waits for something that never comes: no native call and no timer is left.");
    }
    return work;
  }

  /** Resolves when no work is under way and all that followed from it has run. The time stands still meanwhile. */
  async rest(): Promise<void> {
    do {
      if (this.#working > 0) await new Promise<void>((resolve) => void this.#waitingForRest.push(resolve));
      await new Promise((resolve) => void setImmediate(resolve)); // Until then all promises that can go on have done so.
    } while (this.#working > 0);
  }

  /** Counts this as work: the time stands still until it has settled. For whatever is not a native call, for example a server. */
  async during<R>(work: Promise<R>): Promise<R> {
    this.#working += 1;
    try {
      return await work;
    } finally {
      this.#working -= 1;
      if (this.#working === 0) for (const resume of this.#waitingForRest.splice(0)) resume();
    }
  }

  /**
   * Counts all calls of a native object as work. Called by the session, which hands out the answers in the order of the calls; a
   * test that puts a clock of its own around this one may be told of each call before.
   */
  through<T extends object>(native: T, before?: () => void): T {
    return withAnswers(native, (answer) => this.during(answer), before);
  }

  /** By the time they are due; of those due at the same time, the one that was asked for first. */
  #inOrder(): Timer[] {
    return [...this.#timers].sort((a, b) => a.due - b.due);
  }
}

interface Timer {
  readonly due: number;
  readonly delay: number;
  readonly callback: () => void;
}
