import { appendFileSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { edits } from "../../native/engine/edits.mjs";
import { fingerprint, inRoot, stamp } from "./files.mjs";
import { run } from "./run.mjs";
import { missingRust } from "./rust.mjs";

const MANIFEST = "native/engine/released/Cargo.toml";
const SOURCES = ["native/engine/edits.mjs", "native/engine/released", "scripts/ensure/engine.mjs"];
const HOOK = "native/fuzz/engine/hook.rs";
const HOOK_SOURCES = [...SOURCES, "native/fuzz/engine"];
/** What of the crate is built; src/lib.rs has README.md as its documentation. */
const TAKEN = ["Cargo.toml", "README.md", "src"];

/**
 * native/engine/openmls/: the released OpenMLS with our edits, which native/Cargo.toml builds in
 * place of the release.
 */
export const engine = edition({
  name: "engine",
  title: "engine      the released OpenMLS, with the edits of native/engine/",
  product: "native/engine/openmls",
  sources: SOURCES,
  edits: () => edits,
});

/** native/fuzz/openmls/: the same as a hostile member, which native/fuzz/Cargo.toml builds. */
export const hostileEngine = edition({
  name: "hostile engine",
  title: "engine      the same for native/fuzz/, with the hooks of a hostile member",
  product: "native/fuzz/openmls",
  sources: HOOK_SOURCES,
  // Read when it is made: those who only build the package have no need of native/fuzz/.
  async edits() {
    const { hooks } = await import("../../native/fuzz/engine/hooks.mjs");
    return [...edits, ...hooks];
  },
  added: { "src/hook.rs": HOOK },
});

/** An edition of the released OpenMLS. `added`: files that it has beside those of the release. */
function edition({ name, title, product, sources, edits, added = {} }) {
  const builtStamp = stamp(name.replace(" ", "-"));
  return {
    name,

    /** The product counts as well: what is built is the release and the edits, and nothing else. */
    isCurrent() {
      return existsSync(inRoot(product)) && builtStamp.is(fingerprint([...sources, product]));
    },

    missingTools: missingRust,

    async make() {
      const before = fingerprint(sources);
      const released = await releasedCrate(title);
      builtStamp.remove();
      const unfinished = inRoot(`${product}.new`);
      rmSync(unfinished, { recursive: true, force: true });
      // With new times, by which Cargo knows that a file is another one.
      for (const part of TAKEN) cpSync(join(released, part), join(unfinished, part), { recursive: true });
      for (const edit of await edits()) {
        const path = join(unfinished, edit.file);
        const source = readFileSync(path, "utf8");
        writeFileSync(path, edited(source, edit));
      }
      for (const [file, source] of Object.entries(added)) cpSync(inRoot(source), join(unfinished, file));
      // As Cargo treats a crate from the registry: `cargo fmt` and lints pass it over.
      writeFileSync(join(unfinished, "rustfmt.toml"), "disable_all_formatting = true\n");
      appendFileSync(join(unfinished, "Cargo.toml"), '\n[lints.rust]\nwarnings = "allow"\n');

      rmSync(inRoot(product), { recursive: true, force: true });
      renameSync(unfinished, inRoot(product));
      if (fingerprint(sources) === before) builtStamp.write(fingerprint([...sources, product]));
    },
  };
}

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
async function releasedCrate(title) {
  const lines = await run(title, "cargo", [
    ...["metadata", "--locked", "--format-version", "1", "--manifest-path", MANIFEST],
  ]);
  const { packages } = JSON.parse(lines.find((line) => line.startsWith("{")));
  return dirname(packages.find(({ name }) => name === "openmls").manifest_path);
}
