import { closeSync, openSync } from "node:fs";
import { resolve } from "node:path";
import type BetterSqlite3 from "better-sqlite3";
import { DeliveryError } from "../errors.js";
import { APPLICATION_ID, SCHEMA_VERSION, schema } from "./schema.js";
import { loadSqlite } from "./load.js";

export type Database = BetterSqlite3.Database;

/**
 * Opens, or creates with mode 0600, the service's file; without a path one in memory. The file has one owner: a second
 * opener gets `DATABASE_IN_USE` at once, and the lock dies with its holder.
 */
export async function openDatabase(path: string | undefined): Promise<Database> {
  const Sqlite = await loadSqlite();
  let database: Database | undefined;
  try {
    if (path !== undefined) createForOwnerOnly(resolve(path));
    // No time-out: waiting for the other owner to go would block the whole process.
    database = new Sqlite(path === undefined ? ":memory:" : resolve(path), { timeout: 0 });
    prepare(database);
    return database;
  } catch (error) {
    database?.close();
    throw storageError(error);
  }
}

/** What SQLite threw, as a `DeliveryError`; everything else as it is. */
export function storageError(cause: unknown): unknown {
  if (DeliveryError.is(cause)) return cause;
  const code = codeOf(cause);
  if (code.startsWith("SQLITE_BUSY")) {
    return new DeliveryError(
      "DATABASE_IN_USE",
      "Another delivery service has this file open. Serve that one with serveOnLoopback, and connect with deliveryServiceAt.",
      { cause },
    );
  }
  if (code === "SQLITE_NOTADB") return foreign(cause);
  return code.startsWith("SQLITE_") ? unusable(code, cause) : cause;
}

/** Of an error of SQLite or the operating system; by shape, because in a test runner's realm it may be no `instanceof Error`. */
function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : "";
}

/** SQLite would create the file readable for everybody that the umask lets. An existing one is left alone, even unopened. */
function createForOwnerOnly(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw unusable(codeOf(error), error);
  }
}

function prepare(database: Database): void {
  // The lock first, and for good: of two that open at the same moment one gets it. WAL needs no shared-memory file then.
  database.pragma("locking_mode = EXCLUSIVE");
  database.exec("BEGIN EXCLUSIVE; COMMIT");
  const application = database.pragma("application_id", { simple: true });
  const version = Number(database.pragma("user_version", { simple: true }));
  const empty = database.prepare("SELECT count(*) FROM sqlite_schema").pluck().get() === 0;
  if (application !== APPLICATION_ID && !(application === 0 && empty)) throw foreign();
  if (version > SCHEMA_VERSION) throw foreign();

  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.pragma("foreign_keys = ON");
  database.pragma("trusted_schema = OFF");
  if (!empty) return;
  const create = database.transaction(() => {
    database.exec(schema);
    database.pragma(`application_id = ${APPLICATION_ID}`);
    database.pragma(`user_version = ${SCHEMA_VERSION}`);
  });
  create();
}

function unusable(code: string, cause: unknown): DeliveryError {
  return new DeliveryError("STORAGE_FAILED", `The delivery service's file could not be used (${code}).`, { cause });
}

function foreign(cause?: unknown): DeliveryError {
  return new DeliveryError(
    "DATABASE_FOREIGN",
    "This file was not made by this version of the delivery service, or by an older one. Choose another path.",
    { cause },
  );
}
