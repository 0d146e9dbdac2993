import { inspectMessage } from "conclave-mls";
import type { Cast } from "./cast.js";
import { digestOf } from "./file-chunks.js";
import { filesIn } from "./files.js";
import { messageIdOf } from "./message-list.js";
import { inParts } from "./parts.js";
import type { PersonProcess } from "./person-process.js";
import type { Progress } from "./progress.js";
import { type Cue, GROUP } from "./protocol.js";
import type { Act, DemoRecord, FileCrossing, Kill, KeyUpdate, Line, ReadingAttempt } from "./record.js";

/**
 * Plays the whole story with these lines and the file at that path. Afterwards everybody has gone, and only their files are left.
 */
export async function play(
  cast: Cast,
  lines: readonly string[],
  path: string,
  progress: Progress,
): Promise<DemoRecord> {
  const { alice, bob, carol, dave, eve, everybody } = cast;
  const parts = inParts(lines);
  const story = new Story(cast, progress);
  const [three, two] = [
    [alice, bob, carol],
    [alice, bob],
  ];

  await story.act("alice creates a group with bob and carol", { for: three, epoch: 1n }, async () => {
    await Promise.all(everybody.filter((person) => person !== dave).map((person) => person.ask("publishKeyPackages")));
    await alice.ask("createGroup", ["bob", "carol"]);
  });

  await story.act("they speak in turns", { for: three, epoch: 1n }, () => story.inTurns(parts.inTurns, three));

  let conflict: KeyUpdate[] = [];
  await story.act("all at once; bob and carol change the group", { for: three, epoch: 3n }, async () => {
    const said = story.atOnce(parts.whileTheGroupChanges, three);
    [conflict] = await Promise.all([updateKeysAtTheSameMoment(bob, carol), said]);
  });

  const killing = "all at once; bob is killed, and comes back";
  const kill = await story.act(killing, { for: three, epoch: 3n }, () =>
    story.atOnceWithAKill(parts.whileBobIsKilled, bob, [alice, carol]),
  );

  const crossing = "alice sends a file";
  const file = await story.act(crossing, { for: three, epoch: 3n }, () => story.sendFile(path, alice, [bob, carol]));

  await story.act("alice removes carol", { for: three, epoch: 4n }, () => alice.ask("remove", "carol"));
  await story.act("alice and bob go on", { for: two, epoch: 4n }, () => story.inTurns(parts.withoutCarol, two));

  const beforeDave = await messagesSince(0n, cast);
  await story.act("dave joins from outside", { for: [...two, dave], epoch: 5n }, () => dave.ask("joinFromOutside"));
  const four = [...two, dave, eve];
  await story.act("dave reads along and speaks", { for: [...two, dave], epoch: 5n }, () =>
    story.inTurns(parts.withDave, [...two, dave]),
  );

  const beforeEve = await messagesSince(0n, cast);
  await story.act("dave invites eve", { for: four, epoch: 6n }, () => dave.ask("invite", "eve"));
  await story.act("all four speak", { for: four, epoch: 6n }, () => story.inTurns(parts.withEve, four));

  const beforeJoining: ReadingAttempt[] = [
    await dave.ask("tryToRead", beforeDave),
    await eve.ask("tryToRead", beforeEve),
  ];
  const afterRemoval = {
    ...(await carol.ask("tryToRead", await messagesSince(4n, cast))),
    writing: await carol.ask("tryToWrite"),
  };
  const order = (await messagesSince(0n, cast)).map(messageIdOf);
  const reports = await Promise.all(everybody.map((person) => person.ask("report")));
  const exits = await cast.leave();
  const files = await filesIn(cast.folder, lines);
  return {
    acts: story.acts,
    conflict,
    kill: { ...kill, act: killing },
    file: { ...file, act: crossing },
    order,
    reports,
    beforeJoining,
    afterRemoval,
    exits,
    files,
  };
}

/** What has been played so far. */
class Story {
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

/**
 * Both make a commit, and neither sends it before the other has made theirs too. So both are for the same epoch, and the delivery
 * service can accept only one: whoever comes second is told to retry, and builds the change anew on top of the other.
 */
async function updateKeysAtTheSameMoment(...people: readonly PersonProcess[]): Promise<KeyUpdate[]> {
  const madeFor = await Promise.all(people.map((person) => person.ask("prepareKeyUpdate")));
  const sent = await Promise.all(people.map((person) => person.ask("sendKeyUpdate")));
  return people.flatMap(({ name: by }, place) => {
    const [epoch, result] = [madeFor[place], sent[place]];
    return epoch === undefined || result === undefined ? [] : [{ by, madeFor: epoch, ...result }];
  });
}

/** What was said from this epoch on, as the delivery service has it. */
async function messagesSince(epoch: bigint, { service, alice }: Cast): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = [];
  for (let after = 0; ;) {
    const entries = await service.fetch(alice.name, GROUP, { fromEpoch: epoch, after });
    const last = entries.at(-1);
    if (last === undefined) return messages;
    after = last.sequence;
    messages.push(...entries.map(({ bytes }) => bytes).filter((bytes) => inspectMessage(bytes).kind === "message"));
  }
}

function share(cues: readonly Cue[], place: number, people: number): Cue[] {
  return cues.filter((_, index) => index % people === place);
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
