import type { SimulatedClock } from "../clock.js";

/** What happened, in order: nothing in it depends on keys, so that the same seed tells the same story. */
export class History {
  readonly lines: string[] = [];
  readonly problems: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly #clock: SimulatedClock;
  readonly #start: number;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
    this.#start = clock.now();
  }

  /** The simulated time, in milliseconds. */
  now(): number {
    return this.#clock.now();
  }

  /** Somebody did something, or something went wrong on the way. */
  tell(who: string, what: string): void {
    const seconds = ((this.#clock.now() - this.#start) / 1000).toFixed(3).padStart(8);
    this.lines.push(`${seconds} s  ${who.padEnd(9)}${what}`);
  }

  /** A promise was broken. */
  problem(who: string, what: string): void {
    this.problems.push(`${who}: ${what}`);
    this.tell(who, `!! ${what}`);
  }

  /** One more of these, for the figures in the end. */
  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}
