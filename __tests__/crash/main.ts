/** The crash tests as a program; docs/crash-tests.md tells what they do and what they show. */
import { parseArgs } from "node:util";
import { buildControl } from "./control-build.js";
import { create } from "./creation/run.js";
import { fail } from "./faults/run.js";
import { survive } from "./kills/run.js";
import { hearOnce } from "./once/run.js";
import { cutPower } from "./power/run.js";
import { programs } from "./root.js";

const USAGE = `Usage: npm run test:crash -- [options]

  --kills N    kill clients N times                          2000 when nothing is named
  --moments N  aim kills at every N-th moment of a session   1
  --births N   kill at every N-th operation of a first open  1
  --images N   cut the power N times                         1000
  --every N    let every N-th operation on the files fail    1
  --seed N     what "random" is; the present minute when it is not given
  --control    build an addon with one thing wrong, and expect that kills, power cuts and faults find something
  --json       print the reports as one line of JSON

What is named is run; without --kills, --moments, --births, --images, --every and --control all of it. The exit code is 0 if everything was as it must be.`;

const { values } = parseArgs({
  options: {
    kills: { type: "string" },
    moments: { type: "string" },
    births: { type: "string" },
    images: { type: "string" },
    every: { type: "string" },
    seed: { type: "string" },
    control: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (process.platform !== "linux") {
    console.log(
      `The crash tests are skipped: they watch files as only Linux lets them, and this is ${process.platform}.`,
    );
    return 0;
  }
  return values.control ? control() : everything();
}

/** Runs what is named, or all of it at length. */
async function everything(): Promise<number> {
  const all = [values.kills, values.moments, values.births, values.images, values.every].every(
    (value) => value === undefined,
  );
  const kills = count(values.kills ?? (all ? "2000" : "0"));
  const moments = count(values.moments ?? (all ? "1" : "0"));
  const births = count(values.births ?? (all ? "1" : "0"));
  const images = count(values.images ?? (all ? "1000" : "0"));
  const stride = count(values.every ?? (all ? "1" : "0"));
  const reports = {
    ...(kills > 0 && { kills: await survive({ kills, seed: seed(), programs, progress }) }),
    ...(moments > 0 && { once: await hearOnce({ stride: moments, progress }) }),
    ...(births > 0 && { creation: await create({ stride: births }) }),
    ...(images > 0 && { power: await cutPower({ images, seed: seed(), progress }) }),
    ...(stride > 0 && { faults: await fail({ stride, programs }) }),
  };
  print(reports);
  return Object.values(reports).every(({ wrong }) => wrong.length === 0) ? 0 : 1;
}

/** The tests must be able to fail: a client that answers before it stores is found out, and a disk that does not sync. */
async function control(): Promise<number> {
  const programs = buildControl();
  const reports = {
    kills: await survive({ kills: count(values.kills ?? "200"), seed: seed(), programs, progress }),
    faults: await fail({ stride: count(values.every ?? "5"), programs }),
    power: await cutPower({ images: count(values.images ?? "40"), seed: seed(), syncs: false, progress }),
  };
  print(reports);
  const found = {
    kills: reports.kills.wrong.some((what) => what.includes("used twice")),
    faults: reports.faults.wrong.length > 0,
    power: reports.power.wrong.length > 0,
  };
  for (const [test, is] of Object.entries(found))
    console.log(`${test}: ${is ? "found" : "has NOT found"} what is wrong`);
  return Object.values(found).every(Boolean) ? 0 : 1;
}

function print(reports: object): void {
  if (values.json) console.log(JSON.stringify(reports));
  else console.dir(reports, { depth: null });
}

function progress(line: string): void {
  if (!values.json) console.log(line);
}

function seed(): number {
  return values.seed === undefined ? Math.floor(Date.now() / 60_000) : count(values.seed);
}

function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`"${text}" is no number.\n\n${USAGE}`);
  return Number(text);
}
