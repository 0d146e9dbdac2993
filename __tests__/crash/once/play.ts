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

/** What came of one play. */
export interface Outcome {
  /** The names of the moments that each life has come to. */
  readonly lives: readonly (readonly string[])[];
  /** How often she was killed: a life that has fewer moments ends by itself. */
  readonly kills: number;
  /** How many operations on the files the last of these lives has made. */
  readonly operations: number;
  /** How many messages came again after they had been stored. */
  readonly repeated: number;
  /** What must not happen, and has. */
  readonly wrong: readonly string[];
}

/** One play from its beginning: she is killed in each of these ways, one life after the other, and then lives to the end. */
export async function play(deaths: readonly (Death | undefined)[], habit: Habit, within: string): Promise<Outcome> {
  await using world = await World.set(within);
  const { path, key, plot } = world;
  const lives: string[][] = [];
  const wrong: string[] = [];
  let kills = 0;
  let operations = 0;
  for (const death of deaths) {
    const life = await mortalLife(world, habit, death);
    lives.push(life.moments);
    operations = life.operations;
    if (life.ending === "SIGKILL") kills += 1;
    else if (life.ending !== "0") wrong.push(`a life ended with ${life.ending}`);
  }
  let endings: Ending[] = [];
  try {
    endings = await live({ path, key, service: plot.service, habit, moment: () => {} });
  } catch (error) {
    wrong.push(`the last life failed: ${String(error)}`);
  }
  const judged = await judge(world, habit, endings);
  return { lives, kills, operations, repeated: judged.repeated, wrong: [...wrong, ...judged.wrong] };
}

interface MortalLife {
  readonly moments: string[];
  readonly operations: number;
  /** The signal, or the exit code and what it had to say. */
  readonly ending: string;
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
