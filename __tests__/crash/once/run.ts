import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { scratchFolder } from "../scratch.js";
import { type Mistake, REVEALED_AT } from "./habits.js";
import { type Death, type MortalLife, type Outcome, play, wasKilled } from "./play.js";

/** What a run is to do. */
export interface OnceOptions {
  /** Plays every so-many-th of all plays. */
  readonly stride: number;
  readonly progress?: (line: string) => void;
}

/** What came of it. */
export interface OnceReport {
  /** The moments of a life in which she is not killed, and the operations on her files in it. */
  readonly moments: number;
  readonly operations: number;
  readonly plays: number;
  readonly kills: number;
  /** How many messages came again after they had been stored, and were ignored. */
  readonly repeated: number;
  /** After which moment she was killed how often. */
  readonly killed: Readonly<Record<string, number>>;
  /** What became of applications that make a mistake. */
  readonly mistakes: Readonly<Partial<Record<Mistake, string>>>;
  /** What must not happen, and has. */
  readonly wrong: readonly string[];
  readonly seconds: number;
}

/** The moments of a second life in which she is killed once more: she settles, and reads what she has read before. */
const EARLY = 30;

/**
 * Plays one story again and again, and kills alice at another moment each time: at each moment that her application can name, at
 * each operation on her files, and at each moment and then once more soon after her next start. Then lets applications that make a
 * mistake pay for it. Stops when something is wrong.
 */
export async function hearOnce({ stride, progress }: OnceOptions): Promise<OnceReport> {
  const begun = performance.now();
  const folder = scratchFolder();
  try {
    const rehearsal = await play([undefined], "careful", folder);
    const [{ moments, operations }] = rehearsal.lives as [MortalLife];
    const total = { plays: 0, kills: 0, repeated: 0 };
    const killed: Record<string, number> = {};
    const wrong = [...rehearsal.wrong];
    const left = waysToDie(moments.length, operations).filter((_, index) => index % stride === 0);
    const playTheRest = async (): Promise<void> => {
      for (let way = left.shift(); way !== undefined && wrong.length === 0; way = left.shift()) {
        const outcome = await play(way, "careful", folder);
        total.plays += 1;
        total.repeated += outcome.repeated;
        for (const life of outcome.lives.filter(wasKilled)) {
          const after = life.moments.at(-1) ?? "the start";
          killed[after] = (killed[after] ?? 0) + 1;
          total.kills += 1;
        }
        wrong.push(...outcome.wrong.map((what) => `${JSON.stringify(way)}: ${what}`));
        if (total.plays % 100 === 0) progress?.(`${total.plays} plays, ${left.length} to come`);
      }
    };
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, playTheRest));
    if (wrong.length === 0 && total.repeated === 0) wrong.push("nothing came twice, so that nothing was shown");
    const mistakes = wrong.length === 0 ? await letThemPay(folder, wrong) : {};
    const seconds = Math.round((performance.now() - begun) / 1000);
    return { moments: moments.length, operations, ...total, killed, mistakes, wrong, seconds };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function waysToDie(moments: number, operations: number): Death[][] {
  const each = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
  return [
    ...each(moments).map((moment) => [{ moment }]),
    ...each(operations).map((operation) => [{ operation }]),
    ...each(moments).map((moment) => [{ moment }, { moment: 1 + (moment % EARLY) }]),
  ];
}

/** An application that makes a mistake gets along until it is killed where that shows. So this test can fail. */
async function letThemPay(folder: string, wrong: string[]): Promise<Partial<Record<Mistake, string>>> {
  const mistakes: Partial<Record<Mistake, string>> = {};
  for (const [mistake, revealedAt] of Object.entries(REVEALED_AT) as [Mistake, string][]) {
    const rehearsal = await play([undefined], mistake, folder);
    wrong.push(...rehearsal.wrong.map((what) => `${mistake}, without any kill: ${what}`));
    const moments = rehearsal.lives[0]!.moments.flatMap((name, index) => (name === revealedAt ? [index + 1] : []));
    for (const moment of moments) {
      mistakes[mistake] = priceOf(await play([{ moment }], mistake, folder));
      if (mistakes[mistake] !== undefined) break;
    }
    if (mistakes[mistake] === undefined) wrong.push(`an application that ${mistake} gets away with it`);
  }
  return mistakes;
}

/** A message that was lost or came twice, if there is one. */
function priceOf({ wrong }: Outcome): string | undefined {
  return wrong.find((what) => /is missing in|times in/.test(what));
}
