import type { Cell, EpochStart, Mark, Row, Timeline } from "./timeline.js";

// All in the picture's own unit; on a wide screen it is a pixel.
const NAMES = 76;
const COLUMN = 110;
const TITLE_LINE = 14;
const MOST_LETTERS = 15;
const HEAD = 94;
const BAND = 24;
const ROW = 76;
const BAR = 54;
const CELL_LINE = 14;
/** An epoch that begins in an act does so a little after the act, and the next one this much later. */
const [FIRST_START, NEXT_START] = [0.06, 0.46];

/** The timeline as SVG, which takes its colours from the page around it. */
export function picture(timeline: Timeline): string {
  const { acts, epochs, rows } = timeline;
  const width = NAMES + acts.length * COLUMN;
  const height = HEAD + BAND + 14 + rows.length * ROW;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Who was in the group when, and what each read">
${acts.map(({ title, seconds }, place) => head(title, seconds, place)).join("\n")}
${epochs.map((start, index) => band(start, epochs[index + 1], width, height)).join("\n")}
${rows.map((row, place) => person(row, HEAD + BAND + 14 + place * ROW, timeline)).join("\n")}
</svg>`;
}

/** The sign of a mark, for a legend. */
export function sign(mark: Mark): string {
  return `<svg class="sign" viewBox="-10 -10 20 20" aria-hidden="true">${badge(mark, 0, 0)}</svg>`;
}

/** Text that cannot be taken for markup. */
export function escaped(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (letter) => entities[letter] ?? "");
}

function head(title: string, seconds: number, place: number): string {
  const x = NAMES + place * COLUMN + 6;
  const lines = wrapped(title).map((line, index) => text(line, x, 14 + index * TITLE_LINE, "title"));
  return [...lines, text(`${seconds.toFixed(2)} s`, x, HEAD - 12, "seconds")].join("");
}

function band(start: EpochStart, next: EpochStart | undefined, width: number, height: number): string {
  const [from, to] = [startOf(start), next === undefined ? width : startOf(next)];
  const narrow = to - from < 64;
  const label = text(narrow ? String(start.epoch) : `epoch ${start.epoch}`, (from + to) / 2, HEAD + 16, "epoch");
  const line = `<line class="begins" x1="${from}" y1="${HEAD}" x2="${from}" y2="${height}"/>`;
  return `${line}<rect class="band" x="${from + 1.5}" y="${HEAD}" width="${to - from - 3}" height="${BAND}" rx="6"/>${label}`;
}

function person(row: Row, y: number, { acts, epochs }: Timeline): string {
  const end = NAMES + acts.length * COLUMN;
  const from = edgeOf(row.came, epochs);
  const to = row.left === undefined ? end : edgeOf(row.left, epochs);
  const middle = y + ROW / 2;
  const bar = `<rect class="bar" x="${from + 3}" y="${middle - BAR / 2}" width="${to - from - 6}" height="${BAR}" rx="11"/>`;
  const inside = row.cells.flatMap((cell, place) =>
    place >= row.came && place < (row.left ?? acts.length)
      ? [cellIn(cell, place, middle, place === row.came ? from : 0)]
      : [],
  );
  return [
    `<g class="person ${escaped(row.name)}">`,
    text(row.name, 4, middle + 5, "name"),
    row.came > 0 ? outside(row, NAMES, from, middle, "end") : "",
    row.left === undefined ? "" : outside(row, to, end, middle, "start"),
    bar,
    ...inside,
    row.left === undefined ? "" : badge("removed", to - 3, middle),
    "</g>",
  ].join("");
}

function cellIn({ read, said, mark, note }: Cell, place: number, middle: number, from: number): string {
  const left = Math.max(NAMES + place * COLUMN, from);
  const x = (left + NAMES + (place + 1) * COLUMN) / 2;
  const lines = [
    [read > 0 ? `${read} read` : "", "read"],
    [said > 0 ? `${said} said` : "", "said"],
    [note, "note"],
  ].filter(([content]) => content !== "");
  const first = middle + 4 - ((lines.length - 1) * CELL_LINE) / 2;
  return [
    ...lines.map(([content = "", kind = ""], line) => text(content, x, first + line * CELL_LINE, kind)),
    mark === undefined ? "" : badge(mark, NAMES + (place + 1) * COLUMN - 18, middle - BAR / 2),
  ].join("");
}

/** The time before somebody came or after they were removed, and what they could do with what was said then. */
function outside({ elsewhere }: Row, from: number, to: number, middle: number, anchor: "start" | "end"): string {
  const line = `<line class="outside" x1="${from + 8}" y1="${middle}" x2="${to - 8}" y2="${middle}"/>`;
  const x = anchor === "start" ? from + 18 : to - 10;
  return line + text(elsewhere ?? "", x, middle - 8, `elsewhere ${anchor}`);
}

/** Where somebody comes or goes: with the epoch that began in the act. */
function edgeOf(act: number, epochs: readonly EpochStart[]): number {
  const start = epochs.find((one) => one.act === act);
  return start === undefined ? NAMES + act * COLUMN : startOf(start);
}

function startOf({ act, place }: EpochStart): number {
  const part = act === 0 ? 0 : FIRST_START + place * NEXT_START;
  return NAMES + (act + part) * COLUMN;
}

const SIGNS: Record<Mark, string> = {
  founded: "M0-4.2 1.3-1.3 4.2-1.3 1.9.7 2.7 3.6 0 1.9-2.7 3.6-1.9.7-4.2-1.3-1.3-1.3Z",
  joined: "M-3.6 0H3.6M0-3.6V3.6",
  changed: "M-3.2.2-.9 2.6 3.4-2.4",
  retried: "M3.2-2.4A4 4 0 1 0 4 .6M3.6-4.6V-2H1",
  killed: "M-2.9-2.9 2.9 2.9M2.9-2.9-2.9 2.9",
  removed: "M-3.6 0H3.6",
  sent: "M0 4V-3.6M-3-.8 0-3.8 3-.8",
  received: "M0-4V3.6M-3 .8 0 3.8 3 .8",
};

function badge(mark: Mark, x: number, y: number): string {
  return `<g class="badge ${mark}" transform="translate(${x} ${y})"><circle r="9"/><path d="${SIGNS[mark]}"/></g>`;
}

function text(content: string, x: number, y: number, kind: string): string {
  return `<text class="${kind}" x="${x}" y="${y}">${escaped(content)}</text>`;
}

function wrapped(title: string): string[] {
  const lines: string[] = [];
  for (const word of title.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > MOST_LETTERS) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
