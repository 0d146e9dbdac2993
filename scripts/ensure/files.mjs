import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout's own folder; paths given to the functions here are relative to it. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

export function inRoot(...path) {
  return join(root, ...path);
}

export function readJson(path) {
  return existsSync(inRoot(path)) ? JSON.parse(readFileSync(inRoot(path), "utf8")) : undefined;
}

/** SHA-256 over names and contents of these files and folders. Times do not count: a fresh clone of the same content is the same. */
export function fingerprint(paths, isLeftOut = () => false) {
  const hash = createHash("sha256");
  for (const path of paths) addTo(hash, path, isLeftOut);
  return hash.digest("hex");
}

function addTo(hash, path, isLeftOut) {
  if (!existsSync(inRoot(path)) || isLeftOut(path)) return;
  if (statSync(inRoot(path)).isDirectory()) {
    for (const name of readdirSync(inRoot(path)).sort()) addTo(hash, `${path}/${name}`, isLeftOut);
    return;
  }
  const content = readFileSync(inRoot(path));
  hash.update(`${path}\0${content.length}\0`).update(content);
}

/** What the last finished run of a step left. A stamp is taken away before its product changes and written after it. */
export function stamp(name) {
  const path = inRoot(".stamps", name);
  return {
    is: (value) => existsSync(path) && readFileSync(path, "utf8") === value,
    remove: () => rmSync(path, { force: true }),
    write(value) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(`${path}.new`, value);
      renameSync(`${path}.new`, path);
    },
  };
}
