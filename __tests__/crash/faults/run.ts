import { execFile } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Control } from "../io/control.js";
import { watched } from "../io/interposer.js";
import { scratchFolder } from "../scratch.js";
import type { FaultCounts } from "./faulty.js";

/** What came of it. */
export interface FaultReport extends Readonly<FaultCounts> {
  readonly seconds: number;
}

/**
 * Plays a session with a fault of each operation on its files; with a stride, of every so-many-th. Stops at the first in which
 * something is wrong. `programs` is the folder of the compiled programs to run.
 */
export async function fail({ stride, programs }: { stride: number; programs: string }): Promise<FaultReport> {
  const begun = performance.now();
  const folder = scratchFolder();
  const files = join(folder, "files");
  mkdirSync(files);
  const control = join(folder, "control");
  new Control(control)[Symbol.dispose](); // It must be there when the program begins.
  try {
    const parameters = [join(programs, "faults/faulty.js"), files, control, "1", String(stride)];
    const { stdout } = await promisify(execFile)(process.execPath, parameters, {
      env: watched({ file: join(files, "alice.db"), control }),
    });
    return { ...(JSON.parse(stdout) as FaultCounts), seconds: Math.round((performance.now() - begun) / 1000) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
