import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";

const programs = join(__dirname, "../../dist/programs");

/** examples/electron, started as Electron would, with this test as its window. */
export class Application {
  /** Resolves when the process is gone. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  printed = "";
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, { resolve: (answer: unknown) => void; reject: (error: Error) => void }>();
  readonly #sent: string[] = [];
  readonly #watchers = new Set<() => void>();
  #lastId = 0;

  constructor(
    environment: { CLIENT_ID: string; DELIVERY_SERVICE: string; USER_DATA: string } & Record<string, string>,
  ) {
    this.#child = fork(join(programs, "examples/electron/main.js"), [], {
      env: { ...process.env, ...environment },
      execArgv: ["--import", join(programs, "__tests__/programs/electron/register.js")],
      serialization: "advanced",
      silent: true,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (part: string) => {
        this.printed += part;
        this.#look();
      });
    }
    this.#child.on("message", (message: Reply) => this.#take(message));
    this.ended = new Promise((resolve) =>
      this.#child.once("close", (code, signal) => {
        for (const { reject } of this.#asked.values()) reject(new Error(`The application has ended. ${this.printed}`));
        resolve({ code, signal });
      }),
    );
  }

  /** Invokes a channel, as the window would when it is loaded. */
  async ask(channel: string, ...args: unknown[]): Promise<unknown> {
    await this.told("loaded");
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      this.#child.send({ id, channel, args }, (error) => {
        if (error) reject(error);
      });
    });
  }

  /** Lets something happen to `app`. */
  happens(event: "quit" | "second-instance" | "window-all-closed"): void {
    this.#child.send({ channel: event });
  }

  /** Resolves when this was sent to the window. */
  async told(channel: string): Promise<void> {
    await this.#until(() => this.#sent.includes(channel));
  }

  /** Resolves when it stands where it was told to stop. */
  async stopped(): Promise<void> {
    await this.#until(() => this.printed.includes("stopped"));
  }

  /** Asks this channel now and after each change, until the answer is right. Answers it. */
  async until(channel: string, args: unknown[], isRight: (answer: never) => boolean): Promise<unknown> {
    for (;;) {
      const seen = this.#sent.length;
      const answer = await this.ask(channel, ...args);
      if (isRight(answer as never)) return answer;
      await this.#until(() => this.#sent.length > seen);
    }
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }

  #take(reply: Reply): void {
    if ("sent" in reply) {
      this.#sent.push(reply.sent);
      this.#look();
      return;
    }
    const asked = this.#asked.get(reply.id);
    this.#asked.delete(reply.id);
    if ("failure" in reply) asked?.reject(new Error(reply.failure));
    else asked?.resolve(reply.answer);
  }

  #look(): void {
    for (const look of this.#watchers) look();
  }

  #until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
}

type Reply = { sent: string } | { id: number; answer: unknown } | { id: number; failure: string };
