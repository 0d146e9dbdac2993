import { readFile, stat } from "node:fs/promises";
import { inspect } from "node:util";

/** Why the demo is not played, in a sentence for the person who started it. */
export class Refusal extends Error {}

/** The largest text, in bytes. */
const LARGEST = 4 * 1024 * 1024;
/** The most lines: the server and each reader store every line durably. */
const MOST_LINES = 10_000;
/** So many lines let everybody say something in each part of the story: three, three and two people. */
const FEWEST_LINES = 8;

/** The lines of a UTF-8 text file. Throws `Refusal`. */
export async function readLines(path: string): Promise<string[]> {
  return linesOf(await contentOf(path), inspect(path));
}

/** A text that is too short for the story is said again and again. */
export function longEnough(lines: readonly string[]): string[] {
  const said = [...lines];
  while (said.length < FEWEST_LINES) said.push(...lines);
  return said;
}

async function contentOf(path: string): Promise<Buffer> {
  try {
    const { size, isFile } = await stat(path).then((found) => ({ size: found.size, isFile: found.isFile() }));
    if (!isFile) throw new Refusal(`${inspect(path)} is no file. Give the demo a text file.`);
    if (size > LARGEST) throw new Refusal(`${inspect(path)} is larger than 4 MiB. Give the demo a shorter text.`);
    return await readFile(path);
  } catch (error) {
    if (error instanceof Refusal || !(error instanceof Error)) throw error;
    const reason = "code" in error && error.code === "ENOENT" ? "there is no such file" : error.message;
    throw new Refusal(`${inspect(path)} cannot be read: ${reason}.`);
  }
}

function linesOf(content: Buffer, name: string): string[] {
  const text = textOf(content, name);
  if (text.trim() === "") throw new Refusal(`${name} has nothing to say: it is empty.`);
  const lines = text.replace(/\r?\n$/, "").split(/\r?\n/);
  if (lines.length > MOST_LINES) {
    throw new Refusal(`${name} has ${lines.length} lines; the demo takes up to ${MOST_LINES}.`);
  }
  return lines;
}

function textOf(content: Buffer, name: string): string {
  if (!content.includes(0)) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(content);
    } catch {
      // The same sentence as for a file with zeros in it.
    }
  }
  throw new Refusal(`${name} is no text in UTF-8. Give the demo a text file.`);
}
