/**
 * Measures what Conclave costs, beside OpenMLS alone on the same machine at the same time: `npm run bench`. docs/benchmarks.md
 * says what the figures mean. `team.ts` has what is measured, `meter.ts` how.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal, type Task, understand } from "./arguments.js";
import { expectations } from "./expectations.js";
import { measureGroup } from "./group.js";
import { checkout, commitHash, machine } from "./machine.js";
import { plot } from "./plot.js";
import type { GroupReport, Report } from "./report.js";
import { table } from "./table.js";

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    await bench(understand(process.argv.slice(2)));
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    return 2;
  }
}

async function bench({ sizes, rounds, json, svg }: Task): Promise<void> {
  const folder = temporaryFolder();
  const started = performance.now();
  const before = {
    date: new Date().toISOString(),
    version: await version(),
    commit: commitHash(),
    machine: machine(folder),
  };
  const groups: GroupReport[] = [];
  for (const members of sizes) {
    console.log(`measuring a group of ${members} ...`);
    groups.push(await measureGroup(members, rounds ?? roundsFor(members), folder));
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  const report: Report = { ...before, seconds, groups, expectations: expectations(groups) };
  console.log(`\n${table(report)}`);
  if (json !== undefined) await writeFile(json, `${JSON.stringify(report, null, 2)}\n`);
  if (svg !== undefined) await writeFile(svg, plot(report));
}

/** Enough for a median; large groups take long to do anything. */
function roundsFor(members: number): number {
  return members < 1000 ? 15 : 8;
}

/** A folder that goes with the process, also when it is interrupted. */
function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "conclave-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  return folder;
}

async function version(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(checkout, "package.json"), "utf8")) as { version: string };
  return version;
}
