import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeliveryError } from "../delivery-service/errors.js";
import { type DeliveryService, EmbeddedDeliveryService } from "../delivery-service/index.js";
import { type Faults, usualFaults } from "./faults.js";
import { Absences } from "./simulation/absence.js";
import { type Action, actions, creates, expectedEnding, type Named, publishes } from "./simulation/actions.js";
import { end } from "./simulation/ending.js";
import { GUEST_NAMES, type GuestFactory, Host } from "./simulation/guest.js";
import { Person } from "./simulation/person.js";
import { judge } from "./simulation/verdict.js";
import { World } from "./simulation/world.js";

/** What a simulation is made from; the same options give the same run. */
export interface SimulationOptions {
  /** Everything that is left to chance follows from it. */
  readonly seed: number | string;
  /** How many clients there are: 2 to 12, 4 if not given. */
  readonly clients?: number;
  /** How many actions are begun; 60 if not given. A smaller number is the beginning of the same story. */
  readonly steps?: number;
  /** What goes wrong how often; `usualFaults` for what is not given. */
  readonly faults?: Partial<Faults>;
  /**
   * Makes those who take part with an implementation of their own, at most 3; nobody if not given. The
   * people invite them like each other.
   */
  readonly guests?: readonly GuestFactory[];
  /** Makes the delivery service: by default the embedded one, in memory, which needs better-sqlite3. It is closed in the end. */
  readonly service?: () => DeliveryService | Promise<DeliveryService>;
  /** Where the keystore files of clients that crash are kept for the time of the run; the system's folder for temporary files if not given. */
  readonly folder?: string;
}

/** What came of a simulation. */
export class SimulationResult {
  /** What it was made from. */
  readonly options: SimulationOptions;
  /** The promises that were broken; none when all is well. */
  readonly problems: readonly string[];
  /** Who did what and what went wrong, in order; the same for the same options. */
  readonly history: readonly string[];
  /** How much of what happened: commits accepted, messages read, faults, crashes and others. */
  readonly counts: Readonly<Record<string, number>>;

  /** Made by {@link simulate}. */
  constructor(
    options: SimulationOptions,
    {
      problems,
      lines,
      counts,
    }: { problems: readonly string[]; lines: readonly string[]; counts: Record<string, number> },
  ) {
    this.options = options;
    this.problems = [...problems];
    this.history = [...lines];
    this.counts = { ...counts };
  }

  /** The problems, the last lines of the history, and how to run it again. */
  toString(): string {
    const [LONGEST, MOST] = [80, 10];
    const { seed, clients = CLIENTS, steps = STEPS } = this.options;
    const left = Math.max(this.history.length - LONGEST, 0);
    return [
      `Seed ${seed}: ${this.problems.length === 0 ? "no problem" : `${this.problems.length} problems`}`,
      ...this.problems.slice(0, MOST).map((problem) => `  ${problem}`),
      ...(this.problems.length > MOST ? [`  … ${this.problems.length - MOST} more; see result.problems`] : []),
      ...(left > 0 ? [`  … ${left} earlier lines; see result.history`] : []),
      ...this.history.slice(left),
      `Again: await simulate({ seed: ${JSON.stringify(seed)}, clients: ${clients}, steps: ${steps} })`,
    ].join("\n");
  }
}

const [CLIENTS, STEPS] = [4, 60];

/** The longest time between two actions, in simulated milliseconds. */
const LONGEST_PAUSE = 500;

/**
 * Runs clients that found groups, change them, talk and crash over a network where everything goes wrong that may, by a simulated
 * clock. Then the faults stop, everybody catches up, and it is asked whether all members share each epoch and have read
 * what was said, once. Broken promises are in the result; the call rejects only when the simulation itself cannot run.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { seed, clients = CLIENTS, steps = STEPS, faults, guests: factories = [] } = options;
  if (!Number.isInteger(clients) || clients < 2 || clients > NAMES.length) {
    throw new RangeError(`clients must be a whole number from 2 to ${NAMES.length}.`);
  }
  if (!Number.isInteger(steps) || steps < 0) throw new RangeError("steps must be a whole number, 0 or more.");
  if (factories.length > GUEST_NAMES.length) throw new RangeError(`guests must be at most ${GUEST_NAMES.length}.`);
  const service = await (options.service ?? (() => EmbeddedDeliveryService.inMemory()))();
  const folder = await mkdtemp(join(options.folder ?? tmpdir(), "conclave-simulation-"));
  const world = new World(seed, { ...usualFaults, ...faults }, service);
  const guests: Host[] = [];
  const chance = world.random.stream("people");
  const people = NAMES.slice(0, clients).map(
    (name, place) => new Person(name, world, chance.chance(1 / 2) || place === 0 ? folder : undefined),
  );
  try {
    for (const person of people) await arrives(person, world);
    for (const [place, factory] of factories.entries())
      guests.push(await Host.of(world, GUEST_NAMES[place] ?? "", factory));
    await act(world, people, guests, steps);
    await end(world, people);
    await judge(world, people);
    return new SimulationResult(options, world.history);
  } finally {
    for (const { session } of people) await session?.close();
    await service.close();
    await rm(folder, { recursive: true, force: true });
  }
}

const NAMES = ["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj"];

/** Enough key packages for most runs: what a network does to their publication is for another test. */
const KEY_PACKAGES = 12;

/** With some people few are published, so that the last resort is handed out, again and again. */
async function arrives(person: Person, { directly, random }: World): Promise<void> {
  const count = random.stream(`${person.name}/key packages`).chance(FEW) ? 1 : KEY_PACKAGES;
  await person.comes();
  const { session, credential } = person;
  const keyPackages = (await session?.generateKeyPackages(credential, { count })) ?? [];
  const lastResort = (await session?.generateKeyPackages(credential, { count: 1, lastResort: true })) ?? [];
  await directly.publishKeyPackages(person.name, [...keyPackages, ...lastResort]);
}

const FEW = 0.3;

/** One action after the other is begun, by whoever is there; none waits for the one before. */
async function act(world: World, people: readonly Person[], guests: readonly Host[], steps: number): Promise<void> {
  const chance = world.random.stream("actions");
  const absences = new Absences(world, people);
  for (let step = 0; step < steps; step++) {
    await world.clock.until(world.clock.sleep(chance.below(LONGEST_PAUSE) + absences.pause));
    const renews = await absences.goesOn();
    if (renews !== undefined) await begin(world, renews, publishes, [], undefined);
    for (const guest of guests) await guest.goesOn();
    const person = chance.pick(absences.present);
    const others = [...people, ...guests].filter((other) => other !== person);
    // Without a conversation there is little to do: now and then somebody tries until there is one.
    const action = world.truth.conversations.size === 0 && step % 4 === 0 ? creates : chosen(chance.next());
    const crash = chance.chance(world.faults.crash) ? chance.below(10) : undefined;
    person.clock.goesOn();
    await begin(world, person, action, others, crash);
  }
}

async function begin(
  world: World,
  person: Person,
  action: Action,
  others: readonly Named[],
  crash: number | undefined,
): Promise<void> {
  if (crash !== undefined) person.crashesAfter(crash);
  if (person.session === undefined) await world.clock.during(person.comes());
  world.goesOn(attempt(person, action, others));
  await world.clock.rest();
}

function chosen(share: number): Action {
  let left = share * actions.reduce((sum, { weight }) => sum + weight, 0);
  for (const action of actions) {
    if (left < action.weight) return action;
    left -= action.weight;
  }
  return creates;
}

/** Carries out one action and tells how it ended; whatever it may not end with is a problem. */
async function attempt(person: Person, action: Action, others: readonly Named[]): Promise<void> {
  const { session, name } = person;
  const { history } = person.world;
  if (session === undefined) return;
  let words = action.name;
  const says = (begun: string): void => {
    words = begun;
    history.tell(name, begun);
  };
  try {
    const ending = await action.run(person, session, others, says);
    if (ending !== undefined) history.tell(name, ending);
  } catch (error) {
    const ending = DeliveryError.is(error, "UNREACHABLE")
      ? "no connection"
      : expectedEnding(error, action, person.world);
    if (ending !== undefined) history.tell(name, `${words}: ${ending}`);
    else
      history.problem(name, `${words}: ${error instanceof Error ? String(error) : "threw something that is no error"}`);
  }
}
