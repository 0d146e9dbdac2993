import { existsSync, mkdtempSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of its own for files that nothing depends on: in memory where there is such a place, so that syncing costs nothing. */
export function scratchFolder(): string {
  const memory = "/dev/shm";
  return realpathSync(mkdtempSync(join(existsSync(memory) ? memory : tmpdir(), "conclave-crash-")));
}
