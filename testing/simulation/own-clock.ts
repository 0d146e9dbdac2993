import type { SeededRandom } from "../random.js";
import type { World } from "./world.js";

const HOUR = 60 * 60 * 1000;

/** How wrong a clock can be, in milliseconds. */
export const MOST_WRONG = 72 * HOUR;

/** How often a wrong clock jumps, each time that its owner does something. */
const JUMPS = 0.1;

/** The clock of one person's machine: that of the world, or wrong by some hours or days, and not always by as much. */
export class OwnClock {
  readonly #world: World;
  readonly #owner: string;
  readonly #random: SeededRandom;
  readonly #wrong: boolean;
  #off = 0;

  constructor(world: World, owner: string) {
    this.#world = world;
    this.#owner = owner;
    this.#random = world.random.stream(`${owner}/clock`);
    this.#wrong = this.#random.chance(world.faults.clockWrong);
    if (!this.#wrong) return;
    world.keyPackagesAge = true;
    world.history.count("wrong clocks");
    this.#jumps();
  }

  /** Milliseconds since 1970, as this machine has it. */
  now(): number {
    return this.#world.clock.now() + this.#off;
  }

  /** Before its owner does something: perhaps it jumps. */
  goesOn(): void {
    if (!this.#wrong || !this.#random.chance(JUMPS)) return;
    this.#world.history.count("clock jumps");
    this.#jumps();
  }

  /** To wherever, forwards or backwards; hours are as likely as days. */
  #jumps(): void {
    const hours = Math.round((MOST_WRONG / HOUR) ** this.#random.next());
    this.#off = (this.#random.chance(1 / 2) ? hours : -hours) * HOUR;
    this.#world.history.tell(
      this.#owner,
      `has a clock that is ${this.#off < 0 ? "behind" : "ahead"} by ${hours} hours`,
    );
  }
}
