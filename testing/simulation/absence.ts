import type { Person } from "./person.js";
import type { World } from "./world.js";

const DAY = 24 * 60 * 60 * 1000;

/** How long an absence lasts: longer than a key package is good, and than its private keys are kept. */
const [SHORTEST, LONGEST] = [95, 130];

/** How many actions of others an absence lasts. */
const [FEWEST, MOST] = [8, 20];

/** Who is away, one at a time. As long as somebody is, days pass between two actions. */
export class Absences {
  readonly #world: World;
  readonly #people: readonly Person[];
  readonly #chance;
  #now: { readonly person: Person; readonly pause: number; left: number } | undefined;

  constructor(world: World, people: readonly Person[]) {
    this.#world = world;
    this.#people = people;
    this.#chance = world.random.stream("absences");
  }

  /** How long to wait before the next action, beside the usual pause; in simulated milliseconds. */
  get pause(): number {
    return this.#now?.pause ?? 0;
  }

  /** Those who are not away. */
  get present(): readonly Person[] {
    return this.#people.filter((person) => person !== this.#now?.person);
  }

  /** Before each action: somebody goes, or comes back. Answers who is to publish fresh key packages, as it takes long. */
  async goesOn(): Promise<Person | undefined> {
    const chance = this.#chance;
    const goes = chance.chance(this.#world.faults.absent);
    if (this.#now === undefined) {
      if (goes) await this.#begins();
      return undefined;
    }
    this.#now.left -= 1;
    if (this.#now.left > 0) return chance.pick(this.present);
    const { name } = this.#now.person;
    this.#now = undefined;
    this.#world.history.tell(name, "comes back");
    return undefined;
  }

  async #begins(): Promise<void> {
    const chance = this.#chance;
    const person = chance.pick(this.#people);
    const [days, left] = [SHORTEST + chance.below(LONGEST - SHORTEST), FEWEST + chance.below(MOST - FEWEST)];
    this.#now = { person, pause: (days * DAY) / left, left };
    this.#world.history.count("absences");
    this.#world.history.tell(person.name, `goes away for ${days} days`);
    this.#world.keyPackagesAge = true;
    if (chance.chance(1 / 2) && person.canCrash) await this.#world.clock.during(person.crashes());
  }
}
