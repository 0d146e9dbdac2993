import { createCipheriv, createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { readable, Refusal } from "./refusal.js";

/** The largest file: each reader keeps it, and the delivery service too. */
const LARGEST = 32 * 1024 * 1024;

const SEED = "a file for the demo";
const BYTES = 3 * 1024 * 1024 + 1234;

/** Refuses a file that the demo does not send. */
export async function sendable(path: string): Promise<void> {
  const bytes = await readable(path, { largest: LARGEST, what: "binary or other" });
  if (bytes === 0) throw new Refusal(`${inspect(path)} is empty. Give the demo a file with something in it.`);
}

/** Makes a file to be sent: some megabytes that look like chance, and are the same each time. Answers its path. */
export async function makeFile(folder: string): Promise<string> {
  const key = createHash("sha256").update(SEED).digest();
  const bytes = createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(BYTES));
  const path = join(folder, "to-be-sent", "made-from-a-seed.bin");
  await mkdir(join(folder, "to-be-sent"));
  await writeFile(path, bytes);
  return path;
}
