import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Refusal } from "./refusal.js";

const USAGE = `Usage: npm run demo -- [text] [--file PATH] [--report PATH] [--keep]

  text     a text in UTF-8, whose lines are said; without it, one that ships with the examples
  --file   what is sent in chunks; without it, some megabytes made from a seed
  --report where the picture of it all goes; without it, demo-report.html
  --keep   keep the keystores, the message lists and the delivery service's database

The exit code is 0 if everything was as it must be, 1 if not, and 2 if nothing was played.`;

const OPTIONS = {
  file: { type: "string" },
  report: { type: "string", default: "demo-report.html" },
  keep: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** What the demo was started with; undefined is what was not given. */
export interface Arguments {
  readonly text: string | undefined;
  readonly file: string | undefined;
  readonly report: string;
  readonly keep: boolean;
}

/** Understands the arguments; paths are absolute then. Throws `Refusal`. */
export function understand(args: readonly string[]): Arguments {
  const { positionals, values } = parse(args);
  if (values.help) throw new Refusal(USAGE);
  const [text, ...more] = positionals;
  if (more.length > 0) throw new Refusal(`The demo takes one text, not ${positionals.length}.\n\n${USAGE}`);
  // npm runs scripts in the package's folder, wherever it was called.
  const here = process.env.INIT_CWD ?? process.cwd();
  const absolute = (path: string | undefined) => (path === undefined ? undefined : resolve(here, path));
  return {
    text: absolute(text),
    file: absolute(values.file),
    report: resolve(here, values.report),
    keep: values.keep,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new Refusal(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}
