import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { MlsError } from "./errors.js";
import { here } from "./here.cjs";
import type * as binding from "./native-binding.js";

/** The compiled half of this package, as its generated types describe it. */
export type NativeAddon = typeof binding;

let loaded: NativeAddon | undefined;

/**
 * The native addon, loaded at the first call and not at import, so that importing this package costs nothing and works for
 * its types alone. It is looked for in one place, `prebuilds/<platform>-<arch>/` of this very package; no environment
 * variable and no setting can name another file, since whoever sets those would run code next to the keys.
 *
 * Throws `ADDON_NOT_LOADED`, at this and at every later call, with what was tried and what to do.
 */
export function native(): NativeAddon {
  return (loaded ??= load());
}

function load(): NativeAddon {
  const home = packageHome();
  const file = addonFile(home.directory);
  refuseWhatWouldCrash(home.directory, file);

  let addon: NativeAddon;
  try {
    addon = createRequire(file)(file) as NativeAddon;
  } catch (cause) {
    const advice = codeOf(cause) === "ERR_DLOPEN_DISABLED" ? ADVICE.addons : ADVICE.refused;
    throw notLoaded(`the system refused to load it: ${messageOf(cause)}`, advice, file, cause);
  }
  const version = versionOf(addon);
  if (version !== home.version) {
    throw notLoaded(`it is version ${version} and the package is ${home.version}`, ADVICE.reinstall, file);
  }
  return addon;
}

const ADVICE = {
  bundler: 'Keep "conclave-mls" external to your bundle, so that its files stay together in node_modules.',
  copied:
    "A bundler or a tool that copies what a program needs has left it out: let it copy the folder prebuilds of conclave-mls " +
    "too, or install the package again.",
  node: "Run it on Node 20 or later, or on an Electron that carries one (29 or later).",
  platform: "Use a platform of the table in the README, or build the addon there from the source repository.",
  musl: "Use an image with glibc (Debian, Ubuntu, Fedora), or build the addon there from the source repository.",
  missing: "Install the package again; in a checkout of the source repository run `node scripts/ensure.mjs`.",
  read: "Node runs with --permission: let it read the folder of conclave-mls with --allow-fs-read.",
  addons: "Node runs with --permission or --no-addons: start it with --allow-addons, and without --no-addons.",
  refused:
    "Compare the system with the platform table in the README; if it is listed there, install the package again.",
  reinstall: "Two installations are mixed: delete node_modules/conclave-mls and install the package again.",
};

/** This package's own folder: the nearest one above this file whose package.json bears our name. */
function packageHome(): { directory: string; version: string } {
  if (here === undefined) throw notLoaded("it was made part of a bundle", ADVICE.bundler);
  let denied: unknown;
  for (let directory = here; ; directory = dirname(directory)) {
    try {
      const manifest = readManifest(join(directory, "package.json"));
      if (manifest.name === "conclave-mls") return { directory, version: String(manifest.version) };
    } catch (cause) {
      if (!isDenied(cause))
        throw notLoaded(`package.json cannot be read: ${messageOf(cause)}`, ADVICE.missing, undefined, cause);
      denied ??= cause;
    }
    if (directory === dirname(directory)) {
      if (denied !== undefined) throw notLoaded("its package.json may not be read", ADVICE.read, undefined, denied);
      throw notLoaded(`no package.json of conclave-mls is above ${here}`, ADVICE.bundler);
    }
  }
}

/** Throws where the file may not be read, and for what is no JSON. */
function readManifest(path: string): { name?: unknown; version?: unknown } {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (isMissing(cause)) return {};
    throw cause;
  }
  return JSON.parse(text) as { name?: unknown; version?: unknown };
}

/** Electron cannot map a library out of its archive; packagers put the unpacked copy beside it under this name. */
function addonFile(directory: string): string {
  const name = process.platform === "linux" ? `conclave.${libc()}.node` : "conclave.node";
  const file = join(directory, "prebuilds", `${process.platform}-${process.arch}`, name);
  const unpacked = file.replace(/([\\/]app\.asar)(?=[\\/])/, "$1.unpacked");
  return unpacked !== file && stateOf(unpacked) === "there" ? unpacked : file;
}

/** All that can be known to fail is refused by name before the library is mapped: past that point it may end the process. */
function refuseWhatWouldCrash(directory: string, file: string): void {
  const { node, napi } = process.versions;
  if (Number.parseInt(node) < 20 || Number(napi ?? 0) < 8) {
    throw notLoaded(
      `it needs Node 20 and Node-API 8, and this is Node ${node} with ${napi ?? "no"}`,
      ADVICE.node,
      file,
    );
  }
  const state = stateOf(file);
  if (state === "there") return;
  if (state === "denied") throw notLoaded("the file may not be read", ADVICE.read, file);
  if (stateOf(join(directory, "prebuilds")) === "missing") {
    throw notLoaded("the folder prebuilds is missing", ADVICE.copied, file);
  }
  if (stateOf(dirname(file)) === "missing") {
    throw notLoaded("this package carries none for this platform", ADVICE.platform, file);
  }
  const muslOnly = process.platform === "linux" && libc() === "musl";
  throw notLoaded("there is no such file", muslOnly ? ADVICE.musl : ADVICE.missing, file);
}

/** Unlike `existsSync` it tells what may not be read, where Node's permission model forbids it, and never throws. */
function stateOf(path: string): "there" | "missing" | "denied" {
  try {
    statSync(path);
    return "there";
  } catch (cause) {
    return isDenied(cause) ? "denied" : "missing";
  }
}

function isMissing(cause: unknown): boolean {
  const code = codeOf(cause);
  return code === "ENOENT" || code === "ENOTDIR";
}

function isDenied(cause: unknown): boolean {
  const code = codeOf(cause);
  return code === "ERR_ACCESS_DENIED" || code === "EACCES" || code === "EPERM";
}

function codeOf(cause: unknown): unknown {
  return typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
}

/** Which C library this very process has mapped. Both may be installed, so looking for files on the disk would not tell. */
function libc(): "glibc" | "musl" {
  try {
    return /\/(ld-musl-|libc\.musl-)/.test(readFileSync("/proc/self/maps", "latin1")) ? "musl" : "glibc";
  } catch {
    return "glibc"; // No /proc: let the loader of the system judge.
  }
}

function versionOf(addon: Partial<NativeAddon>): string {
  return typeof addon.nativeVersion === "function" ? addon.nativeVersion() : "unknown";
}

function notLoaded(why: string, advice: string, file?: string, cause?: unknown): MlsError {
  const system = `${process.platform}-${process.arch}${process.platform === "linux" ? `, ${libc()}` : ""}, Node ${process.version}`;
  const tried = file === undefined ? "" : `; tried ${file}`;
  return new MlsError(
    "ADDON_NOT_LOADED",
    `The native addon could not be loaded: ${why} (${system}${tried}). ${advice}`,
    { cause },
  );
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
