import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Where the compiled programs of this folder are. */
export const programs = dirname(fileURLToPath(import.meta.url));

/** The checkout's own folder. */
export const root = resolve(programs, "../../../..");
