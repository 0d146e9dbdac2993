import type { Act, DemoRecord, EpochChange, Line, PersonReport } from "./record.js";

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
    check("bob was killed while he sent and received, and went on with nothing lost or twice", survivedTheKill(record)),
    check("the file arrived in chunks, with the SHA-256 that it had", fileArrived(record)),
    check("carol was removed, and can read and write nothing after it", removedIsOut(record)),
    check(
      "dave joined by an external commit, eve by a Welcome after him: they read from there on, and nothing from before",
      newcomersBegan(record),
    ),
    check("nothing was rejected, lost, kept waiting or delivered twice", noTrouble(record)),
    check("no file has a line of the text in it", nothingReadable(record)),
    check("every process ended by itself, but the one that was killed", allEnded(record)),
  ];
}

/** The exit code of the demo: 0 if nothing speaks against any of it, else 1. */
export function exitCode(checks: readonly Check[]): 0 | 1 {
  return checks.every(({ complaints }) => complaints.length === 0) ? 0 : 1;
}

function check(what: string, complaints: Iterable<string>): Check {
  return { what, complaints: [...complaints] };
}

function* orderIsComplete({ acts, order, file }: DemoRecord): Iterable<string> {
  const said = acts.flatMap((act) => act.said.map(({ messageId }) => messageId));
  const sent = new Set([...said, ...file.messageIds]);
  const known = new Set(order);
  const missing = said.filter((messageId) => !known.has(messageId)).length;
  const strange = [...known].filter((messageId) => !sent.has(messageId)).length;
  if (said.length === 0) yield "nothing was said";
  if (missing > 0) yield `${missing} lines are missing`;
  if (known.size !== order.length) yield `${order.length - known.size} messages are there more than once`;
  if (strange > 0) yield `${strange} messages were sent by nobody`;
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
  for (const { name, changes } of reports.filter(wasInWhen(winner.madeFor))) {
    for (const [{ by }, epoch] of [[winner, winner.madeFor + 1n] as const, [loser, winner.madeFor + 2n] as const]) {
      if (!updatedIn(epoch, changes).includes(by)) yield `for ${name}, epoch ${epoch} does not have new keys of ${by}`;
    }
  }
}

function updatedIn(epoch: bigint, changes: readonly EpochChange[]): readonly string[] {
  return changes.find((change) => change.epoch === epoch)?.updated ?? [];
}

function* removedIsOut({ acts, order, file, reports, afterRemoval }: DemoRecord): Iterable<string> {
  const { name, fetched, results, writing } = afterRemoval;
  for (const report of reports.filter(wasInWhen(1n))) {
    const removals = report.changes.flatMap(({ removed }) => removed);
    if (removals.join() !== name) yield `for ${report.name}, the removed are: ${removals.join(", ") || "nobody"}`;
  }
  const carried = new Set(file.messageIds);
  const later = order.filter((messageId) => !carried.has(messageId)).length - linesFor(name, acts, order).length;
  if (later === 0) yield `nothing was said after ${name} was removed`;
  if (fetched > 0) yield `the delivery service gave ${name} ${fetched} messages`;
  if (results.length !== later) yield `${name} was handed ${results.length} of ${later} later messages`;
  // Whoever was removed may be invited again: what is of later epochs waits for that.
  const other = results.filter((result) => result !== "unreadable: removed" && result !== "waiting for a welcome");
  if (other.length > 0) yield `${name} was handed later messages, and for ${other.length} the result was: ${other[0]}`;
  if (writing !== "CONVERSATION_INACTIVE") yield `${name} tried to write, and the result was: ${writing}`;
}

function* survivedTheKill({ acts, order, kill, reports, exits }: DemoRecord): Iterable<string> {
  const { name, unanswered, unacknowledged, processes } = kill;
  const [first] = exits[name] ?? [];
  if (first !== "signal SIGKILL") yield `${name}'s first process ended with ${first ?? "nothing"}`;
  if (processes[0] === processes[1]) yield `${name} went on in the same process`;

  const said = acts.find(({ title }) => title === kill.act)?.said ?? [];
  const place = order.indexOf(unanswered);
  const later = said.filter(({ messageId }) => order.indexOf(messageId) > place);
  if (!said.some(({ messageId, by }) => messageId === unanswered && by === name)) {
    yield `the line of ${name} that got no answer is not among those that were said`;
  }
  if (!later.some(({ by }) => by === name)) yield `${name} had nothing left to say`;
  if (!later.some(({ by }) => by !== name)) yield "the others had nothing left to say";
  if (unacknowledged === 0) yield `nothing was on its way to ${name}`;

  const report = reports.find((one) => one.name === name);
  if (report === undefined) return;
  const { list, again, repeats } = report;
  const times = list.filter(({ messageId }) => messageId === unanswered).length;
  if (times !== 1) yield `the line that got no answer is on ${name}'s list ${times} times`;
  if (repeats + again === 0) yield `nothing came to ${name} again`;
  if (again > unacknowledged) yield `${again} lines were delivered to ${name} twice`;
}

function* fileArrived({ order, file }: DemoRecord): Iterable<string> {
  const known = new Set(order);
  const missing = file.messageIds.filter((messageId) => !known.has(messageId)).length;
  if (file.messageIds.length < 2) yield "it was not sent in chunks";
  if (missing > 0) yield `${missing} chunks are missing at the delivery service`;
  if (file.received.length === 0) yield "nobody received it";
  for (const { by, name, bytes, sha256 } of file.received) {
    if (name !== file.name) yield `${by} has a file of another name`;
    if (bytes !== file.bytes) yield `${by} has ${bytes} bytes of ${file.bytes}`;
    if (sha256 !== file.sha256) yield `what ${by} has, has another SHA-256`;
  }
}

function* newcomersBegan({ acts, order, file, reports, beforeJoining }: DemoRecord): Iterable<string> {
  const ways = ["external", "welcome"] as const;
  let before = 0n;
  for (const [place, { name, fetched, results }] of beforeJoining.entries()) {
    const first = reports.find((report) => report.name === name)?.changes[0];
    if (first?.cause !== ways[place]) yield `${name} came by: ${first?.cause ?? "nothing"}`;
    if (first === undefined) continue;
    if (first.epoch <= before) yield `${name} came in epoch ${first.epoch}, and not after epoch ${before}`;
    before = first.epoch;
    for (const member of reports.filter(wasInWhen(first.epoch - 1n)).filter(wasInAt(first.epoch))) {
      const added = member.changes.find(({ epoch }) => epoch === first.epoch)?.added ?? [];
      if (added.join() !== name)
        yield `for ${member.name}, epoch ${first.epoch} added: ${added.join(", ") || "nobody"}`;
    }
    if (linesFor(name, acts, order).length === 0) yield `nothing was said after ${name} had joined`;
    if (fetched > 0) yield `the delivery service gave ${name} ${fetched} messages from before`;
    const earlier = saidBefore(first.epoch, acts) + file.messageIds.length;
    if (results.length !== earlier) yield `${name} was handed ${results.length} of ${earlier} earlier messages`;
    const other = results.filter((result) => result !== "unreadable: epoch-too-old");
    if (other.length > 0)
      yield `${name} was handed earlier messages, and for ${other.length} the result was: ${other[0]}`;
  }
  if (beforeJoining.length !== ways.length) yield `${beforeJoining.length} people came later`;
}

/** How many lines were said in the acts that ended before this epoch began. */
function saidBefore(epoch: bigint, acts: readonly Act[]): number {
  const earlier = acts.filter((act) => membersIn(act).every((member) => member.epoch < epoch));
  return earlier.reduce((sum, { said }) => sum + said.length, 0);
}

/** Whether somebody was in the group in this epoch, or before it. */
function wasInWhen(epoch: bigint) {
  return ({ changes }: PersonReport): boolean => changes.some((change) => change.epoch <= epoch);
}

/** Whether somebody saw this epoch begin. */
function wasInAt(epoch: bigint) {
  return ({ changes }: PersonReport): boolean => changes.some((change) => change.epoch === epoch);
}

function* noTrouble({ reports, kill }: DemoRecord): Iterable<string> {
  for (const { name, again, trouble } of reports) {
    if (again > 0 && name !== kill.name) yield `${name} got ${again} lines twice`;
    yield* trouble.map((what) => `${name}: ${what}`);
  }
}

function* nothingReadable({ files }: DemoRecord): Iterable<string> {
  for (const { name, readableLines } of files) {
    if (readableLines > 0) yield `${name} has ${readableLines} lines that everybody can read`;
  }
}

function* allEnded({ exits, reports, kill }: DemoRecord): Iterable<string> {
  for (const { name } of reports) {
    const [last, ...earlier] = [...(exits[name] ?? [])].reverse();
    if (last !== "code 0") yield `${name}: ${last ?? "still running"}`;
    if (earlier.length !== (name === kill.name ? 1 : 0)) yield `${name} had ${earlier.length + 1} processes`;
  }
}
