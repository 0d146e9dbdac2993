import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { inspect } from "node:util";

/** Why the demo is not played, in a sentence for the person who started it. */
export class Refusal extends Error {}

/** Refuses a path where no file can be read, or one larger than so many bytes. Answers the size. */
export async function readable(path: string, { largest, what }: { largest: number; what: string }): Promise<number> {
  const found = await inSentences(path, "read", stat(path));
  if (!found.isFile()) throw new Refusal(`${inspect(path)} is no file. Give the demo a ${what} file.`);
  if (found.size > largest) {
    const limit = largest / 1024 / 1024;
    throw new Refusal(`${inspect(path)} is larger than ${limit} MiB. Give the demo a shorter ${what}.`);
  }
  await inSentences(path, "read", access(path, constants.R_OK));
  return found.size;
}

/** Refuses a path where no file can be written. */
export async function writable(path: string): Promise<void> {
  const folder = dirname(path);
  await inSentences(folder, "written to", access(folder, constants.W_OK));
  const there = await stat(path).catch(() => undefined);
  if (there !== undefined && !there.isFile()) throw new Refusal(`${inspect(path)} is no file that can be written.`);
}

async function inSentences<R>(path: string, done: string, attempt: Promise<R>): Promise<R> {
  try {
    return await attempt;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const missing = "code" in error && error.code === "ENOENT";
    const reason = missing ? "there is no such file or folder" : error.message;
    throw new Refusal(`${inspect(path)} cannot be ${done}: ${reason}.`);
  }
}
