/**
 * Hostile bytes for everything that reads bytes (docs/fuzzing.md): builds native/fuzz/ and runs it with these options;
 * `--help` lists them. In the target directory of native/, where both have the crates of the registry built.
 */
import { spawn } from "node:child_process";
import { inRoot } from "./ensure/files.mjs";
import { hostileEngine } from "./ensure/engine.mjs";
import { withLock } from "./ensure/lock.mjs";
import { run } from "./ensure/run.mjs";

const target = inRoot("native/target");
const manifest = "native/fuzz/Cargo.toml";

try {
  await withLock(async () => {
    const tools = hostileEngine.missingTools();
    if (tools.length > 0) throw new Error(tools.join("\n"));
    if (!hostileEngine.isCurrent()) await hostileEngine.make();
    const build = ["build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target];
    let crates = 0;
    await run("fuzz        building native/fuzz/", "cargo", build, {
      detail: (line) => (/^\s*Compiling /.test(line) ? `${++crates} crates` : undefined),
    });
  });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

const program = inRoot("native/target/release", process.platform === "win32" ? "conclave-fuzz.exe" : "conclave-fuzz");
const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
child.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
child.on("close", (code) => (process.exitCode = code ?? 1));
