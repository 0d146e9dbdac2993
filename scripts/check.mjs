/**
 * The whole gate, cheap steps first: one line with its time for each, and the output of what failed. Goes on after a failure, so
 * that one run tells everything. \`--without-jest\` leaves the TypeScript tests out; \`--report FILE\` writes the counts as JSON.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { root } from "./ensure/files.mjs";

const tool = (path, ...args) => [process.execPath, `node_modules/${path}`, ...args];
const cargo = (command, ...args) => ["cargo", command, "--manifest-path", "native/Cargo.toml", ...args];
const fuzz = (command, ...args) => ["cargo", command, "--manifest-path", "native/fuzz/Cargo.toml", ...args];
const shared = ["--target-dir", "native/target"];
const inCi = process.env.CI !== undefined;

const steps = {
  "format (TypeScript)": tool("prettier/bin/prettier.cjs", "--check", "--log-level", "warn", "."),
  "format (Rust)": cargo("fmt", "--all", "--check"),
  "format (fuzz)": fuzz("fmt", "--check"),
  "licence notices": [process.execPath, "scripts/notices.mjs", "--check"],
  "errors page": [process.execPath, "scripts/errors-doc.mjs", "--check"],
  "guide snippets": [process.execPath, "scripts/snippets.mjs", "--check"],
  // A build renews it, so it differs from what was committed only where someone forgot to commit it.
  ...(inCi && { "native types": ["git", "diff", "--exit-code", "--stat", "--", "lib/native-binding.d.ts"] }),
  "types (all sources)": tool("typescript/bin/tsc", "--project", "tsconfig.json"),
  "types (CommonJS)": tool("typescript/bin/tsc", "--project", "tsconfig.cjs.json", "--noEmit"),
  lint: tool("eslint/bin/eslint.js", "--max-warnings", "0", "."),
  "API reference": tool("typedoc/bin/typedoc", "--logLevel", "Warn"),
  "lint (Rust)": cargo("clippy", "--release", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"),
  "tests (Rust)": cargo("test", "--release", "--workspace", "--locked", "--no-fail-fast"),
  // After the tests, which have built the crates that both need.
  // In CI by one seed, so that what passed once passes again; new seeds are for those who work on it.
  fuzz: [process.execPath, "scripts/fuzz.mjs", "--seconds", "120", ...(inCi ? ["--seed", "1"] : [])],
  "lint (fuzz)": fuzz("clippy", "--release", ...shared, "--all-targets", "--locked", "--", "-D", "warnings"),
  "tests (TypeScript)": tool("jest/bin/jest.js", "--silent"),
};
if (process.argv.includes("--without-jest")) delete steps["tests (TypeScript)"];

const report = { rustPassed: 0, rustFailed: 0, failedSteps: [] };
for (const [name, command] of Object.entries(steps)) {
  const start = performance.now();
  const { succeeded, output } = await run(command);
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(6);
  if (name === "tests (Rust)") countRustTests(output);
  console.log(`${succeeded ? "ok    " : "FAILED"} ${seconds} s  ${name}`);
  // The seed, and what was reached: a target that reaches nothing finds nothing.
  if (succeeded && name === "fuzz") console.log(output.match(/^(seed|\w+:) .*/gm).join("\n"));
  if (succeeded) continue;
  console.log(output);
  if (name !== "tests (Rust)" || report.rustFailed === 0) report.failedSteps.push(name);
}

if (process.argv.includes("--report")) {
  writeFileSync(process.argv[process.argv.indexOf("--report") + 1], JSON.stringify(report));
}
process.exitCode = report.failedSteps.length + report.rustFailed === 0 ? 0 : 1;

function run([command, ...args]) {
  return new Promise((resolve) => {
    const output = [];
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => output.push(text));
    child.on("error", (error) => resolve({ succeeded: false, output: error.message }));
    child.on("close", (code) => resolve({ succeeded: code === 0, output: output.join("").trimEnd() }));
  });
}

/** One summary line per test binary. Too few of them (a binary that did not compile or crashed) is a failed step of its own. */
function countRustTests(output) {
  for (const [, passed, failed] of output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)) {
    report.rustPassed += Number(passed);
    report.rustFailed += Number(failed);
  }
}
