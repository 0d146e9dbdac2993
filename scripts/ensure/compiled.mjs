import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
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
    builtStamp.write(before);
  },
};

function sources() {
  return fingerprint([...SOURCES, ...CONFIGS, "package.json", "scripts/ensure/compiled.mjs"]);
}
