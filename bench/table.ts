import { type Measure, measures } from "./measures.js";
import type { GroupReport, Report } from "./report.js";
import type { Summary } from "./statistics.js";

/** The report for people. */
export function table({ date, version, commit, machine, seconds, groups, expectations }: Report): string {
  const { processor, cores, memoryGiB, system, node, loadBefore, fsyncMicros, onDisk } = machine;
  return [
    `conclave-mls ${version}, commit ${commit}, ${date.slice(0, 10)}, in ${Math.round(seconds)} s`,
    `${cores} × ${processor}, ${memoryGiB} GiB, ${system}, Node ${node.slice(1)}`,
    `load before ${loadBefore.toFixed(1)}; a write of 4 KiB that waits for the disk: ${microseconds(fsyncMicros)}`,
    ...(onDisk ? [] : ["The keystores were in memory, not on a disk: set TMPDIR to a folder on one."]),
    ...groups.flatMap((group) => ["", ...groupTable(group)]),
    "",
    ...expectations.map(
      ({ what, unit, limit, value, met }) =>
        `${met ? "met    " : "NOT met"} ${what}: ${value} ${unit} (up to ${limit})`,
    ),
  ].join("\n");
}

function groupTable({ members, rounds, measures: found, blocked }: GroupReport): string[] {
  const head = [`${members} members, ${rounds} rounds`, "median", "min", "90 %", "OpenMLS", "min", "factor", "blocked"];
  const rows = measures.map(({ name, title }: Measure) => {
    const { conclave, bare } = found.find((one) => one.name === name) ?? {};
    const longest = blocked.find((one) => one.name === name)?.summary.max;
    return [
      title,
      ...[conclave?.median, conclave?.min, conclave?.p90, bare?.median, bare?.min].map(microseconds),
      conclave && bare ? factor(conclave, bare) : "",
      milliseconds(longest),
    ];
  });
  const idle = blocked.find(({ name }) => name === "idle")?.summary.max;
  return aligned([head, ...rows, ["nothing", ...Array.from({ length: 6 }, () => ""), milliseconds(idle)]]);
}

function factor(conclave: Summary, bare: Summary): string {
  return (conclave.median / bare.median).toFixed(2);
}

/** With three digits that mean something. */
function microseconds(value: number | undefined): string {
  if (value === undefined) return "";
  if (value >= 1000) return `${Number((value / 1000).toPrecision(3))} ms`;
  return `${Number(value.toPrecision(3))} µs`;
}

function milliseconds(value: number | undefined): string {
  return value === undefined ? "" : `${value.toFixed(1)} ms`;
}

/** Columns as wide as what is in them, all but the first to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(width(0)) : cell.padStart(width(column)))).join("   "),
  );
}
