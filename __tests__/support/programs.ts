import { spawn } from "node:child_process";
import { resolve } from "node:path";

/** How a program ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of __tests__/programs in a process of its own, against the compiled package, until it ends by itself. */
export async function run(name: string, ...parameters: string[]): Promise<Ending> {
  return runWith([], name, ...parameters);
}

/** The same with options for Node. */
export async function runWith(options: string[], name: string, ...parameters: string[]): Promise<Ending> {
  const program = resolve(__dirname, "../../dist/programs/__tests__/programs", `${name}.js`);
  const child = spawn(process.execPath, [...options, program, ...parameters], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (stdout += part));
  child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code, signal) => done({ code, signal, stdout, stderr }));
  });
}
