import { appendFileSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { edits } from "../../native/engine/edits.mjs";
import { fingerprint, inRoot, stamp } from "./files.mjs";
import { run } from "./run.mjs";
import { missingRust } from "./rust.mjs";

const MANIFEST = "native/engine/released/Cargo.toml";
const PRODUCT = "native/engine/openmls";
const SOURCES = ["native/engine/edits.mjs", "native/engine/released", "scripts/ensure/engine.mjs"];
/** What of the crate is built; src/lib.rs has README.md as its documentation. */
const TAKEN = ["Cargo.toml", "README.md", "src"];

const builtStamp = stamp("engine");

/**
 * native/engine/openmls/: the released OpenMLS with our edits, which native/Cargo.toml builds in
 * place of the release.
 */
export const engine = {
  name: "engine",

  /** The product counts as well: what is built is the release and the edits, and nothing else. */
  isCurrent() {
    return existsSync(inRoot(PRODUCT)) && builtStamp.is(fingerprint([...SOURCES, PRODUCT]));
  },

  missingTools: missingRust,

  async make() {
    const before = fingerprint(SOURCES);
    const released = await releasedCrate();
    builtStamp.remove();
    const unfinished = inRoot(`${PRODUCT}.new`);
    rmSync(unfinished, { recursive: true, force: true });
    // With new times, by which Cargo knows that a file is another one.
    for (const part of TAKEN) cpSync(join(released, part), join(unfinished, part), { recursive: true });
    for (const edit of edits) {
      const path = join(unfinished, edit.file);
      const source = readFileSync(path, "utf8");
      writeFileSync(path, edited(source, edit));
    }
    // As Cargo treats a crate from the registry: `cargo fmt` and lints pass it over.
    writeFileSync(join(unfinished, "rustfmt.toml"), "disable_all_formatting = true\n");
    appendFileSync(join(unfinished, "Cargo.toml"), '\n[lints.rust]\nwarnings = "allow"\n');

    rmSync(inRoot(PRODUCT), { recursive: true, force: true });
    renameSync(unfinished, inRoot(PRODUCT));
    if (fingerprint(SOURCES) === before) builtStamp.write(fingerprint([...SOURCES, PRODUCT]));
  },
};

/** The source with the edit in it. Throws unless the source has the text to replace exactly once. */
export function edited(source, { name, file, find, replace }) {
  const parts = source.split(find);
  if (parts.length === 2) return parts.join(replace);
  const found = parts.length === 1 ? "not there" : `there ${parts.length - 1} times`;
  throw new Error(
    `The edit "${name}" does not fit ${file} of OpenMLS: ` +
      `the text that it replaces is ${found}, and should be there once. ` +
      "The source is another one than the edit was written for. " +
      "Write the edit anew in native/engine/edits.mjs, or delete it if OpenMLS no longer needs it; " +
      "native/engine/README.md tells what each edit is for.",
  );
}

/**
 * The folder where Cargo keeps the release. Cargo downloads a release that is missing, and verifies
 * its checksum.
 */
async function releasedCrate() {
  const lines = await run("engine      the released OpenMLS, with the edits of native/engine/", "cargo", [
    ...["metadata", "--locked", "--format-version", "1", "--manifest-path", MANIFEST],
  ]);
  const { packages } = JSON.parse(lines.find((line) => line.startsWith("{")));
  return dirname(packages.find(({ name }) => name === "openmls").manifest_path);
}
