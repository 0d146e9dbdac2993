import type { Act, DemoRecord, PersonReport } from "./record.js";
import type { Check } from "./verdict.js";

/** One line on an act that is over: its title, the epoch in the end, how many lines were said, and how long it took. */
export function describeAct({ title, seconds, said, standings }: Act): string {
  const epoch = standings[0]?.epoch ?? 0n;
  const lines = said.length === 0 ? "" : `${said.length} lines`;
  return `  ${title.padEnd(46)}epoch ${String(epoch).padEnd(4)}${lines.padStart(12)}${seconds.toFixed(2).padStart(9)} s`;
}

/** What came of it all: a row for each person, what the two commits and the removed person met with, and the verdict. */
export function summary(record: DemoRecord, checks: readonly Check[]): string {
  return [people(record), ...conflict(record), afterRemoval(record), "", ...checks.flatMap(inLines)].join("\n");
}

function people({ reports, order, acts, files }: DemoRecord): string {
  const head = ["", "process", "said", "read", "last epoch", "told to retry", "keystore"];
  const rows = reports.map((report) => {
    const said = report.list.filter(({ by }) => by === report.name).length;
    const file = files.find(({ name }) => name === `${report.name}.keystore`);
    return [
      report.name,
      String(report.process),
      String(said),
      `${report.list.length} of ${order.length}`,
      lastEpoch(report, acts),
      report.retries === 0 ? "" : `${report.retries} ×`,
      `${Math.ceil((file?.bytes ?? 0) / 1024)} KiB`,
    ];
  });
  return aligned([head, ...rows]);
}

function lastEpoch({ name }: PersonReport, acts: readonly Act[]): string {
  const last = acts.flatMap(({ standings }) => standings.filter((standing) => standing.name === name)).at(-1);
  return last?.authenticator === undefined ? "removed" : String(last.epoch);
}

function conflict({ conflict: commits }: DemoRecord): string[] {
  return commits.map(
    ({ by, madeFor, epoch, attempts }) =>
      `  ${by}'s commit was made for epoch ${madeFor}, and accepted in attempt ${attempts}: it began epoch ${epoch}.`,
  );
}

function afterRemoval({ afterRemoval: { name, fetched, results } }: DemoRecord): string {
  const read = results.filter((result) => result === "message").length;
  return `  After the removal the server gave ${name} ${fetched} messages. Handed ${results.length} all the same, ${name} could read ${read}.`;
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
