import type { Act, DemoRecord, PersonReport } from "./record.js";
import { inMebibytes } from "./table.js";

/** The record as a picture shows it: acts side by side, epochs above them, and a row for each person. */
export interface Timeline {
  readonly acts: readonly { readonly title: string; readonly seconds: number }[];
  readonly epochs: readonly EpochStart[];
  readonly rows: readonly Row[];
}

/** Where an epoch begins. */
export interface EpochStart {
  readonly epoch: bigint;
  readonly act: number;
  /** The how-manieth epoch that began in this act, from 0. */
  readonly place: number;
}

/** One person. */
export interface Row {
  readonly name: string;
  /** The acts in which this person came and was removed, undefined for whoever stayed. */
  readonly came: number;
  readonly left: number | undefined;
  /** What the person could do with what was said before or after, in a few words. */
  readonly elsewhere: string | undefined;
  /** One for each act. */
  readonly cells: readonly Cell[];
}

/** What one person did in one act. */
export interface Cell {
  readonly read: number;
  readonly said: number;
  readonly mark: Mark | undefined;
  /** What the mark means here, in a few words. */
  readonly note: string;
}

/** What is remarkable enough for a sign of its own. */
export type Mark = "founded" | "joined" | "changed" | "retried" | "killed" | "removed" | "sent" | "received";

/** Finds in the record what the picture shows. */
export function timelineOf(record: DemoRecord): Timeline {
  const { acts, reports } = record;
  return {
    acts,
    epochs: epochsOf(record),
    rows: reports.map((report) => rowOf(report, record)),
  };
}

function epochsOf({ acts, reports }: DemoRecord): EpochStart[] {
  const epochs = [...new Set(reports.flatMap(({ changes }) => changes.map(({ epoch }) => epoch)))];
  const starts = epochs
    .sort((one, other) => Number(one - other))
    .map((epoch) => ({ epoch, act: acts.findIndex((act) => epochAfter(act) >= epoch) }))
    .filter(({ act }) => act >= 0);
  return starts.map((start, index) => ({
    ...start,
    place: starts.slice(0, index).filter(({ act }) => act === start.act).length,
  }));
}

function epochAfter({ standings }: Act): bigint {
  return standings.reduce((last, { epoch }) => (epoch > last ? epoch : last), 0n);
}

function rowOf(report: PersonReport, record: DemoRecord): Row {
  const { name } = report;
  const { acts, beforeJoining, afterRemoval } = record;
  const standings = acts.map((act) => act.standings.find((standing) => standing.name === name));
  const left = standings.findIndex((standing) => standing !== undefined && standing.authenticator === undefined);
  const attempt = [...beforeJoining, afterRemoval].find((one) => one.name === name);
  const read = attempt?.results.filter((result) => result === "message").length;
  return {
    name,
    came: standings.findIndex((standing) => standing !== undefined),
    left: left < 0 ? undefined : left,
    elsewhere:
      attempt && `${left < 0 ? "earlier" : "later"} messages: ${attempt.results.length} handed over, ${read} read`,
    cells: acts.map((act, place) => cellOf(report, act, place, record)),
  };
}

function cellOf(report: PersonReport, act: Act, place: number, record: DemoRecord): Cell {
  const shown = new Set(report.list.map(({ messageId }) => messageId));
  const [mark, note] = markOf(report, act, place, record) ?? [undefined, ""];
  return {
    read: act.said.filter(({ messageId }) => shown.has(messageId)).length,
    said: act.said.filter(({ by }) => by === report.name).length,
    mark,
    note,
  };
}

function markOf(
  { name, changes }: PersonReport,
  act: Act,
  place: number,
  { acts, conflict, kill, file }: DemoRecord,
): [Mark, string] | undefined {
  const first = acts.findIndex(({ standings }) => standings.some((standing) => standing.name === name));
  if (place === first) {
    const ways = { created: "founded it", welcome: "by Welcome", external: "external commit", member: "" };
    const cause = changes[0]?.cause ?? "member";
    return [cause === "created" ? "founded" : "joined", ways[cause]];
  }
  const update = conflict.find(
    ({ by, epoch }) => by === name && acts.findIndex((one) => epochAfter(one) >= epoch) === place,
  );
  if (update !== undefined) return update.attempts > 1 ? ["retried", "new keys, retried"] : ["changed", "new keys"];
  if (kill.name === name && kill.act === act.title) return ["killed", `killed, ${kill.secondsAway.toFixed(1)} s away`];
  if (file.act !== act.title) return undefined;
  if (file.by === name) return ["sent", `sent ${inMebibytes(file.bytes)}`];
  const received = file.received.find(({ by }) => by === name);
  return received && ["received", `SHA-256 ${received.sha256 === file.sha256 ? "equal" : "differs"}`];
}
