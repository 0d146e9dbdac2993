import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { root } from "../root.js";

/** What a program is to be watched with. */
export interface Watch {
  /** The real path of the keystore. */
  readonly file: string;
  /** Where to append what is done to its files: see log.ts. */
  readonly log?: string;
  /** The file of a {@link Control}. */
  readonly control?: string;
}

/** The environment of a program whose keystore is watched: interpose.c stands between it and libc. */
export function watched({ file, log, control }: Watch): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LD_PRELOAD: library(),
    CRASH_IO_FILE: file,
    ...(log !== undefined && { CRASH_IO_LOG: log }),
    ...(control !== undefined && { CRASH_IO_CONTROL: control }),
  };
}

/** interpose.c, compiled; once for each content. */
function library(): string {
  const source = join(root, "__tests__/crash/io/interpose.c");
  const name = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(root, "dist/crash");
  const built = join(folder, `interpose-${name}.so`);
  if (existsSync(built)) return built;
  mkdirSync(folder, { recursive: true });
  const unfinished = `${built}.${process.pid}`; // Several test files may come here at the same time.
  execFileSync("cc", ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", unfinished, source, "-ldl"]);
  renameSync(unfinished, built);
  return built;
}
