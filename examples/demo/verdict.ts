import type { Act, DemoRecord, EpochChange, Line } from "./record.js";

/** Something that must be, and what spoke against it: nothing if it is so. */
export interface Check {
  readonly what: string;
  readonly complaints: readonly string[];
}

/** Whether everything was as it must be. */
export function verdict(record: DemoRecord): Check[] {
  return [
    check("the delivery service has every line once", orderIsComplete(record)),
    check(
      "everybody read every line said while they were in the group, once, in the same order",
      everybodyRead(record),
    ),
    check("members of one epoch have the same epoch authenticator, others another", epochsAgree(record)),
    check(
      "bob and carol made commits for the same epoch: one was told to retry, both took effect",
      bothChanged(record),
    ),
    check("carol was removed, and can read and write nothing after it", removedIsOut(record)),
    check("nothing was rejected, lost, kept waiting or delivered twice", noTrouble(record)),
    check("no file has a line of the text in it", nothingReadable(record)),
    check("every process ended by itself", allEnded(record)),
  ];
}

/** The exit code of the demo: 0 if nothing speaks against any of it, else 1. */
export function exitCode(checks: readonly Check[]): 0 | 1 {
  return checks.every(({ complaints }) => complaints.length === 0) ? 0 : 1;
}

function check(what: string, complaints: Iterable<string>): Check {
  return { what, complaints: [...complaints] };
}

function* orderIsComplete({ acts, order }: DemoRecord): Iterable<string> {
  const said = acts.flatMap((act) => act.said);
  const known = new Set(order);
  const missing = said.filter(({ messageId }) => !known.has(messageId)).length;
  if (said.length === 0) yield "nothing was said";
  if (missing > 0) yield `${missing} lines are missing`;
  if (known.size !== order.length) yield `${order.length - known.size} lines are there more than once`;
  if (known.size > said.length - missing) yield `${known.size - (said.length - missing)} lines were said by nobody`;
}

function* everybodyRead({ acts, order, reports }: DemoRecord): Iterable<string> {
  for (const { name, list } of reports) {
    const expected = linesFor(name, acts, order);
    if (list.length !== expected.length) yield `${name} has ${list.length} lines instead of ${expected.length}`;
    const wrong = expected.findIndex((line, place) => !isSame(line, list[place]));
    if (wrong >= 0) yield `${name}'s line ${wrong + 1} is not the one that was said`;
  }
}

/** What was said in the acts at whose end this person was a member, in the server's order. */
function linesFor(name: string, acts: readonly Act[], order: DemoRecord["order"]): Line[] {
  const heard = acts.filter((act) => membersIn(act).some((member) => member.name === name));
  const said = new Map(heard.flatMap((act) => act.said).map((line) => [line.messageId, line]));
  return order.flatMap((messageId) => said.get(messageId) ?? []);
}

function isSame(line: Line, other: Line | undefined): boolean {
  return line.messageId === other?.messageId && line.by === other.by && line.text === other.text;
}

function membersIn(act: Act): { name: string; epoch: bigint; authenticator: string }[] {
  return act.standings.flatMap(({ name, epoch, authenticator }) =>
    authenticator === undefined ? [] : [{ name, epoch, authenticator }],
  );
}

function* epochsAgree({ acts }: DemoRecord): Iterable<string> {
  const known = new Map<bigint, string>();
  for (const act of acts) {
    const epochs = new Set(membersIn(act).map(({ epoch }) => epoch));
    if (epochs.size !== 1) yield `after "${act.title}" the members are in ${epochs.size} epochs`;
    for (const { name, epoch, authenticator } of membersIn(act)) {
      const expected = known.get(epoch) ?? authenticator;
      known.set(epoch, expected);
      if (authenticator !== expected) yield `after "${act.title}" ${name}'s authenticator is another one`;
    }
  }
  if (new Set(known.values()).size !== known.size) yield "two epochs have the same authenticator";
}

function* bothChanged({ conflict, reports }: DemoRecord): Iterable<string> {
  const [winner, loser] = [...conflict].sort((one, other) => Number(one.epoch - other.epoch));
  if (winner === undefined || loser === undefined) {
    yield "there were not two commits";
    return;
  }
  if (winner.madeFor !== loser.madeFor) yield `they were made for the epochs ${winner.madeFor} and ${loser.madeFor}`;
  if (winner.attempts !== 1) yield `${winner.by} was first, and yet needed ${winner.attempts} attempts`;
  if (loser.attempts < 2) yield `${loser.by} was second, and yet not told to retry`;
  for (const { name, changes } of reports) {
    for (const [{ by }, epoch] of [[winner, winner.madeFor + 1n] as const, [loser, winner.madeFor + 2n] as const]) {
      if (!updatedIn(epoch, changes).includes(by)) yield `for ${name}, epoch ${epoch} does not have new keys of ${by}`;
    }
  }
}

function updatedIn(epoch: bigint, changes: readonly EpochChange[]): readonly string[] {
  return changes.find((change) => change.epoch === epoch)?.updated ?? [];
}

function* removedIsOut({ acts, order, reports, afterRemoval }: DemoRecord): Iterable<string> {
  const { name, fetched, results, writing } = afterRemoval;
  for (const report of reports) {
    const removals = report.changes.flatMap(({ removed }) => removed);
    if (removals.join() !== name) yield `for ${report.name}, the removed are: ${removals.join(", ") || "nobody"}`;
  }
  const later = order.length - linesFor(name, acts, order).length;
  if (later === 0) yield `nothing was said after ${name} was removed`;
  if (fetched > 0) yield `the delivery service gave ${name} ${fetched} messages`;
  if (results.length !== later) yield `${name} was handed ${results.length} of ${later} later messages`;
  const other = results.filter((result) => result !== "unreadable: removed");
  if (other.length > 0) yield `${name} was handed later messages, and for ${other.length} the result was: ${other[0]}`;
  if (writing !== "CONVERSATION_INACTIVE") yield `${name} tried to write, and the result was: ${writing}`;
}

function* noTrouble({ reports }: DemoRecord): Iterable<string> {
  for (const { name, again, trouble } of reports) {
    if (again > 0) yield `${name} got ${again} lines twice`;
    yield* trouble.map((what) => `${name}: ${what}`);
  }
}

function* nothingReadable({ files }: DemoRecord): Iterable<string> {
  for (const { name, readableLines } of files) {
    if (readableLines > 0) yield `${name} has ${readableLines} lines that everybody can read`;
  }
}

function* allEnded({ exits, reports }: DemoRecord): Iterable<string> {
  for (const { name } of reports) {
    if (exits[name] !== "code 0") yield `${name}: ${exits[name] ?? "still running"}`;
  }
}
