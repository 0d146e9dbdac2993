import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { root } from "./files.mjs";

/**
 * Runs a command in the checkout, with one line that says what goes on and for how long. Its own output is shown only when it
 * fails; the lines of it are the answer. `detail` may turn a line the command prints into a few words for that one line, `hint` all it printed into a sentence of advice.
 */
export async function run(title, command, args, { detail = () => undefined, hint = () => undefined } = {}) {
  const progress = showProgress(title);
  const output = [];
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on("line", (line) => {
      const words = detail(line);
      if (words === undefined) output.push(line);
      else progress.detail(words);
    });
  }
  const stop = () => child.kill();
  const interrupted = () => process.exit(130); // Runs the exit handlers, which take the lock away.
  process.on("exit", stop).on("SIGINT", interrupted).on("SIGTERM", interrupted);
  const status = await new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message)).on("close", (code, signal) => resolve(code ?? signal));
  });
  process.off("exit", stop).off("SIGINT", interrupted).off("SIGTERM", interrupted);

  progress.end(status === 0);
  if (status !== 0) {
    const advice = hint(output.join("\n")) ?? [];
    throw new Error([...output, `${[command, ...args].join(" ")} failed (${status}).`].concat(advice).join("\n"));
  }
  return output;
}

function showProgress(title) {
  const start = performance.now();
  const inPlace = process.stdout.isTTY;
  let detail = "";
  const line = () => `${title}: ${Math.round((performance.now() - start) / 1000)} s${detail}`;
  const show = () => process.stdout.write(inPlace ? `\r\x1b[K${line()}` : `${line()}\n`);
  process.stdout.write(inPlace ? title : `${title}\n`);
  const timer = setInterval(show, inPlace ? 1_000 : 15_000);
  return {
    detail(words) {
      detail = `, ${words}`;
    },
    end(succeeded) {
      clearInterval(timer);
      detail = succeeded ? ", done" : ", failed";
      show();
      if (inPlace) process.stdout.write("\n");
    },
  };
}

/** Whether one of these programs is on the PATH. */
export function isInstalled(...programs) {
  const endings = process.platform === "win32" ? [".exe", ".cmd", ".bat"] : [""];
  const folders = (process.env.PATH ?? "").split(delimiter);
  return programs.some((program) =>
    folders.some((folder) => endings.some((end) => existsSync(join(folder, program + end)))),
  );
}

/** What a command prints, or undefined when it cannot be run or fails. */
export function answerOf(command, ...args) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout : undefined;
}
