import type { Cast } from "./cast.js";
import { digestOf } from "./file-chunks.js";
import type { PersonProcess } from "./person-process.js";
import type { Progress } from "./progress.js";
import type { Cue } from "./protocol.js";
import type { Act, FileCrossing, Kill, Line } from "./record.js";

/** Plays one act after the other, and keeps what happened in each. */
export class Stage {
  readonly acts: Act[] = [];
  readonly #cast: Cast;
  readonly #progress: Progress;
  /** How many lines were said to each person before this act. */
  readonly #heard = new Map<PersonProcess, number>();
  #said: Line[] = [];

  constructor(cast: Cast, progress: Progress) {
    this.#cast = cast;
    this.#progress = progress;
  }

  /** Plays a scene, and waits until those for whom it is have read every line and see the group in that epoch. */
  async act<R>(
    title: string,
    goal: { for: readonly PersonProcess[]; epoch: bigint },
    scene: () => Promise<R>,
  ): Promise<R> {
    this.#progress.begin(title, goal.for);
    const start = performance.now();
    this.#said = [];
    const result = await scene();
    const standings = await this.#everythingRead(goal.for, goal.epoch);
    const act = { title, seconds: secondsSince(start), said: this.#said, standings };
    for (const person of goal.for) this.#heard.set(person, this.#linesFor(person));
    this.acts.push(act);
    this.#progress.end(act);
    return result;
  }

  /** One line each, and the next when everybody has read it. */
  async inTurns(cues: readonly Cue[], people: readonly PersonProcess[]): Promise<void> {
    for (const [place, cue] of cues.entries()) {
      const speaker = people[place % people.length];
      if (speaker === undefined) return;
      this.#said.push(...(await speaker.ask("say", [cue])));
      await this.#everythingRead(people);
    }
  }

  /** Everybody says a share of the lines, as fast as they can. */
  async atOnce(cues: readonly Cue[], people: readonly PersonProcess[]): Promise<void> {
    const said = people.map((person, place) => person.ask("say", share(cues, place, people.length)));
    this.#said.push(...(await Promise.all(said)).flat());
  }

  /**
   * The same; but in the middle of it one of them is killed, and started anew while the others speak on. Asked once more to say the
   * same, the new process says what is left, and sends again what may not have arrived.
   */
  async atOnceWithAKill(
    cues: readonly Cue[],
    victim: PersonProcess,
    others: readonly PersonProcess[],
  ): Promise<Omit<Kill, "act">> {
    const mine = share(cues, others.length, others.length + 1);
    const theirs = others.map((person, place) => person.ask("say", share(cues, place, others.length + 1)));
    const [kill, ...said] = await Promise.all([this.#killInTheMiddle(mine, victim), ...theirs]);
    this.#said.push(...said.flat(), ...(await victim.ask("say", mine)));
    return kill;
  }

  async #killInTheMiddle(cues: readonly Cue[], victim: PersonProcess): Promise<Omit<Kill, "act">> {
    const killed = victim.id ?? 0;
    const moment = await Promise.race([
      this.#cast.ambush.lieInWaitFor(victim, cues.length),
      victim.ask("say", cues).then(() => Promise.reject(new Error(`${victim.name} got away.`))),
    ]);
    const start = performance.now();
    await victim.ended;
    victim.startAnew();
    await victim.ask("reached", { lines: 0 });
    return { ...moment, processes: [killed, victim.id ?? 0], secondsAway: secondsSince(start) };
  }

  /** One sends a file, and the others receive it. */
  async sendFile(
    path: string,
    sender: PersonProcess,
    readers: readonly PersonProcess[],
  ): Promise<Omit<FileCrossing, "act">> {
    const file = await digestOf(path);
    this.#progress.expectFile(file, readers);
    const [{ messageIds }, ...received] = await Promise.all([
      sender.ask("sendFile", path),
      ...readers.map(async (reader) => ({ by: reader.name, ...(await reader.ask("fileArrived")) })),
    ]);
    return { ...file, by: sender.name, messageIds, received };
  }

  #everythingRead(people: readonly PersonProcess[], epoch = 0n) {
    return Promise.all(people.map((person) => person.ask("reached", { lines: this.#linesFor(person), epoch })));
  }

  #linesFor(person: PersonProcess): number {
    return (this.#heard.get(person) ?? 0) + this.#said.length;
  }
}

function share(cues: readonly Cue[], place: number, people: number): Cue[] {
  return cues.filter((_, index) => index % people === place);
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
