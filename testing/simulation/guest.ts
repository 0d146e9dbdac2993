import type { DeliveryService } from "../../delivery-service/index.js";
import type { Id } from "../../lib/index.js";
import type { SeededRandom } from "../random.js";
import type { World } from "./world.js";

/**
 * Somebody of another make than the simulated people, who is invited like them and then does what it
 * likes: it posts bytes of its own to the service. It may be honest or not. What the people owe each
 * other they owe each other in its presence, too.
 */
export interface Guest {
  /**
   * Does one thing. The simulated time stands still meanwhile, and nobody else does anything. An error
   * is told in the history and is no problem of the run.
   */
  acts(): Promise<void>;
}

/** What a guest has of the simulation. */
export interface GuestWorld {
  /** What it is called, and invited by. */
  readonly name: Id;
  /** Makes all its choices; no choice may come from elsewhere. Keys need not come from here. */
  readonly random: SeededRandom;
  /**
   * The delivery service without the network's faults. It publishes its key packages there, best when
   * it is made, reads its queue, and sends.
   */
  readonly service: DeliveryService;
  /** Milliseconds since 1970 by the simulated clock. */
  now(): number;
  /** A line for the history. Nothing in it may depend on keys. */
  tells(words: string): void;
  /** One more of these in the figures. */
  counts(what: string): void;
}

/** Makes a guest when a simulation begins. */
export type GuestFactory = (world: GuestWorld) => Guest | Promise<Guest>;

/** What the guests are called, in the order of their factories. */
export const GUEST_NAMES = ["olivia", "peggy", "rupert"];

/** How often a guest does something between two actions of the people. */
const ACTS = 0.4;

/** Lets a guest take part. */
export class Host {
  readonly name: Id;
  readonly #world: World;
  readonly #chance: SeededRandom;
  readonly #guest: Guest;

  private constructor(name: Id, world: World, guest: Guest) {
    this.name = name;
    this.#world = world;
    this.#chance = world.random.stream(`${name}/acts`);
    this.#guest = guest;
  }

  static async of(world: World, name: Id, factory: GuestFactory): Promise<Host> {
    world.truth.guests.add(name);
    const { history, clock, random, directly: service } = world;
    const guest = await factory({
      name,
      random: random.stream(name),
      service,
      now: () => clock.now(),
      tells: (words) => history.tell(name, words),
      counts: (what) => history.count(what),
    });
    return new Host(name, world, guest);
  }

  /** Before an action of the people. */
  async goesOn(): Promise<void> {
    if (!this.#chance.chance(ACTS)) return;
    const { clock, history } = this.#world;
    await clock.rest();
    try {
      await clock.during(this.#guest.acts());
    } catch (error) {
      history.tell(this.name, `fails: ${error instanceof Error ? error.message : "something that is no error"}`);
    }
  }
}
