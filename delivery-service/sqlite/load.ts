import { createRequire } from "node:module";
import { join } from "node:path";
import type BetterSqlite3 from "better-sqlite3";
import { here } from "../../lib/here.cjs";
import { DeliveryError } from "../errors.js";

/**
 * better-sqlite3, with its compiled part loaded. Throws `SQLITE_MISSING`: it is not installed, this Node is too old for
 * the version that is installed, or its compiled part does not load. The message says which, and what to run.
 */
export async function loadSqlite(): Promise<typeof BetterSqlite3> {
  const version = installedVersion();
  if (version !== undefined) refuseWhatWouldCrash(version);
  try {
    const Sqlite = (await import("better-sqlite3")).default;
    new Sqlite(":memory:").close(); // The compiled part is loaded at this moment, not by the import.
    return Sqlite;
  } catch (cause) {
    const problem = isForbidden(cause)
      ? `Node may not load it. ${ALLOW}`
      : version === undefined
        ? `it is not installed. ${INSTALL}`
        : `the compiled part of version ${version} does not load; the cause says why. ${REBUILD}`;
    throw missing(problem, cause);
  }
}

/** Version 12 runs on every Node that this package runs on. pnpm runs no install script that it was not told to run. */
const INSTALL = "Run `npm install better-sqlite3@12`, or `pnpm add --allow-build=better-sqlite3 better-sqlite3@12`.";
const REBUILD =
  "Run `npm rebuild better-sqlite3` or `pnpm rebuild better-sqlite3`, so that it is made for this Node. If that " +
  "does not help, install better-sqlite3@12.";
const ALLOW =
  "Where Node runs with --permission, start it with --allow-addons, and with --allow-fs-read for node_modules. " +
  "Start it without --no-addons.";

/**
 * From version 13 on the compiled part calls functions of Node-API 10: Node 22.14, 23.6 and later have them. With an older
 * Node the process dies with a segmentation fault, so the version is looked at before anything is loaded.
 */
function refuseWhatWouldCrash(version: string): void {
  const { node, napi } = process.versions;
  if (Number.parseInt(version) < 13 || Number(napi ?? 0) >= 10) return;
  throw missing(
    `version ${version} is installed, which needs Node-API 10 (Node 22.14 or later). This is Node ${node} with ` +
      `Node-API ${napi ?? "none"}. ${INSTALL}`,
  );
}

/** The version in its package.json, and nothing of it is loaded. Undefined where no package.json is found. */
function installedVersion(): string | undefined {
  if (here === undefined) return undefined; // In a bundle without a folder; the addon is refused there by name.
  try {
    const manifest: unknown = createRequire(join(here, "index.js"))("better-sqlite3/package.json");
    const { version } = manifest as { version?: unknown };
    return typeof version === "string" ? version : undefined;
  } catch {
    return undefined;
  }
}

/** By shape, because in a test runner's realm the cause may be no `instanceof Error`. */
function isForbidden(cause: unknown): boolean {
  if (typeof cause !== "object" || cause === null || !("code" in cause)) return false;
  return cause.code === "ERR_DLOPEN_DISABLED" || cause.code === "ERR_ACCESS_DENIED";
}

function missing(problem: string, cause?: unknown): DeliveryError {
  const message = `The embedded delivery service needs better-sqlite3, and ${problem}`;
  return new DeliveryError("SQLITE_MISSING", message, cause === undefined ? undefined : { cause });
}
