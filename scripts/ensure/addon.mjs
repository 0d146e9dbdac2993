import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { fingerprint, inRoot, stamp } from "./files.mjs";
import { answerOf, isInstalled, run } from "./run.mjs";
import { missingRust } from "./rust.mjs";

const platform = `${process.platform}-${process.arch}`;
const product = `prebuilds/${platform}/${fileName()}`;
const builtStamp = stamp(`addon-${platform}`);

/** The native addon in prebuilds/<platform>-<arch>/, built from native/, and the types that napi generates with it. */
export const addon = {
  name: "addon",

  isCurrent() {
    return existsSync(inRoot(product)) && existsSync(inRoot("lib/native-binding.d.ts")) && builtStamp.is(sources());
  },

  missingTools() {
    return [...missingRust(), ...missingForC()];
  },

  async make() {
    const before = sources();
    const output = "native/target/addon";
    const locked = process.env.CI === undefined ? [] : ["--", "--locked"];
    let crates = 0;
    await run(
      "addon       building native/ (a few minutes where OpenSSL and SQLCipher are compiled, too)",
      process.execPath,
      // prettier-ignore
      [
        "node_modules/@napi-rs/cli/dist/cli.js", "build", "--release", "--manifest-path", "native/Cargo.toml", "-p", "conclave-native",
        "--output-dir", output, "--dts", "native-binding.d.ts", "--no-const-enum", ...locked,
      ],
      { detail: (line) => (/^\s*Compiling /.test(line) ? `${++crates} crates` : undefined) },
    );
    // Put in place by a rename: a process that has the old addon mapped keeps it whole.
    builtStamp.remove();
    mkdirSync(inRoot(dirname(product)), { recursive: true });
    copyFileSync(inRoot(output, "conclave.node"), inRoot(`${product}.new`));
    renameSync(inRoot(`${product}.new`), inRoot(product));
    renewTypes(`${output}/native-binding.d.ts`);
    builtStamp.write(before);
  },
};

/** The C library is part of the name on Linux, where one platform has two that do not mix. */
function fileName() {
  if (process.platform !== "linux") return "conclave.node";
  return /\/(ld-musl-|libc\.musl-)/.test(readFileSync("/proc/self/maps", "latin1"))
    ? "conclave.musl.node"
    : "conclave.glibc.node";
}

function sources() {
  const leftOut = ["native/target", "native/fuzz"];
  return fingerprint(["native", "scripts/ensure/addon.mjs"], (path) => leftOut.includes(path));
}

/** They are in the repository, so that types can be checked without Rust; written only when they differ. */
function renewTypes(generated) {
  const target = inRoot("lib/native-binding.d.ts");
  if (existsSync(target) && readFileSync(target).equals(readFileSync(inRoot(generated)))) return;
  copyFileSync(inRoot(generated), target);
  console.log("addon       lib/native-binding.d.ts is renewed: it belongs into the same commit as the Rust change");
}

function missingForC() {
  const onWindows = process.platform === "win32";
  return [
    onWindows || isInstalled("cc", "gcc", "clang")
      ? []
      : "A C compiler is missing: install gcc or clang (Debian: build-essential; macOS: xcode-select --install).",
    onWindows || isInstalled("make")
      ? []
      : "make is missing: install it (Debian: build-essential; macOS: xcode-select --install).",
    answerOf("perl", "-MFindBin", "-MIPC::Cmd", "-MFile::Compare", "-MTime::Piece", "-e", "1") !== undefined
      ? []
      : "perl with its core modules is missing: install it (Debian: perl; Fedora: perl-core; Windows: Strawberry Perl).",
  ].flat();
}
