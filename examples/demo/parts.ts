import type { Cue } from "./protocol.js";

/** How many lines each part of the story needs, so that everybody says something in it, and can be interrupted where that is the point. */
const FEWEST = { inTurns: 3, whileTheGroupChanges: 3, whileBobIsKilled: 9, withoutCarol: 2, withDave: 3, withEve: 4 };
type Part = keyof typeof FEWEST;
const PARTS = Object.keys(FEWEST) as Part[];
const ALL = Object.values(FEWEST).reduce((sum, lines) => sum + lines);

/** So many lines are said in turns in one part; each has to wait until everybody has read the one before it. */
const MOST_IN_TURNS = 24;
const IN_TURNS: ReadonlySet<Part> = new Set<Part>(["inTurns", "withoutCarol", "withDave", "withEve"]);

/**
 * The lines, for one part of the story after the other. A text that is too short is said again and again; of a long one, most is
 * said in the parts where everybody speaks at once.
 */
export function inParts(text: readonly string[]): Record<Part, Cue[]> {
  const cues = longEnough(text).map((line, number) => ({ number, text: line }));
  const sizes = PARTS.map((part) => {
    const share = Math.floor((cues.length * FEWEST[part]) / ALL);
    return IN_TURNS.has(part) ? Math.min(share, MOST_IN_TURNS) : share;
  });
  const atOnce = PARTS.indexOf("whileTheGroupChanges");
  const left = cues.length - sizes.reduce((sum, size) => sum + size);
  const give = (part: number, more: number): void => void (sizes[part] = (sizes[part] ?? 0) + more);
  give(atOnce, Math.floor(left / 2));
  give(atOnce + 1, Math.ceil(left / 2));
  let said = 0;
  return Object.fromEntries(
    PARTS.map((part, place) => [part, cues.slice(said, (said += sizes[place] ?? 0))]),
  ) as Record<Part, Cue[]>;
}

/** A text that gives everybody something to say in each part of the story. */
export function longEnough(text: readonly string[]): string[] {
  const said = [...text];
  while (said.length < ALL) said.push(...text);
  return said;
}
