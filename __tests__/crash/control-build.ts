import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./root.js";

/** What the addon of a control has in its version, and no released one anywhere in its bytes. */
export const MARK = "answers-before-storing";

/**
 * A second copy of the package under dist/, whose addon is built with one thing wrong: steps are answered before they are stored.
 * Answers where its compiled programs are. Takes a minute or two where this is new to Cargo.
 */
export function buildControl(): string {
  const home = join(root, "dist/control");
  rmSync(home, { recursive: true, force: true });
  const arguments_ = ["build", "--release", "--locked", "-p", "conclave-native", "--features", MARK];
  execFileSync("cargo", [...arguments_, "--manifest-path", join(root, "native/Cargo.toml")], { stdio: "inherit" });

  const platform = `${process.platform}-${process.arch}`;
  const [name] = readdirSync(join(root, "prebuilds", platform));
  mkdirSync(join(home, "prebuilds", platform), { recursive: true });
  copyFileSync(join(root, "native/target/release/libconclave_native.so"), join(home, "prebuilds", platform, name!));
  for (const part of ["esm", "programs"])
    cpSync(join(root, "dist", part), join(home, "dist", part), { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  writeFileSync(join(home, "package.json"), JSON.stringify({ ...manifest, version: `${manifest.version}-${MARK}` }));
  return join(home, "dist/programs/__tests__/crash");
}
