import type { Machine } from "./machine.js";
import { type BareOperation, type Measure, type MeasureName, measures } from "./measures.js";
import type { Samples } from "./meter.js";
import { type Summary, summaryOf } from "./statistics.js";

/** What a run has found, as `--json` writes it. */
export interface Report {
  /** When it began, in ISO 8601. */
  readonly date: string;
  readonly version: string;
  readonly commit: string;
  readonly machine: Machine;
  /** How long the run took. */
  readonly seconds: number;
  readonly groups: readonly GroupReport[];
  readonly expectations: readonly Expectation[];
}

/** What is expected of a machine with two cores, and what was found. */
export interface Expectation {
  readonly what: string;
  readonly unit: "×" | "ms";
  readonly limit: number;
  readonly value: number;
  readonly met: boolean;
}

/** The figures of groups of one size. */
export interface GroupReport {
  readonly members: number;
  readonly rounds: number;
  readonly measures: readonly MeasureReport[];
  /** For how many milliseconds the JavaScript thread was blocked at most, in each call and, as "idle", without any. */
  readonly blocked: readonly BlockedReport[];
}

/** One measure, in microseconds: Conclave, and OpenMLS alone where it has the same. */
export interface MeasureReport {
  readonly name: MeasureName;
  readonly conclave: Summary;
  readonly bare?: Summary;
}

/** The blocking of one measure, in milliseconds. */
export interface BlockedReport {
  readonly name: MeasureName | "idle";
  readonly summary: Summary;
}

/** The figures from all samples of the rounds. */
export function measureReports(conclave: Samples<MeasureName>, bare: Samples<BareOperation>): MeasureReport[] {
  return measures.map((measure: Measure) => ({
    name: measure.name,
    conclave: summaryOf(conclave.get(measure.name) ?? []),
    ...(measure.bare !== undefined && { bare: summaryOf(bare.get(measure.bare) ?? []) }),
  }));
}

/** The same of the blocking. */
export function blockedReports(samples: Samples<MeasureName | "idle">): BlockedReport[] {
  return [...samples].map(([name, list]) => ({ name, summary: summaryOf(list) }));
}

/** The figure of one measure in groups of this size, if it was measured. */
export function measured(
  groups: readonly GroupReport[],
  members: number,
  name: MeasureName,
): MeasureReport | undefined {
  return groups.find((group) => group.members === members)?.measures.find((measure) => measure.name === name);
}
