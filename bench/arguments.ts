import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** What a run of the bench is asked for. Paths are absolute. */
export interface Task {
  /** How many members the measured groups have. */
  readonly sizes: readonly number[];
  /** How many rounds are measured in each group, after the warm-up; undefined: as many as fit the size. */
  readonly rounds: number | undefined;
  /** Where the results go as JSON. */
  readonly json: string | undefined;
  /** Where the plot goes. */
  readonly svg: string | undefined;
}

/** Why nothing was measured: what is wrong with the arguments, and how they should be. */
export class Refusal extends Error {}

const USAGE = `Usage: npm run bench -- [--quick] [--rounds N] [--json FILE] [--svg FILE]

  --quick      groups of 2 and 100 only, not of 1000
  --rounds N   measure N rounds in each group, 1 to 1000
  --json FILE  write the results as JSON
  --svg FILE   plot them`;

/** Understands the arguments of the command line. Throws `Refusal`. */
export function understand(args: readonly string[]): Task {
  const { quick, rounds, json, svg, help } = parse(args);
  if (help) throw new Refusal(USAGE);
  return {
    sizes: quick ? [2, 100] : [2, 100, 1000],
    rounds: rounds === undefined ? undefined : countOf(rounds),
    json: json === undefined ? undefined : pathOf(json),
    svg: svg === undefined ? undefined : pathOf(svg),
  };
}

function parse(args: readonly string[]) {
  const flag = { type: "boolean", default: false } as const;
  const text = { type: "string" } as const;
  try {
    return parseArgs({ args: [...args], options: { quick: flag, rounds: text, json: text, svg: text, help: flag } })
      .values;
  } catch (error) {
    throw new Refusal(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

function countOf(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 1000) return count;
  throw new Refusal(`--rounds must be a whole number from 1 to 1000.\n\n${USAGE}`);
}

/** npm runs scripts in the package's folder, wherever it was called. */
function pathOf(text: string): string {
  return resolve(process.env.INIT_CWD ?? process.cwd(), text);
}
