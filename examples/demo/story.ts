import { createHash } from "node:crypto";
import { inspectMessage } from "conclave-mls";
import type { Cast } from "./cast.js";
import { filesIn } from "./files.js";
import type { PersonProcess } from "./person-process.js";
import type { Progress } from "./progress.js";
import { GROUP } from "./protocol.js";
import type { Act, DemoRecord, KeyUpdate, Line } from "./record.js";

/** Plays the whole story with these lines. Afterwards everybody has gone, and only their files are left. */
export async function play(cast: Cast, lines: readonly string[], progress: Progress): Promise<DemoRecord> {
  const { alice, bob, carol, everybody } = cast;
  const [first, second, third] = inThree(lines);
  const story = new Story(progress);

  await story.act("alice creates a group with bob and carol", { for: everybody, epoch: 1n }, async () => {
    await Promise.all(everybody.map((person) => person.ask("publishKeyPackages")));
    await alice.ask("createGroup", ["bob", "carol"]);
  });

  await story.act("they speak in turns", { for: everybody, epoch: 1n }, () => story.inTurns(first, everybody));

  let conflict: KeyUpdate[] = [];
  await story.act("all at once; bob and carol change the group", { for: everybody, epoch: 3n }, async () => {
    [conflict] = await Promise.all([updateKeysAtTheSameMoment(bob, carol), story.atOnce(second, everybody)]);
  });

  await story.act("alice removes carol", { for: everybody, epoch: 4n }, () => alice.ask("remove", "carol"));

  await story.act("alice and bob go on", { for: [alice, bob], epoch: 4n }, () => story.inTurns(third, [alice, bob]));
  const afterRemoval = await carol.ask("tryToTakePart", await messagesSince(4n, cast));

  const order = (await messagesSince(0n, cast)).map((bytes) => createHash("sha256").update(bytes).digest("hex"));
  const reports = await Promise.all(everybody.map((person) => person.ask("report")));
  const exits = await cast.leave();
  const files = await filesIn(cast.folder, lines);
  return { acts: story.acts, conflict, order, reports, afterRemoval, exits, files };
}

/** What has been played so far. */
class Story {
  readonly acts: Act[] = [];
  readonly #progress: Progress;
  #said: Line[] = [];
  #linesBefore = 0;

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  /** Plays a scene, and waits until those for whom it is have read every line and see the group in that epoch. */
  async act(
    title: string,
    goal: { for: readonly PersonProcess[]; epoch: bigint },
    scene: () => Promise<void>,
  ): Promise<void> {
    this.#progress.begin(title, goal.for);
    const start = performance.now();
    this.#said = [];
    await scene();
    const lines = this.#linesBefore + this.#said.length;
    const standings = await Promise.all(goal.for.map((person) => person.ask("reached", { lines, epoch: goal.epoch })));
    const act = { title, seconds: (performance.now() - start) / 1000, said: this.#said, standings };
    this.#linesBefore = lines;
    this.acts.push(act);
    this.#progress.end(act);
  }

  /** One line each, and the next when everybody has read it. */
  async inTurns(lines: readonly string[], people: readonly PersonProcess[]): Promise<void> {
    for (const [place, line] of lines.entries()) {
      const speaker = people[place % people.length];
      if (speaker === undefined) return;
      this.#said.push(...(await speaker.ask("say", [line])));
      const read = this.#linesBefore + this.#said.length;
      await Promise.all(people.map((person) => person.ask("reached", { lines: read })));
    }
  }

  /** Everybody says every third line, as fast as they can. */
  async atOnce(lines: readonly string[], people: readonly PersonProcess[]): Promise<void> {
    const said = people.map((person, place) =>
      person.ask(
        "say",
        lines.filter((_, index) => index % people.length === place),
      ),
    );
    this.#said.push(...(await Promise.all(said)).flat());
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

function inThree(lines: readonly string[]): [string[], string[], string[]] {
  const part = Math.ceil(lines.length / 3);
  return [lines.slice(0, part), lines.slice(part, 2 * part), lines.slice(2 * part)];
}
