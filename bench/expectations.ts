import type { MeasureName } from "./measures.js";
import { type Expectation, type GroupReport, measured } from "./report.js";

/** All expectations for which the run has the figures. */
export function expectations(groups: readonly GroupReport[]): Expectation[] {
  return [
    ...growing.map(([title, name]) => growth(groups, title, name)),
    ...inFlight.flatMap(([title, name]) => overheads(groups, title, name)),
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

const inFlight = [
  ["encrypt, 100 in flight", "encryptInFlight"],
  ["receive, 100 in flight", "receiveInFlight"],
] as const;

/** The cost of a message does not grow with the group. */
function growth(groups: readonly GroupReport[], title: string, name: MeasureName): Expectation | undefined {
  const [small, large] = [measured(groups, 2, name), measured(groups, 1000, name)];
  if (small === undefined || large === undefined) return undefined;
  const value = large.conclave.median / small.conclave.median;
  return judged(`${title}: 1000 members against 2`, "×", 1.5, value);
}

/**
 * Many messages in flight cost little more than OpenMLS alone. Its own storage writes more with each message the larger the
 * group is, so that its figure for two members is the harder one to keep up with: the cryptography and little else.
 */
function overheads(groups: readonly GroupReport[], title: string, name: MeasureName): Expectation[] {
  const found = groups.map(({ members }) => ({ members, ...measured(groups, members, name) }));
  const smallest = found[0];
  return found.flatMap(({ members, conclave }) =>
    found
      .filter((other) => other === smallest || other.members === members)
      .flatMap(({ members: others, bare }) => {
        if (conclave === undefined || bare === undefined) return [];
        const what = `${title}, ${members} members: against OpenMLS alone, ${others} members`;
        return judged(what, "×", 2.5, conclave.median / bare.median);
      }),
  );
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
