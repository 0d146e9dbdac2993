import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { FileOnDisk } from "./record.js";

/** What is in a folder, read from outside like a thief would: how large each file is, and whether it gives away the text. */
export async function filesIn(folder: string, lines: readonly string[]): Promise<FileOnDisk[]> {
  const telling = tellingOf(lines);
  const entries = await readdir(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  return Promise.all(
    names.sort().map(async (name) => {
      const content = await readFile(join(folder, name));
      const readableLines = telling.filter((line) => content.includes(line)).length;
      return { name, bytes: content.length, readableLines };
    }),
  );
}

/** The longest lines, and none so short that chance would find it among other bytes. */
function tellingOf(lines: readonly string[]): Buffer[] {
  const [MANY, LONG] = [20, 8];
  return [...new Set(lines)]
    .map((line) => Buffer.from(line))
    .filter((line) => line.length >= LONG)
    .sort((one, other) => other.length - one.length)
    .slice(0, MANY);
}
