import { escaped, picture, sign } from "./picture.js";
import type { DemoRecord } from "./record.js";
import { style } from "./report-style.js";
import { columns, inMebibytes, linesSaid, peopleRows, remarkable } from "./table.js";
import { type Mark, timelineOf } from "./timeline.js";
import { type Check, exitCode } from "./verdict.js";

const LEGEND: Record<Mark, string> = {
  founded: "created the group",
  joined: "joined",
  changed: "commit accepted at once",
  retried: "told to retry, built anew",
  killed: "killed with SIGKILL, went on",
  removed: "removed",
  sent: "sent the file",
  received: "received the file",
};

/** The whole story on one page: HTML that needs nothing else, and loads nothing. `text` is the name of what was said. */
export function report(record: DemoRecord, checks: readonly Check[], text: string): string {
  const { acts, file } = record;
  const seconds = acts.reduce((sum, act) => sum + act.seconds, 0);
  const failed = exitCode(checks) !== 0;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Conclave demo: ${escaped(text)}</title>
<style>${style}</style>
</head>
<body>
<main>
<header>
<h1>Five people, one group</h1>
<span class="verdict${failed ? " failed" : ""}">${failed ? "Not everything is as it must be" : "Everything is as it must be"}</span>
</header>
<p>${linesSaid(acts)} lines of ${escaped(text)} and a file of ${inMebibytes(file.bytes)}, end-to-end encrypted, in ${seconds.toFixed(1)} seconds.
Each person is a process with a keystore of its own; each column is a part of the story, with what everybody read in it.</p>
<section>
<div class="scroll">${picture(timelineOf(record))}</div>
<ul class="legend">${Object.entries(LEGEND)
    .map(([mark, meaning]) => `<li>${sign(mark as Mark)}${meaning}</li>`)
    .join("")}</ul>
</section>
<div class="columns">
<section>
<h2>What happened</h2>
${list(
  "",
  remarkable(record).map((sentence) => `<li>${escaped(sentence)}</li>`),
)}
</section>
<section>
<h2>What was checked</h2>
${list("checks", checks.map(checked))}
</section>
</div>
<section>
<h2>Who took part</h2>
<div class="scroll">${table(record)}</div>
</section>
</main>
</body>
</html>
`;
}

function list(kind: string, items: readonly string[]): string {
  return `<ul class="plain ${kind}">${items.join("")}</ul>`;
}

function checked({ what, complaints }: Check): string {
  const small = complaints.slice(0, 5).map((complaint) => `<small>${escaped(complaint)}</small>`);
  return `<li${complaints.length > 0 ? ' class="failed"' : ""}>${escaped(what)}${small.join("")}</li>`;
}

function table(record: DemoRecord): string {
  const head = columns.map((column) => `<th scope="col">${escaped(column)}</th>`);
  const rows = peopleRows(record).map(([name = "", ...cells]) => {
    const rest = cells.map((cell) => `<td>${escaped(cell)}</td>`).join("");
    return `<tr class="${escaped(name)}"><th scope="row">${escaped(name)}</th>${rest}</tr>`;
  });
  return `<table><thead><tr>${head.join("")}</tr></thead><tbody>${rows.join("")}</tbody></table>`;
}
