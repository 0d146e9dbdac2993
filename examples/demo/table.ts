import type { Act, DemoRecord, KeyUpdate, PersonReport, ReadingAttempt } from "./record.js";
import type { Check } from "./verdict.js";

/** One line on an act that is over: its title, the epoch in the end, how many lines were said, and how long it took. */
export function describeAct({ title, seconds, said, standings }: Act): string {
  const epoch = standings[0]?.epoch ?? 0n;
  const lines = said.length === 0 ? "" : `${said.length} lines`;
  return `  ${title.padEnd(46)}epoch ${String(epoch).padEnd(4)}${lines.padStart(12)}${seconds.toFixed(2).padStart(9)} s`;
}

/** What came of it all: a row for each person, what was remarkable, and the verdict. */
export function summary(record: DemoRecord, checks: readonly Check[]): string {
  const events = remarkable(record).map((sentence) => `  ${sentence}`);
  return [aligned([columns, ...peopleRows(record)]), "", ...events, "", ...checks.flatMap(inLines)].join("\n");
}

/** What happened besides that everybody spoke and read, in sentences. */
export function remarkable({ conflict, kill, file, beforeJoining, afterRemoval, reports }: DemoRecord): string[] {
  const { processes, unacknowledged, secondsAway } = kill;
  const victim = reports.find(({ name }) => name === kill.name);
  const chunks = file.messageIds.length - 1;
  const same = file.received.filter(({ sha256 }) => sha256 === file.sha256).map(({ by }) => by);
  return [
    ...inTheirOrder(conflict).map(
      ({ by, madeFor, epoch, attempts }) =>
        `${by}'s commit was made for epoch ${madeFor}, and accepted in attempt ${attempts}: it began epoch ${epoch}.`,
    ),
    `${kill.name}'s process ${processes[0]} was killed with ${unacknowledged} messages unacknowledged, and process ` +
      `${processes[1]} went on after ${secondsAway.toFixed(2)} s: ${victim?.repeats ?? 0} of these it knew already.`,
    `${file.name}, ${inMebibytes(file.bytes)}, crossed in ${chunks} ${chunks === 1 ? "chunk" : "chunks"}; ` +
      `SHA-256 ${file.sha256.slice(0, 16)}… also for ${same.join(" and ") || "nobody"}.`,
    ...beforeJoining.map((attempt) => inVain(attempt, "From before the joining")),
    inVain(afterRemoval, "After the removal"),
  ];
}

function inTheirOrder(conflict: readonly KeyUpdate[]): KeyUpdate[] {
  return [...conflict].sort((one, other) => Number(one.epoch - other.epoch));
}

function inVain({ name, fetched, results }: ReadingAttempt, when: string): string {
  const read = results.filter((result) => result === "message").length;
  return `${when} the server gave ${name} ${fetched} messages. Handed ${results.length} all the same, ${name} could read ${read}.`;
}

/** A size for people. */
export function inMebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** "removed", or the epoch in which this person was last seen. */
function lastEpoch({ name }: PersonReport, acts: readonly Act[]): string {
  const last = acts.flatMap(({ standings }) => standings.filter((standing) => standing.name === name)).at(-1);
  return last?.authenticator === undefined ? "removed" : String(last.epoch);
}

/** How many lines were said in all. */
export function linesSaid(acts: readonly Act[]): number {
  return acts.reduce((sum, { said }) => sum + said.length, 0);
}

/** What is told of each person. */
export const columns = ["", "process", "said", "read", "last epoch", "told to retry", "keystore"] as const;

/** A row of these columns for each person. */
export function peopleRows({ reports, acts, files }: DemoRecord): string[][] {
  return reports.map((report) => {
    const said = report.list.filter(({ by }) => by === report.name).length;
    const file = files.find(({ name }) => name === `${report.name}.keystore`);
    return [
      report.name,
      String(report.process),
      String(said),
      `${report.list.length} of ${linesSaid(acts)}`,
      lastEpoch(report, acts),
      report.retries === 0 ? "" : `${report.retries} ×`,
      `${Math.ceil((file?.bytes ?? 0) / 1024)} KiB`,
    ];
  });
}

function inLines({ what, complaints }: Check): string[] {
  if (complaints.length === 0) return [`  ok      ${what}`];
  const FIRST = 5;
  const more = complaints.length > FIRST ? [`and ${complaints.length - FIRST} more`] : [];
  return [
    `  FAILED  ${what}`,
    ...[...complaints.slice(0, FIRST), ...more].map((complaint) => `            ${complaint}`),
  ];
}

/** Columns as wide as what is in them, all but the first to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(width(0)) : cell.padStart(width(column)))))
    .map((cells) => `  ${cells.join("   ")}`)
    .join("\n");
}
