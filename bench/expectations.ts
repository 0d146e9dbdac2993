import type { MeasureName } from "./measures.js";
import { type GroupReport, measured } from "./report.js";

/** What is expected of a machine with two cores, and what was found. */
export interface Expectation {
  readonly what: string;
  readonly unit: "×" | "ms";
  readonly limit: number;
  readonly value: number;
  readonly met: boolean;
}

/** All expectations for which the run has the figures. */
export function expectations(groups: readonly GroupReport[]): Expectation[] {
  const sizes = groups.map(({ members }) => members);
  return [
    ...growing.map(([title, name]) => growth(groups, title, name)),
    ...sizes.flatMap((members) => [
      overhead(groups, members, "encrypt", "encryptInFlight"),
      overhead(groups, members, "receive", "receiveInFlight"),
    ]),
    blocking(groups),
  ].filter((expectation) => expectation !== undefined);
}

const growing = [
  ["encrypt, own call", "encryptAlone"],
  ["encrypt, 100 in flight", "encryptInFlight"],
  ["encrypt, 100 in a transaction", "encryptInTransaction"],
  ["receive, own call", "receiveAlone"],
  ["receive, 100 in flight", "receiveInFlight"],
  ["receive, 100 in a transaction", "receiveInTransaction"],
] as const;

/** The cost of a message does not grow with the group. */
function growth(groups: readonly GroupReport[], title: string, name: MeasureName): Expectation | undefined {
  const [small, large] = [measured(groups, 2, name), measured(groups, 1000, name)];
  if (small === undefined || large === undefined) return undefined;
  const value = large.conclave.median / small.conclave.median;
  return judged(`${title}: 1000 members against 2`, "×", 1.5, value);
}

/** Many messages in flight cost little more than their cryptography. */
function overhead(
  groups: readonly GroupReport[],
  members: number,
  title: string,
  name: MeasureName,
): Expectation | undefined {
  const found = measured(groups, members, name);
  if (found?.bare === undefined) return undefined;
  const value = found.conclave.median / found.bare.median;
  return judged(`${title}, 100 in flight: against OpenMLS alone, ${members} members`, "×", 2.5, value);
}

/** Large work does not stop JavaScript. */
function blocking(groups: readonly GroupReport[]): Expectation | undefined {
  const group = groups.find(({ members }) => members === 1000);
  const add = group?.blocked.find(({ name }) => name === "add");
  return add && judged("add of 1000 members: longest block of the JavaScript thread", "ms", 10, add.summary.max);
}

function judged(what: string, unit: "×" | "ms", limit: number, found: number): Expectation {
  const value = Math.round(found * 100) / 100;
  return { what, unit, limit, value, met: value <= limit };
}
