import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { Refusal } from "./text.js";

const USAGE = `Usage: npm run demo -- [file] [--keep]

  file     a text in UTF-8, whose lines are said; without it, one that ships with the examples
  --keep   keep the keystores and the delivery service's database

The exit code is 0 if everything was as it must be, 1 if not, and 2 if nothing was played.`;

/** What the demo was started with: the path of the text, if one was given, and what to do with the files. Throws `Refusal`. */
export function understand(args: readonly string[]): { file: string | undefined; keep: boolean } {
  const { positionals, values } = parse(args);
  if (values.help) throw new Refusal(USAGE);
  const [file, ...more] = positionals;
  if (more.length > 0) throw new Refusal(`The demo takes one text, not ${positionals.length}.\n\n${USAGE}`);
  // npm runs scripts in the package's folder, wherever it was called.
  const here = process.env.INIT_CWD ?? process.cwd();
  return { file: file === undefined ? undefined : resolve(here, file), keep: values.keep };
}

function parse(args: readonly string[]) {
  try {
    const options = { keep: { type: "boolean", default: false }, help: { type: "boolean", default: false } } as const;
    return parseArgs({ args: [...args], allowPositionals: true, options });
  } catch (error) {
    throw new Refusal(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}
