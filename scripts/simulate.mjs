/**
 * Runs the simulation for many seeds, against the built package, and ends with figures. Of a seed that fails it shows the shortest
 * story, and the line to run that again.
 *
 *   npm run test:simulation -- --seeds 1000 [--from 1] [--clients 4] [--steps 60] [--faults '{"crash":0.5}'] [--guests 0|1|2|3]
 *   npm run test:simulation -- --seed 17 --story
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { simulate } from "conclave-mls/testing";
import { hostileGuest } from "../dist/programs/__tests__/support/hostile.js";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    clients: { type: "string", default: "4" },
    steps: { type: "string", default: "60" },
    faults: { type: "string", default: "{}" },
    guests: { type: "string" },
    story: { type: "boolean", default: false },
  },
});
const [clients, steps] = [wholeNumber("clients"), wholeNumber("steps")];
const seeds =
  values.seed === undefined
    ? Array.from({ length: wholeNumber("seeds") }, (_, place) => wholeNumber("from") + place)
    : [wholeNumber("seed")];
// Keystore files are synced at every step; in memory that costs nothing, and what is tested here does not depend on a disk.
const folder = existsSync("/dev/shm") ? "/dev/shm" : undefined;
const common = { clients, steps, faults: JSON.parse(values.faults), folder };
/** Every second seed has a hostile guest, unless told otherwise: without one, more is asked of the people in the end. */
const guestsOf = (seed) => (values.guests === undefined ? seed % 2 : wholeNumber("guests"));
const optionsOf = (seed) => ({ ...common, seed, guests: Array.from({ length: guestsOf(seed) }, () => hostileGuest) });

const start = performance.now();
const totals = {};
const failed = [];
const left = [...seeds];
// One seed waits for threads while another computes; each has a time and a chance of its own.
await Promise.all(Array.from({ length: availableParallelism() + 1 }, runNext));
const seconds = (performance.now() - start) / 1000;

failed.sort((a, b) => a.options.seed - b.options.seed);
for (const result of failed.slice(0, 3)) await explain(result);
for (const [what, count] of Object.entries(totals).sort()) console.log(`${String(count).padStart(8)} ${what}`);
const average = Math.round((seconds * 1000) / seeds.length);
console.log(`${seeds.length} seeds in ${seconds.toFixed(1)} s (${average} ms each), ${failed.length} failed`);
if (failed.length > 0) console.log(`Failed: ${failed.map(({ options }) => options.seed).join(" ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;

async function runNext() {
  for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
    const result = await simulate(optionsOf(seed));
    for (const [what, count] of Object.entries(result.counts)) totals[what] = (totals[what] ?? 0) + count;
    if (result.problems.length > 0) failed.push(result);
    if (values.story) console.log(result.history.join("\n"));
  }
}

/** Fewer steps are the beginning of the same story: the first number with which it fails shows the least besides the cause. */
async function explain(first) {
  const { seed } = first.options;
  for (let fewer = 1; fewer <= steps; fewer++) {
    const result = await simulate({ ...optionsOf(seed), steps: fewer });
    if (result.problems.length === 0) continue;
    console.log(`\n${result}`);
    const guests = values.guests === undefined ? "" : ` --guests ${values.guests}`;
    const faults = values.faults === "{}" ? "" : ` --faults '${values.faults}'`;
    console.log(
      `or:    npm run test:simulation -- --seed ${seed} --clients ${clients} --steps ${fewer}${faults}${guests} --story\n`,
    );
    return;
  }
  console.log(`\n${first}\nIt did not fail again: this depends on more than the seed.\n`);
}

function wholeNumber(name) {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, and not ${values[name]}.`);
  process.exit(1);
}
