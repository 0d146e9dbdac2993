import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { checkout } from "./machine.js";
import type { BareOperation } from "./measures.js";

/** The team of OpenMLS alone, in a process of its own: the program native/bare-openmls. */
export class BareTeam {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #complaints = "";

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#process = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#complaints += text));
    child.stdin.on("error", () => {}); // It has ended; that there is no answer tells so.
  }

  /** Builds the program where it is not built, and founds the group. */
  static async of(members: number): Promise<BareTeam> {
    const args = ["run", "--release", "--quiet", "--manifest-path", "native/Cargo.toml", "-p", "bare-openmls"];
    const child = spawn("cargo", [...args, "--", String(members)], { cwd: checkout });
    const team = new BareTeam(child);
    try {
      await once(child, "spawn");
    } catch (cause) {
      throw new Error("cargo could not be started: install Rust 1.91 or later (https://rustup.rs).", { cause });
    }
    await team.#answer();
    return team;
  }

  /** Does it once and tells how many microseconds it took, or each of many messages. */
  async micros(operation: BareOperation): Promise<number> {
    this.#process.stdin.write(`${operation}\n`);
    const { micros } = await this.#answer();
    if (micros === undefined) throw new Error(`bare-openmls does not know the operation ${operation}.`);
    return micros;
  }

  /** Ends the process. */
  async leave(): Promise<void> {
    const { exitCode, signalCode, stdin } = this.#process;
    if (exitCode !== null || signalCode !== null) return;
    const left = once(this.#process, "close");
    stdin.end();
    await left;
  }

  async #answer(): Promise<{ micros?: number }> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`bare-openmls ended too early.\n${this.#complaints}`);
    return JSON.parse(line.value) as { micros?: number };
  }
}
