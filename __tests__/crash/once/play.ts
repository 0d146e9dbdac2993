import { spawn } from "node:child_process";
import { join } from "node:path";
import { serveOnLoopback } from "conclave-mls/delivery-service";
import { Control, DIES, EVERY_KIND } from "../io/control.js";
import { watched } from "../io/interposer.js";
import { programs } from "../root.js";
import { type Ending, live } from "./alice.js";
import type { Habit } from "./habits.js";
import { judge } from "./judge.js";
import type { Orders } from "./mortal.js";
import { World } from "./world.js";

/** The last moment of a life, or the last operation on her files, each counted from 1. */
export type Death = { readonly moment: number } | { readonly operation: number };

/** A life that ended by its death, or by itself where it has fewer moments. */
export interface MortalLife {
  /** The names of the moments that it has come to. */
  readonly moments: readonly string[];
  /** How many operations on her files it has made. */
  readonly operations: number;
  /** The signal, or the exit code and what it had to say. */
  readonly ending: string;
}

/** Whether it ended by its death. */
export const wasKilled = ({ ending }: MortalLife): boolean => ending === "SIGKILL";

/** What came of one play. */
export interface Outcome {
  /** All lives but the last. */
  readonly lives: readonly MortalLife[];
  /** How many messages came again after they had been stored. */
  readonly repeated: number;
  /** What must not happen, and has. */
  readonly wrong: readonly string[];
}

/**
 * One play from its beginning: she dies each of these deaths, one life after the other, and then lives to the end. A life of which
 * the death is undefined ends by itself.
 */
export async function play(deaths: readonly (Death | undefined)[], habit: Habit, within: string): Promise<Outcome> {
  await using world = await World.set(within);
  const { path, key, plot } = world;
  const lives: MortalLife[] = [];
  for (const death of deaths) lives.push(await mortalLife(world, habit, death));
  const wrong = lives.flatMap((life) =>
    wasKilled(life) || life.ending === "0" ? [] : [`a life ended with ${life.ending}`],
  );
  let endings: Ending[] = [];
  try {
    endings = await live({ path, key, service: plot.service, habit, moment: () => {} });
  } catch (error) {
    wrong.push(`the last life failed: ${String(error)}`);
  }
  const judged = await judge(world, habit, endings);
  return { lives, repeated: judged.repeated, wrong: [...wrong, ...judged.wrong] };
}

/** The longest that one may take, in milliseconds: whoever hangs has not ended well. */
const LONGEST_LIFE = 60_000;

async function mortalLife({ path, key, plot }: World, habit: Habit, death: Death | undefined): Promise<MortalLife> {
  await using server = await serveOnLoopback(plot.service);
  using control = new Control(`${path}.control`);
  const at = death !== undefined && "operation" in death ? death.operation : 0;
  control.arm({ kinds: EVERY_KIND, at, failure: DIES, lasting: true });
  const last = death !== undefined && "moment" in death ? death.moment : 0;
  const orders: Orders = { path, key: Buffer.from(key).toString("hex"), url: server.url, habit, last };
  const child = spawn(process.execPath, [join(programs, "once/mortal.js"), JSON.stringify(orders)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: watched({ file: path, control: `${path}.control` }),
    timeout: LONGEST_LIFE,
  });
  let [said, complaint] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (part: string) => (said += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => (complaint += part));
  const ending = await new Promise<string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve(signal ?? `${String(code)}${complaint}`));
  });
  return { moments: said.split("\n").slice(0, -1), operations: control.counted, ending };
}
