import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Commands, Reply, Request } from "./protocol.js";

/** So long may somebody who was asked something give no sign of life, in milliseconds. */
const LONGEST_SILENCE = 60_000;

/** A person's process, as the story sees it. */
export class PersonProcess {
  readonly name: string;
  readonly id: number | undefined;
  /** Resolves when the process is gone: "code 0" if all went well, else another code or a signal. */
  readonly ended: Promise<string>;
  /** Called with every new number of lines that the person has read. */
  onRead: (lines: number) => void = () => {};
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;
  #over: Error | undefined;
  #alarm: NodeJS.Timeout | undefined;

  /** The url goes by the environment: everybody on this machine can see the arguments of a process. */
  constructor(name: string, folder: string, url: string) {
    this.name = name;
    const program = fileURLToPath(new URL("person.js", import.meta.url));
    const env = { ...process.env, DELIVERY_SERVICE: url };
    this.#child = fork(program, [name, folder], { env, serialization: "advanced" });
    this.id = this.#child.pid;
    this.#child.on("message", (reply: Reply) => this.#take(reply));
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve(error.message));
      this.#child.once("exit", (code, signal) => resolve(code === null ? `signal ${String(signal)}` : `code ${code}`));
    });
    void this.ended.then((how) => this.#end(new Error(`${name}'s process ended too early: ${how}.`)));
  }

  /** Asks this person to do something, and resolves with the answer. Rejects when they fail, fall silent or die. */
  ask<C extends keyof Commands>(command: C, ...args: Parameters<Commands[C]>): ReturnType<Commands[C]>;
  ask(command: keyof Commands, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const request: Request = { id: ++this.#lastId, command, args };
    return new Promise((resolve, reject) => {
      this.#asked.set(request.id, { command, resolve, reject });
      this.#child.send(request);
      this.#watch();
    });
  }

  /** Asks this person to close everything, and resolves with how the process ended. */
  async leave(): Promise<string> {
    await this.ask("leave");
    this.#child.disconnect();
    this.#alarm = setTimeout(() => this.kill(new Error(`${this.name}'s process does not end.`)), LONGEST_SILENCE);
    return this.ended;
  }

  /** Ends the process at once; whoever waits for an answer gets this reason. */
  kill(reason: Error): void {
    this.#end(reason);
    this.#child.kill("SIGKILL");
  }

  #take(reply: Reply): void {
    if ("read" in reply) {
      this.#watch();
      this.onRead(reply.read);
      return;
    }
    const asked = this.#asked.get(reply.id);
    this.#asked.delete(reply.id);
    this.#watch();
    if ("failure" in reply) asked?.reject(new Error(`${this.name} failed to ${asked.command}: ${reply.failure}`));
    else asked?.resolve(reply.answer);
  }

  #watch(): void {
    clearTimeout(this.#alarm);
    if (this.#asked.size === 0) return;
    const silent = new Error(`${this.name} has been silent for ${LONGEST_SILENCE / 1000} seconds.`);
    this.#alarm = setTimeout(() => this.kill(silent), LONGEST_SILENCE);
  }

  #end(reason: Error): void {
    this.#over ??= reason;
    clearTimeout(this.#alarm);
    for (const { reject } of this.#asked.values()) reject(this.#over);
    this.#asked.clear();
  }
}

interface Asked {
  readonly command: keyof Commands;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: Error) => void;
}
