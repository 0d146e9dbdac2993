/**
 * Five people talk to each other, end-to-end encrypted: `npm run demo -- [text] [--file PATH] [--report PATH] [--keep]`. Each is a
 * process with an encrypted keystore of its own, and what they say are the lines of a text. `story.ts` tells what happens,
 * `person.ts` is one of the five.
 */
import { writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { type Arguments, understand } from "./arguments.js";
import { Cast } from "./cast.js";
import { longEnough } from "./parts.js";
import { makeFile, sendable } from "./payload.js";
import { Progress } from "./progress.js";
import { Refusal, writable } from "./refusal.js";
import { report } from "./report.js";
import { play } from "./story.js";
import { summary } from "./table.js";
import { readLines } from "./text.js";
import { exitCode, verdict } from "./verdict.js";

// As seen from dist/programs/examples/demo, where this file is compiled to.
const DEFAULT_TEXT = fileURLToPath(new URL("../../../../examples/texts/the-light.txt", import.meta.url));

const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interruption.abort(signal));

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const given = understand(process.argv.slice(2));
    const text = given.text ?? DEFAULT_TEXT;
    const lines = await readLines(text);
    if (given.file !== undefined) await sendable(given.file);
    await writable(given.report);
    console.log(`Text: ${basename(text)}, of which ${longEnough(lines).length} lines are said`);
    return await perform(basename(text), lines, given);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    return 2;
  }
}

async function perform(text: string, lines: readonly string[], given: Arguments): Promise<number> {
  const cast = await Cast.gather(interruption.signal);
  try {
    const processes = cast.everybody.map(({ name, id }) => `${name} ${String(id)}`).join(", ");
    console.log(`Processes: ${processes}, the delivery service ${process.pid}\n`);
    const file = given.file ?? (await makeFile(cast.folder));
    const record = await play(cast, lines, file, new Progress(process.stdout));
    const checks = verdict(record);
    console.log(`\n${summary(record, checks)}\n`);
    await writeFile(given.report, report(record, checks, text));
    console.log(`A picture of it, for the browser: ${given.report}`);
    console.log(exitCode(checks) === 0 ? "Everything is as it must be." : "Not everything is as it must be.");
    return exitCode(checks);
  } catch (error) {
    if (!interruption.signal.aborted) {
      console.error("\nThe demo could not go on.", error);
      return 1;
    }
    const signal = interruption.signal.reason as NodeJS.Signals;
    console.error(`\nInterrupted by ${signal}.`);
    return 128 + constants.signals[signal];
  } finally {
    await cast.clearAway({ keep: given.keep });
    if (given.keep)
      console.log(`Kept in ${cast.folder}. Nobody can open the keystores: their keys are gone with the demo.`);
  }
}
