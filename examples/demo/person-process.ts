import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { DatabaseKey } from "conclave-mls";
import type { Commands, Introduction, Reading, Reply, Request } from "./protocol.js";

/** So long may somebody who was asked something give no sign of life, in milliseconds. */
const LONGEST_SILENCE = 60_000;

/** A person as the story sees them: a process, and after a crash another one on the same files. */
export class PersonProcess {
  readonly name: string;
  /** How the processes of this person ended so far, in turn: "code 0", or another code or a signal. */
  readonly exits: string[] = [];
  /** Called with every new amount that the person has read. */
  onRead: (reading: Reading) => void = () => {};
  readonly #folder: string;
  readonly #introduction: Introduction;
  readonly #asked = new Map<number, Asked>();
  #process: ChildProcess;
  #ended: Promise<unknown>;
  #lastId = 0;
  #over: Error | undefined;
  #final = false;
  #alarm: NodeJS.Timeout | undefined;

  constructor(name: string, folder: string, url: string) {
    this.name = name;
    this.#folder = folder;
    using key = DatabaseKey.generate();
    this.#introduction = { url, key: key.copyBytes() };
    [this.#process, this.#ended] = this.#start();
  }

  /** The id of the process, if it could be started. */
  get id(): number | undefined {
    return this.#process.pid;
  }

  /** Resolves when the process is gone. */
  get ended(): Promise<unknown> {
    return this.#ended;
  }

  /** Asks this person to do something, and resolves with the answer. Rejects when they fail, fall silent or die. */
  ask<C extends keyof Commands>(command: C, ...args: Parameters<Commands[C]>): ReturnType<Commands[C]>;
  ask(command: keyof Commands, ...args: readonly unknown[]): Promise<unknown> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const request: Request = { id: ++this.#lastId, command, args };
    return new Promise((resolve, reject) => {
      this.#asked.set(request.id, { command, resolve, reject });
      this.#process.send(request);
      this.#watch();
    });
  }

  /** Asks this person to close everything, and resolves when the process has ended. */
  async leave(): Promise<void> {
    await this.ask("leave");
    this.#process.disconnect();
    this.#alarm = setTimeout(() => this.kill(new Error(`${this.name}'s process does not end.`)), LONGEST_SILENCE);
    await this.#ended;
  }

  /** Kills the process in the middle of whatever it does, with SIGKILL. What it was asked rejects. */
  crash(): Promise<unknown> {
    this.#end(new Error(`${this.name}'s process was killed.`));
    this.#process.kill("SIGKILL");
    return this.#ended;
  }

  /** Starts another process on what the one that crashed has left. */
  startAnew(): void {
    if (this.#final) return;
    this.#over = undefined;
    [this.#process, this.#ended] = this.#start();
  }

  /** Ends the process at once, for good; whoever waits for an answer gets this reason. */
  kill(reason: Error): void {
    this.#final = true;
    this.#introduction.key.fill(0);
    this.#end(reason);
    this.#process.kill("SIGKILL");
  }

  #start(): [ChildProcess, Promise<unknown>] {
    const program = fileURLToPath(new URL("person.js", import.meta.url));
    const child = fork(program, [this.name, this.#folder], { serialization: "advanced" });
    child.on("message", (reply: Reply) => this.#take(reply));
    const exit = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(code === null ? `signal ${String(signal)}` : `code ${code}`));
    });
    const ended = exit.then((how) => {
      this.exits.push(how);
      this.#end(new Error(`${this.name}'s process ended too early: ${how}.`));
    });
    child.send(this.#introduction);
    return [child, ended];
  }

  #take(reply: Reply): void {
    if ("lines" in reply) {
      this.#watch();
      this.onRead(reply);
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
