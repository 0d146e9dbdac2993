import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { readable, Refusal } from "./refusal.js";

/** The largest text, in bytes. */
const LARGEST = 4 * 1024 * 1024;
/** The most lines: the server and each reader store every line durably. */
const MOST_LINES = 10_000;
/** The lines of a UTF-8 text file. Throws `Refusal`. */
export async function readLines(path: string): Promise<string[]> {
  await readable(path, { largest: LARGEST, what: "text" });
  return linesOf(await readFile(path), inspect(path));
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
