import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { inRoot } from "./ensure/files.mjs";

/** Writes a generated file; with --check on the command line it only fails when the file is another than it should be. */
export function writeOrCheck(path, content, script) {
  if (existsSync(inRoot(path)) && readFileSync(inRoot(path), "utf8") === content) return;
  if (process.argv.includes("--check")) {
    console.error(`${path} is not current: run \`node ${script}\` and commit what it writes.`);
    process.exitCode = 1;
    return;
  }
  writeFileSync(inRoot(path), content);
  console.log(`${path} written`);
}
