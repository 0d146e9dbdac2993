import { existsSync } from "node:fs";
import { inRoot, readJson, stamp } from "./files.mjs";
import { answerOf, isInstalled, run } from "./run.mjs";

const SQLITE = "node_modules/better-sqlite3";
const sqliteStamp = stamp(`better-sqlite3-${process.platform}-${process.arch}`);

/** npm packages as package-lock.json has them, and better-sqlite3 (compiled by npm, for tests and demo) usable by this Node. */
export const packages = {
  name: "packages",

  isCurrent() {
    return (
      isInstalledAsLocked() &&
      sqliteStamp.is(sqliteState()) &&
      existsSync(inRoot(SQLITE, "build/Release/better_sqlite3.node"))
    );
  },

  missingTools() {
    return isInstalled("npm") || process.env.npm_execpath !== undefined
      ? []
      : ["npm is missing: install it (it comes with Node)."];
  },

  async make() {
    if (!isInstalledAsLocked()) {
      sqliteStamp.remove();
      await npm(
        "packages    installing (a minute or two where better-sqlite3 has to be compiled)",
        "ci",
        "--include=dev",
      );
    }
    if (!sqliteWorks())
      await npm(
        "packages    compiling better-sqlite3 for this Node",
        "rebuild",
        "better-sqlite3",
        "--ignore-scripts=false",
      );
    if (sqliteWorks()) sqliteStamp.write(sqliteState());
  },
};

/** npm writes its own record of node_modules last, so a half-finished installation has none or an old one. */
function isInstalledAsLocked() {
  const locked = readJson("package-lock.json").packages;
  const installed = readJson("node_modules/.package-lock.json")?.packages;
  if (installed === undefined) return false;
  return Object.entries(locked).every(([path, { version, integrity, optional, peer }]) => {
    if (path === "") return true;
    const found = installed[path];
    if (found === undefined) return optional === true || peer === true; // Meant for other platforms.
    return found.version === version && found.integrity === integrity && existsSync(inRoot(path, "package.json"));
  });
}

/** Other than our own addon it is compiled for one version of Node's binary interface. */
function sqliteState() {
  return `${readJson(`${SQLITE}/package.json`)?.version} ${process.versions.modules}`;
}

/** Asked of another process, and by what it prints: a mismatched binary can end the process that loads it. */
function sqliteWorks() {
  const program = `new (require("better-sqlite3"))(":memory:").close(); require("fs").writeSync(1, "works")`;
  return answerOf(process.execPath, "-e", program)?.includes("works") === true;
}

function npm(title, ...args) {
  const { npm_execpath: script } = process.env;
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--engine-strict=false"];
  const [command, first] = script?.endsWith(".js")
    ? [process.execPath, [script]]
    : [process.platform === "win32" ? "npm.cmd" : "npm", []];
  return run(title, command, [...first, ...args, ...quiet], { hint: compilerHint });
}

function compilerHint(output) {
  if (!/gyp|better-sqlite3/.test(output)) return undefined;
  const missing = [
    isInstalled("python3", "python") ? [] : "python3",
    isInstalled("cc", "gcc", "clang") || process.platform === "win32" ? [] : "a C++ compiler",
    isInstalled("make") || process.platform === "win32" ? [] : "make",
  ].flat();
  if (missing.length === 0) return undefined;
  return `better-sqlite3 had to be compiled here, and that needs ${missing.join(" and ")}: install it and run this again.`;
}
