/**
 * The JavaScript tests under AddressSanitizer: `npm run test:asan [-- FILTER]`. The addon and SQLCipher are compiled with
 * it into a copy of the checkout under native/target/asan/, whose tests run then: the addon in prebuilds/ stays as it is. Fails
 * when a test fails or the sanitizer reports anything.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { inRoot, root } from "./ensure/files.mjs";
import { answerOf } from "./ensure/run.mjs";

const HOST = "x86_64-unknown-linux-gnu";
const platform = `${process.platform}-${process.arch}`;
const library = answerOf("gcc", "-print-file-name=libasan.so")?.trim();

const missing = [
  platform === "linux-x64"
    ? []
    : `AddressSanitizer is set up for Linux on x64 here, and this is ${platform}: run it there.`,
  answerOf("cargo", "+nightly", "--version") !== undefined
    ? []
    : "A nightly Rust toolchain is missing: rustup toolchain install nightly --profile minimal",
  library?.startsWith("/") ? [] : "gcc with its libasan is missing: install it (Debian: build-essential).",
].flat();
if (missing.length > 0) {
  console.error(missing.join("\n"));
  process.exit(1);
}

const built = inRoot("native/target/asan/target");
const copy = inRoot("native/target/asan/checkout");
build();
copyCheckout();
process.exitCode = test(process.argv.slice(2));

function build() {
  const command = ["+nightly", "build", "--release", "--locked", "-p", "conclave-native", "--target", HOST];
  execFileSync("cargo", [...command, "--manifest-path", "native/Cargo.toml", "--target-dir", built], {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      RUSTFLAGS: "-Zsanitizer=address",
      // The cc crate gives gcc the same sanitizer, with which SQLite at -O3 takes very long.
      CFLAGS: `${process.env.CFLAGS ?? ""} -O1`.trim(),
      ...openSslOfTheAddon(),
    },
  });
}

/** That of the ordinary build, where there is one: without the sanitizer, and minutes sooner. */
function openSslOfTheAddon() {
  const builds = inRoot("native/target/release/build");
  const folders = existsSync(builds) ? readdirSync(builds).filter((name) => name.startsWith("openssl-sys-")) : [];
  const installed = folders.map((name) => join(builds, name, "out/openssl-build/install")).find(existsSync);
  return installed === undefined ? {} : { OPENSSL_NO_VENDOR: "1", OPENSSL_STATIC: "1", OPENSSL_DIR: installed };
}

/** Everything that a test reads, but for what is large and the same: that is linked. */
function copyCheckout() {
  const leftOut = [".git", ".stamps", "native", "native/target", "native/fuzz", "prebuilds"];
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  const names = [...readdirSync(root), ...readdirSync(inRoot("native")).map((name) => `native/${name}`)];
  for (const name of names.filter((name) => !leftOut.includes(name))) {
    if (name === "node_modules") symlinkSync(inRoot(name), join(copy, name));
    else cpSync(inRoot(name), join(copy, name), { recursive: true });
  }
  const [name] = readdirSync(inRoot("prebuilds", platform));
  mkdirSync(join(copy, "prebuilds", platform), { recursive: true });
  cpSync(join(built, HOST, "release/libconclave_native.so"), join(copy, "prebuilds", platform, name));
}

/** Jest itself, not `npm test`, which would build the addon anew. */
function test(filters) {
  const jest = ["node_modules/jest/bin/jest.js", "-w", "1", "--forceExit", "--testTimeout", "120000"];
  // Those that call the addon in this process. Others build, pack or kill.
  const calling = ["async", "delivery-service", "guide", "testing"].map((folder) => `__tests__/${folder}/`);
  const tests = filters.length > 0 ? filters : calling;
  const { status } = spawnSync(process.execPath, [...jest, ...tests], {
    cwd: copy,
    stdio: "inherit",
    env: {
      ...process.env,
      LD_PRELOAD: library,
      // Node never frees what lives as long as the process.
      ASAN_OPTIONS: "detect_leaks=0:abort_on_error=1",
    },
  });
  return status ?? 1;
}
