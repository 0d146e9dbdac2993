import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { Control, DIES, EVERY_KIND } from "../io/control.js";
import { watched } from "../io/interposer.js";
import type { Report } from "./reports.js";
import { LONGEST_LIFE, type Occasion } from "./schedule.js";
import type { Orders } from "./worker.js";

/** A client in a process of its own, started again and again on the same keystore. */
export class Victim {
  readonly name: string;
  /** How often it was killed. */
  kills = 0;
  /** How often it was killed before its session was open. */
  killedWhileOpening = 0;
  readonly #program: string;
  readonly #orders: Omit<Orders, "seed" | "task">;
  readonly #control: string;
  readonly #hear: (report: Report) => void;
  #child: ChildProcess | undefined;
  #occasion: Occasion | undefined;
  #requests = 0;
  #sealed = 0;
  #open = false;

  /** `programs` is the folder of the compiled programs to run. */
  constructor(programs: string, orders: Omit<Orders, "seed" | "task">, hear: (report: Report) => void) {
    this.name = orders.name;
    this.#program = join(programs, "kills/worker.js");
    this.#orders = orders;
    this.#control = `${orders.path}.control`;
    this.#hear = hear;
  }

  /** Lives until it is killed on this occasion. Answers what was wrong about its end, if anything was. */
  async lives(seed: number, occasion: Occasion): Promise<string | undefined> {
    this.#occasion = occasion;
    const ending = await this.#run({ ...this.#orders, seed, task: "live" }, LONGEST_LIFE);
    this.#occasion = undefined;
    if (ending !== "SIGKILL") return `${this.name} ended by itself: ${ending}`;
    this.kills += 1;
    if (!this.#open) this.killedWhileOpening += 1;
    return undefined;
  }

  /** Does its task to the end, undisturbed. Answers what was wrong, if anything was. */
  async does(task: "finish" | "attend"): Promise<string | undefined> {
    const ending = await this.#run({ ...this.#orders, seed: 0, task }, 600_000);
    return ending === "0" ? undefined : `${this.name} could not ${task}: ${ending}`;
  }

  /** A request of this client has arrived. */
  requested(moment: "before" | "after"): void {
    if (this.#occasion?.at !== "request" || this.#occasion.moment !== moment) return;
    if (++this.#requests === this.#occasion.count) this.#kill();
  }

  #kill(): void {
    this.#child?.kill("SIGKILL");
  }

  async #run(orders: Orders, longest: number): Promise<string> {
    using control = new Control(this.#control);
    if (this.#occasion?.at === "operation")
      control.arm({ kinds: EVERY_KIND, at: this.#occasion.count, failure: DIES, lasting: true });
    this.#requests = this.#sealed = 0;
    this.#open = false;
    const child = spawn(process.execPath, [this.#program, JSON.stringify(orders)], {
      stdio: ["ignore", "ignore", "pipe", "pipe"],
      env: watched({ file: orders.path, control: this.#control }),
    });
    this.#child = child;
    let complaint = "";
    child.stderr!.setEncoding("utf8").on("data", (part: string) => (complaint += part));
    const lines = createInterface(child.stdio[3] as Readable);
    lines.on("line", (line) => this.#heard(line));
    const timer = setTimeout(() => this.#kill(), this.#occasion?.at === "time" ? this.#occasion.ms : longest);
    const [ending] = await Promise.all([
      new Promise<string>((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code, signal) => resolve(signal ?? String(code)));
      }),
      new Promise((resolve) => lines.on("close", resolve)),
    ]);
    clearTimeout(timer);
    return complaint === "" ? ending : `${ending}, saying ${complaint}`;
  }

  #heard(line: string): void {
    let report: Report;
    try {
      report = JSON.parse(line) as Report;
    } catch {
      return; // Killed in the middle of the line: what it was to tell was not told.
    }
    if (report.about === "open") this.#open = true;
    if (report.about === "sealed" && this.#occasion?.at === "sealed" && ++this.#sealed === this.#occasion.count)
      this.#kill();
    this.#hear(report);
  }
}
