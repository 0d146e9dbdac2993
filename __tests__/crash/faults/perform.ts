import type { Control, Fault } from "../io/control.js";
import { play, type Step } from "./play.js";
import { isDiskFailure, Scene } from "./scene.js";

/** How the play goes on after the first failure. */
export type Way =
  /** The fault was there once; the same call is made again. */
  | "again"
  /** The fault stays for another call, then it is gone, and the same session goes on. */
  | "wait"
  /** The session is closed while the fault is still there, and opened again when it is gone. */
  | "reopen";

/** What came of one performance. */
export interface Performance {
  /** Whether the fault came at all; when not, there are not so many operations. */
  readonly fired: boolean;
  /** The steps that failed at first. */
  readonly failed: readonly string[];
  /** Those after which the session had to be opened again although that was not the plan. */
  readonly reopened: readonly string[];
  readonly wrong: readonly string[];
}

/** Plays everything, with this fault to the keystore's files on the way. */
export async function perform(
  path: string,
  control: Control,
  fault: Omit<Fault, "lasting">,
  way: Way,
): Promise<Performance> {
  await using scene = await Scene.set(path);
  const stage = new Stage(scene, control, way);
  control.arm({ ...fault, lasting: way !== "again" });
  try {
    for (const step of play()) await stage.plays(step);
    await stage.epilogue();
  } catch (error) {
    scene.wrong.push(describe(error));
  }
  return { fired: stage.fired, failed: stage.failed, reopened: stage.reopened, wrong: scene.wrong };
}

class Stage {
  readonly failed: string[] = [];
  readonly reopened: string[] = [];
  fired = false;
  readonly #scene: Scene;
  readonly #control: Control;
  readonly #way: Way;

  constructor(scene: Scene, control: Control, way: Way) {
    this.#scene = scene;
    this.#control = control;
    this.#way = way;
  }

  async plays(step: Step): Promise<void> {
    const scene = this.#scene;
    const before = scene.isOpen ? await this.#state() : undefined;
    const failure = await this.#tries(step);
    this.fired ||= this.#control.fired > 0;
    scene.looksBeforeSends = this.fired;
    if (failure === undefined) return;
    this.failed.push(step.name);

    if (this.#way === "wait" && (await this.#tries(step)) === undefined) {
      this.#control.disarm();
      return;
    }
    if (this.#way === "reopen") await this.#reopens();
    this.#control.disarm();
    if (step.whole && before !== undefined && scene.isOpen) {
      const after = await this.#state();
      // What failed at the very last may be found when the files are opened again.
      if (after !== before && this.#way !== "reopen")
        scene.wrong.push(`${step.name} failed and left half of it: ${before} became ${after ?? "unreadable"}`);
    }
    if ((await this.#tries(step)) === undefined) return;
    this.reopened.push(step.name);
    await this.#reopens();
    await step.work(scene);
  }

  /** The fault is long gone: what was said can be read, and what is stored is stored. */
  async epilogue(): Promise<void> {
    const scene = this.#scene;
    this.#control.disarm();
    await scene.bobReads();
    await scene.open();
    const team = scene.alice.conversation("team");
    await scene.says(team, "the end");
    await team.updateKeys();
    await scene.bobReads();
    const [hers, his] = [await team.epochAuthenticator(), await scene.bob.conversation("team").epochAuthenticator()];
    if (!Buffer.from(hers).equals(his)) scene.wrong.push("alice and bob do not agree in the end");
    await scene.close();
  }

  /** The failure, which must be a disk's; undefined when there was none. */
  async #tries(step: Step): Promise<{ error: unknown } | undefined> {
    try {
      await step.work(this.#scene);
      return undefined;
    } catch (error) {
      if (!isDiskFailure(error)) this.#scene.wrong.push(`${step.name}: ${describe(error)}`);
      return { error };
    }
  }

  async #reopens(): Promise<void> {
    await this.#scene.close().catch((error: unknown) => {
      if (!isDiskFailure(error)) this.#scene.wrong.push(`close: ${describe(error)}`);
    });
    this.#control.disarm();
    await this.#scene.open();
  }

  async #state(): Promise<string | undefined> {
    try {
      return await this.#scene.state();
    } catch (error) {
      if (!isDiskFailure(error)) this.#scene.wrong.push(`reading the state: ${describe(error)}`);
      return undefined;
    }
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? `${String(error.code)} ` : "";
  return `${code}${error.message}${error.cause === undefined ? "" : ` (${describe(error.cause)})`}`;
}
