import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Database, DatabaseKey, MlsError, Session } from "conclave-mls";
import { Control, DIES, EVERY_KIND } from "../io/control.js";
import { watched } from "../io/interposer.js";
import { programs } from "../root.js";
import { scratchFolder } from "../scratch.js";

/** What came of it. */
export interface CreationReport {
  readonly kills: number;
  /** What was found in the folder after a kill, and how often. */
  readonly left: Readonly<Record<string, number>>;
  /** What must not happen, and has. */
  readonly wrong: readonly string[];
  readonly seconds: number;
}

const KEY = Buffer.alloc(32, 7);

/**
 * Kills a client at an operation on the files of a keystore that it opens for the first time,
 * stores into and closes; with a stride, at every so-many-th. After each kill another client opens
 * it twice.
 */
export async function create({ stride }: { stride: number }): Promise<CreationReport> {
  const begun = performance.now();
  const folder = scratchFolder();
  const switchFile = join(folder, "control");
  using control = new Control(switchFile);
  const left: Record<string, number> = {};
  const wrong: string[] = [];
  let kills = 0;
  for (let at = 1; wrong.length === 0; at += stride) {
    const files = join(folder, `files-${at}`);
    mkdirSync(files);
    const path = join(files, "alice.db");
    control.arm({ kinds: EVERY_KIND, at, failure: DIES, lasting: true });
    const { stdout, signal, stderr } = spawnSync(
      process.execPath,
      [join(programs, "creation/creator.js"), path, KEY.toString("hex")],
      { env: watched({ file: path, control: switchFile }), encoding: "utf8" },
    );
    if (signal === null) {
      if (!stdout.endsWith("closed\n")) wrong.push(`at ${at}: it was not killed, and said ${stdout}${stderr}`);
      break;
    }
    kills += 1;
    const names = readdirSync(files).sort().join(" ");
    left[names] = (left[names] ?? 0) + 1;
    for (const what of await after(files, Number(/.*stored (\d)/s.exec(stdout)?.[1] ?? 0)))
      wrong.push(`at ${at}: ${what}`);
  }
  rmSync(folder, { recursive: true });
  return { kills, left, wrong, seconds: Math.round((performance.now() - begun) / 1000) };
}

/** What is wrong with the files that were left when this number had been told to be stored. */
async function after(files: string, told: number): Promise<string[]> {
  const wrong: string[] = [];
  for (const time of ["first", "second"]) {
    try {
      const database = await Database.open(join(files, "alice.db"), DatabaseKey.from(new Uint8Array(KEY)));
      const session = await Session.open(database, { clientId: "alice" });
      const stored = Number(Buffer.from((await session.data("number")) ?? Buffer.from("0")).toString());
      if (stored < told) wrong.push(`${told} was told to be stored, and ${stored} was found at the ${time} open`);
      await session.close();
    } catch (error) {
      wrong.push(`the ${time} open failed: ${MlsError.is(error) ? error.code : String(error)}`);
    }
  }
  const names = readdirSync(files).sort().join(" ");
  if (names !== "alice.db alice.db.lock") wrong.push(`after closing there are ${names}`);
  return wrong;
}
