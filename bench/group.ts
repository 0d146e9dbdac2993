import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { BareTeam } from "./bare.js";
import type { BareOperation, MeasureName } from "./measures.js";
import { type Samples, Stopwatch, Watch } from "./meter.js";
import { blockedReports, type GroupReport, measureReports } from "./report.js";
import { Team } from "./team.js";

/** Rounds that are not counted: code gets compiled, caches get filled, the disk finds its pace. */
const WARM_UP = 2;
/** Rounds in which the JavaScript thread is watched. */
const WATCHED = 3;
const IDLE_MS = 500;

/** Founds a group of this size twice, with Conclave and with OpenMLS alone, and measures both in turns. */
export async function measureGroup(members: number, rounds: number, folder: string): Promise<GroupReport> {
  const bareTeam = await BareTeam.of(members);
  try {
    const team = await Team.of(members, await mkdtemp(join(folder, "keystores-")));
    for (let round = 0; round < WARM_UP; round++) await team.round(new Stopwatch(bareTeam));

    const conclave: Samples<MeasureName> = new Map();
    const bare: Samples<BareOperation> = new Map();
    for (let round = 0; round < rounds; round++) {
      const stopwatch = new Stopwatch(bareTeam);
      await team.round(stopwatch);
      collect(conclave, stopwatch.samples);
      collect(bare, stopwatch.bare);
    }

    const watch = new Watch();
    for (let round = 0; round < Math.min(WATCHED, rounds); round++) {
      await watch.idle(IDLE_MS);
      await team.round(watch);
    }
    await team.leave();
    return { members, rounds, measures: measureReports(conclave, bare), blocked: blockedReports(watch.samples) };
  } finally {
    await bareTeam.leave();
  }
}

function collect<Name>(all: Samples<Name>, some: Samples<Name>): void {
  for (const [name, list] of some) all.set(name, [...(all.get(name) ?? []), ...list]);
}
