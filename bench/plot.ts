import type { MeasureName } from "./measures.js";
import { type GroupReport, measured, type Report } from "./report.js";

const PANEL = { width: 400, height: 280, left: 64, top: 48, gap: 84 };
const LEGEND = 64;

interface Line {
  readonly title: string;
  readonly colour: string;
  readonly values: readonly (number | undefined)[];
}

/** An SVG image: what a message costs its sender and a receiver, against the size of the group. */
export function plot({ groups, date, commit, machine: { cores, processor } }: Report): string {
  const panels = [
    { title: "encrypt", lines: linesOf(groups, "encryptAlone", "encryptInFlight", "encryptInTransaction") },
    { title: "receive", lines: linesOf(groups, "receiveAlone", "receiveInFlight", "receiveInTransaction") },
  ];
  const decades = decadesOf(panels.flatMap(({ lines }) => lines.flatMap(({ values }) => values)));
  const width = 2 * (PANEL.left + PANEL.width) + PANEL.gap - PANEL.left + 24;
  const height = PANEL.top + PANEL.height + LEGEND + 24;
  const members = groups.map((group) => group.members);
  const source = `conclave-mls at ${commit}, ${date.slice(0, 10)}, ${cores} × ${processor}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="white"/>`,
    ...panels.flatMap(({ title, lines }, place) => panel(title, lines, members, decades, place)),
    ...legend(panels[0]?.lines ?? []),
    text(PANEL.left, height - 12, source, { fill: "#666" }),
    "</svg>\n",
  ].join("\n");
}

function linesOf(
  groups: readonly GroupReport[],
  alone: MeasureName,
  inFlight: MeasureName,
  inTransaction: MeasureName,
): Line[] {
  const find = (name: MeasureName) => groups.map(({ members }) => measured(groups, members, name));
  const conclave = (name: MeasureName) => find(name).map((one) => one?.conclave.median);
  return [
    { title: "own call", colour: "#0b5394", values: conclave(alone) },
    { title: "100 in flight", colour: "#3d9be9", values: conclave(inFlight) },
    { title: "100 in a transaction", colour: "#6aa84f", values: conclave(inTransaction) },
    { title: "OpenMLS alone, in memory", colour: "#999999", values: find(alone).map((one) => one?.bare?.median) },
  ];
}

/** The powers of ten around all values. */
function decadesOf(values: readonly (number | undefined)[]): { from: number; to: number } {
  const logs = values.filter((value) => value !== undefined).map(Math.log10);
  const from = Math.floor(Math.min(...logs));
  return { from, to: Math.max(from + 1, Math.ceil(Math.max(...logs))) };
}

function panel(
  title: string,
  lines: readonly Line[],
  members: readonly number[],
  { from, to }: { from: number; to: number },
  place: number,
): string[] {
  const left = PANEL.left + place * (PANEL.width + PANEL.gap);
  const right = left + PANEL.width;
  const x = (index: number): number => left + (PANEL.width * (index + 0.5)) / members.length;
  const y = (value: number): number => PANEL.top + (PANEL.height * (to - Math.log10(value))) / (to - from);
  const decades = Array.from({ length: to - from + 1 }, (_, n) => 10 ** (from + n));
  return [
    text(left, PANEL.top - 20, `${title}: microseconds per message of 1 KiB`, { "font-weight": "bold" }),
    ...decades.flatMap((value) => [
      `<path d="M${left} ${y(value)}H${right}" stroke="#ddd"/>`,
      text(left - 8, y(value) + 4, String(value), { "text-anchor": "end" }),
    ]),
    ...members.map((count, index) =>
      text(x(index), PANEL.top + PANEL.height + 18, `${count} members`, { "text-anchor": "middle" }),
    ),
    ...lines.flatMap(({ colour, values }) => {
      const points = values.flatMap((value, index) => (value === undefined ? [] : [{ x: x(index), y: y(value) }]));
      return [
        `<polyline points="${points.map((point) => `${point.x},${point.y}`).join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...points.map((point) => `<circle cx="${point.x}" cy="${point.y}" r="3.5" fill="${colour}"/>`),
      ];
    }),
  ];
}

function legend(lines: readonly Line[]): string[] {
  const top = PANEL.top + PANEL.height + 44;
  return lines.flatMap(({ title, colour }, index) => {
    const left = PANEL.left + index * 200;
    return [`<path d="M${left} ${top - 4}h24" stroke="${colour}" stroke-width="2"/>`, text(left + 32, top, title)];
  });
}

function text(x: number, y: number, content: string, attributes: Record<string, string> = {}): string {
  const more = Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`);
  return `<text x="${x}" y="${y}"${more.join("")}>${content.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)}</text>`;
}
