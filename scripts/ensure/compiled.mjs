import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fingerprint, inRoot, stamp } from "./files.mjs";
import { run } from "./run.mjs";

const SOURCES = [
  "lib",
  "delivery-service",
  "testing",
  "examples",
  "bench",
  "__tests__/programs",
  "__tests__/crash",
  "__tests__/support",
];
const CONFIGS = ["tsconfig.base.json", "tsconfig.esm.json", "tsconfig.cjs.json", "tsconfig.programs.json"];
const builtStamp = stamp("compiled");

/**
 * dist/: the package in its two forms, and the programs of examples/, __tests__/programs/ and __tests__/crash/ that run in
 * processes of their own.
 * Only translated, not checked, so that tests run while types do not agree yet; `npm run types` checks.
 */
export const compiled = {
  name: "compiled",

  isCurrent() {
    return existsSync(inRoot("dist/esm")) && builtStamp.is(sources());
  },

  missingTools: () => [],

  async make() {
    const before = sources();
    builtStamp.remove();
    rmSync(inRoot("dist"), { recursive: true, force: true });
    const projects = ["esm", "cjs", "programs"].map((name) => `tsconfig.${name}.json`);
    const tsc = ["node_modules/typescript/bin/tsc", "--build", ...projects, "--force", "--noCheck"];
    await run("compiled    lib, delivery-service, testing and examples into dist/", process.execPath, tsc);
    for (const [project, type] of [
      ["esm", "module"],
      ["cjs", "commonjs"],
    ]) {
      mkdirSync(inRoot("dist", project, "lib"), { recursive: true });
      writeFileSync(inRoot("dist", project, "package.json"), `${JSON.stringify({ type })}\n`);
      // tsc emits nothing for a .d.ts, and the emitted types refer to it.
      copyFileSync(inRoot("lib/native-binding.d.ts"), inRoot("dist", project, "lib/native-binding.d.ts"));
    }
    useTheModulesOwnFolder();
    builtStamp.write(before);
  },
};

/** In dist/esm `here.mjs` takes the place of `here.cjs`: TypeScript has no way to say so. */
function useTheModulesOwnFolder() {
  for (const name of ["lib/native", "delivery-service/sqlite/load"]) {
    const file = inRoot(`dist/esm/${name}.js`);
    const [before, after, ...more] = readFileSync(file, "utf8").split("/here.cjs");
    if (after === undefined || more.length > 0)
      throw new Error(`compiled: ${name}.ts imports here.cjs no more, or twice.`);
    writeFileSync(file, `${before}/here.mjs${after}`);
  }
  for (const name of ["here.cjs", "here.d.cts"]) rmSync(inRoot("dist/esm/lib", name));
}

function sources() {
  return fingerprint([...SOURCES, ...CONFIGS, "package.json", "scripts/ensure/compiled.mjs"]);
}
