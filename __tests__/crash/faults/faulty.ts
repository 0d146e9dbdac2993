/**
 * Plays one session again and again, each time with another fault of its disk, and prints what came of it. Arguments: a folder;
 * the file of the control; the first fault and how many to leave out between two; the kinds of error.
 */
import { readdirSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { Control, EVERY_KIND } from "../io/control.js";
import { perform, type Way } from "./perform.js";

/** What came of all performances. */
export interface FaultCounts {
  performances: number;
  /** Faults that came, and so were met. */
  injected: number;
  /** The operations of the play. */
  operations: number;
  /** How often which step failed, and how often after which of them the session had to be opened again. */
  readonly failed: Record<string, number>;
  readonly reopened: Record<string, number>;
  readonly wrong: string[];
}

const WAYS: readonly Way[] = ["again", "wait", "reopen"];
const ERRORS = ["EIO", "ENOSPC"] as const;

const [folder = "", controlFile = "", first = "1", stride = "1"] = process.argv.slice(2);
using control = new Control(controlFile);
const counts: FaultCounts = { performances: 0, injected: 0, operations: 0, failed: {}, reopened: {}, wrong: [] };

for (let at = Number(first), more = true; more && counts.wrong.length === 0; at += Number(stride)) {
  // With a stride, each place has one error and one way; all of them come round.
  const all = WAYS.flatMap((way) => ERRORS.map((error) => ({ way, error })));
  const chosen = stride === "1" ? all : [all[Math.floor(at / Number(stride)) % all.length]!];
  for (const { way, error } of chosen) {
    const fault = { kinds: EVERY_KIND, at, failure: constants.errno[error] };
    const { fired, failed, reopened, wrong } = await perform(join(folder, "alice.db"), control, fault, way);
    counts.performances += 1;
    if (fired) counts.injected += 1;
    else more = false;
    if (!fired) counts.operations = control.counted;
    for (const name of failed) counts.failed[name] = (counts.failed[name] ?? 0) + 1;
    for (const name of reopened) counts.reopened[name] = (counts.reopened[name] ?? 0) + 1;
    counts.wrong.push(...wrong.map((what) => `${error} at ${at}, ${way}: ${what}`));
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
  }
}
process.stdout.write(JSON.stringify(counts));
