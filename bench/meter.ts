import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";
import type { BareTeam } from "./bare.js";
import { type BareOperation, type Measure, type MeasureName, measures } from "./measures.js";

/** Does work and notes what it cost. */
export interface Meter {
  time<R>(name: MeasureName, work: () => Promise<R>): Promise<R>;
}

/** Samples by what was measured. */
export type Samples<Name> = Map<Name, number[]>;

/**
 * Notes microseconds per call, of Conclave and of OpenMLS alone in turns: what disturbs the machine for a while disturbs both.
 * A new one for each round.
 */
export class Stopwatch implements Meter {
  readonly samples: Samples<MeasureName> = new Map();
  readonly bare: Samples<BareOperation> = new Map();
  readonly #bareTeam: BareTeam;

  constructor(bareTeam: BareTeam) {
    this.#bareTeam = bareTeam;
  }

  async time<R>(name: MeasureName, work: () => Promise<R>): Promise<R> {
    const { bare, calls = 1 } = measureOf(name);
    if (bare !== undefined && !this.bare.has(bare)) note(this.bare, bare, await this.#bareTeam.micros(bare));
    const start = performance.now();
    const result = await work();
    note(this.samples, name, ((performance.now() - start) * 1000) / calls);
    return result;
  }
}

/** Notes for how many milliseconds JavaScript could not run at most while the work went on. */
export class Watch implements Meter {
  readonly samples: Samples<MeasureName | "idle"> = new Map();

  /** The same while nothing goes on: what the machine itself does to a thread. */
  async idle(ms: number): Promise<void> {
    await this.#watch("idle", () => pause(ms));
  }

  async time<R>(name: MeasureName, work: () => Promise<R>): Promise<R> {
    return this.#watch(name, work);
  }

  async #watch<R>(name: MeasureName | "idle", work: () => Promise<R>): Promise<R> {
    const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delays.enable();
    // It compares each tick of a timer with the one before, so there must be one before and one after.
    await pause(MARGIN_MS);
    const result = await work();
    await pause(MARGIN_MS);
    delays.disable();
    note(this.samples, name, Math.max(0, delays.max / 1e6 - RESOLUTION_MS));
    return result;
  }
}

const RESOLUTION_MS = 1;
const MARGIN_MS = 5;

function measureOf(name: MeasureName): Measure {
  const measure = measures.find((one) => one.name === name);
  if (measure === undefined) throw new Error(`Nothing is known of the measure ${name}.`);
  return measure;
}

function note<Name>(samples: Samples<Name>, name: Name, value: number): void {
  const list = samples.get(name);
  if (list === undefined) samples.set(name, [value]);
  else list.push(value);
}
