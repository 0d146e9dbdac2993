import { inspectMessage } from "conclave-mls";
import type { Cast } from "./cast.js";
import { filesIn } from "./files.js";
import { messageIdOf } from "./message-list.js";
import { inParts } from "./parts.js";
import type { PersonProcess } from "./person-process.js";
import type { Progress } from "./progress.js";
import { GROUP } from "./protocol.js";
import type { DemoRecord, KeyUpdate } from "./record.js";
import { Stage } from "./stage.js";

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
  const stage = new Stage(cast, progress);
  const trio = [alice, bob, carol];
  const two = [alice, bob];
  const withDave = [...two, dave];
  const withEve = [...withDave, eve];

  await stage.act("alice creates a group with bob and carol", { for: trio, epoch: 1n }, async () => {
    await Promise.all(everybody.filter((person) => person !== dave).map((person) => person.ask("publishKeyPackages")));
    await alice.ask("createGroup", ["bob", "carol"]);
  });

  await stage.act("they speak in turns", { for: trio, epoch: 1n }, () => stage.inTurns(parts.inTurns, trio));

  let conflict: KeyUpdate[] = [];
  await stage.act("all at once; bob and carol change the group", { for: trio, epoch: 3n }, async () => {
    const said = stage.atOnce(parts.whileTheGroupChanges, trio);
    [conflict] = await Promise.all([updateKeysAtTheSameMoment(bob, carol), said]);
  });

  const killing = "all at once; bob is killed, and comes back";
  const kill = await stage.act(killing, { for: trio, epoch: 3n }, () =>
    stage.atOnceWithAKill(parts.whileBobIsKilled, bob, [alice, carol]),
  );

  const crossing = "alice sends a file";
  const file = await stage.act(crossing, { for: trio, epoch: 3n }, () => stage.sendFile(path, alice, [bob, carol]));

  await stage.act("alice removes carol", { for: trio, epoch: 4n }, () => alice.ask("remove", "carol"));
  await stage.act("alice and bob go on", { for: two, epoch: 4n }, () => stage.inTurns(parts.withoutCarol, two));

  const beforeDave = await messagesSince(0n, cast);
  await stage.act("dave joins from outside", { for: withDave, epoch: 5n }, () => dave.ask("joinFromOutside"));
  await stage.act("dave reads along and speaks", { for: withDave, epoch: 5n }, () =>
    stage.inTurns(parts.withDave, withDave),
  );

  const beforeEve = await messagesSince(0n, cast);
  await stage.act("dave invites eve", { for: withEve, epoch: 6n }, () => dave.ask("invite", "eve"));
  await stage.act("all four speak", { for: withEve, epoch: 6n }, () => stage.inTurns(parts.withEve, withEve));

  const beforeJoining = [await dave.ask("tryToRead", beforeDave), await eve.ask("tryToRead", beforeEve)];
  const afterRemoval = {
    ...(await carol.ask("tryToRead", await messagesSince(4n, cast))),
    writing: await carol.ask("tryToWrite"),
  };
  const order = (await messagesSince(0n, cast)).map(messageIdOf);
  const reports = await Promise.all(everybody.map((person) => person.ask("report")));
  const exits = await cast.leave();
  const files = await filesIn(cast.folder, lines);
  return {
    acts: stage.acts,
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
