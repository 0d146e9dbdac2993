/**
 * Three people talk to each other, end-to-end encrypted: `npm run demo -- [file] [--keep]`. Each is a process with an encrypted
 * keystore of its own, and what they say are the lines of a text. `story.ts` tells what happens, `person.ts` is one of the three.
 */
import { constants } from "node:os";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { understand } from "./arguments.js";
import { Cast } from "./cast.js";
import { Progress } from "./progress.js";
import { play } from "./story.js";
import { summary } from "./table.js";
import { longEnough, readLines, Refusal } from "./text.js";
import { exitCode, verdict } from "./verdict.js";

// As seen from dist/programs/examples/demo, where this file is compiled to.
const DEFAULT_TEXT = fileURLToPath(new URL("../../../../examples/texts/the-light.txt", import.meta.url));

const interruption = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interruption.abort(signal));

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    const { file = DEFAULT_TEXT, keep } = understand(process.argv.slice(2));
    const lines = await readLines(file);
    const said = longEnough(lines);
    console.log(`Text: ${basename(file)}, of which ${said.length} lines are said`);
    return await perform(said, { keep });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    console.error(error.message);
    return 2;
  }
}

async function perform(lines: readonly string[], { keep }: { keep: boolean }): Promise<number> {
  const cast = await Cast.gather(interruption.signal);
  try {
    const processes = cast.everybody.map(({ name, id }) => `${name} ${String(id)}`).join(", ");
    console.log(`Processes: ${processes}, the delivery service ${process.pid}\n`);
    const record = await play(cast, lines, new Progress(process.stdout, lines.length));
    const checks = verdict(record);
    console.log(`\n${summary(record, checks)}\n`);
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
    await cast.clearAway({ keep });
    if (keep)
      console.log(`Kept in ${cast.folder}. Nobody can open the keystores: their keys are gone with the processes.`);
  }
}
