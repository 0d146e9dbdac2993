import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders: string[] = [];

/** A path in a folder of its own, where nothing is yet. */
export async function freshPath(name = "keystore.db"): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "conclave-"));
  folders.push(folder);
  return join(folder, name);
}

/** Deletes the folders that the test has made. */
export async function cleanUp(): Promise<void> {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}
