/**
 * Cuts the snippets of the guide out of the scenarios that run them. Page docs/01-*.md is fed by __tests__/guide/01-*.test.ts:
 *
 *     // snippet: name                 <!-- snippet: name -->
 *     await session.close();           the block of code that follows is replaced
 *     // end
 *
 * With --check it writes nothing and fails when a page is another than it would write. It fails in any case when page and
 * scenario do not fit: a snippet that is missing, or that no page shows, or code that is neither cut nor marked as not run.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { inRoot } from "./ensure/files.mjs";
import { writeOrCheck } from "./generated.mjs";

const NOT_RUN = "<!-- not run -->";

for (const page of numbered("docs")) {
  const scenario = numbered("__tests__/guide").find((path) => numberOf(path) === numberOf(page));
  if (scenario === undefined) throw new Error(`${page} has no scenario of its number in __tests__/guide.`);
  writeOrCheck(page, withSnippets(page, snippetsOf(scenario)), "scripts/snippets.mjs");
}

/** The page with every snippet as the scenario has it now. */
function withSnippets(page, snippets) {
  const shown = new Set();
  const text = read(page).replace(/^<!-- snippet: (\S+) -->\n\n```ts\n.*?^```$/gms, (_block, name) => {
    if (!snippets.has(name)) throw new Error(`${page} shows the snippet "${name}", which its scenario does not have.`);
    shown.add(name);
    return `<!-- snippet: ${name} -->\n\n\`\`\`ts\n${snippets.get(name)}\n\`\`\``;
  });
  const forgotten = [...snippets.keys()].filter((name) => !shown.has(name));
  if (forgotten.length > 0) throw new Error(`${page} does not show: ${forgotten.join(", ")}.`);
  refuseUntested(page, text);
  return text;
}

/** Name and text of each marked region, without the indentation that all its lines share. */
function snippetsOf(scenario) {
  const snippets = new Map();
  for (const [, name, body] of read(scenario).matchAll(/^ *\/\/ snippet: (\S+)\n(.*?)^ *\/\/ end$/gms)) {
    if (snippets.has(name)) throw new Error(`${scenario} has two snippets named "${name}".`);
    if (body.includes("// snippet: ")) throw new Error(`${scenario}: the snippet "${name}" does not end.`);
    const lines = body.trimEnd().split("\n");
    const margin = Math.min(...lines.filter((line) => line !== "").map((line) => line.search(/\S/)));
    snippets.set(name, lines.map((line) => line.slice(margin)).join("\n"));
  }
  return snippets;
}

/** Code that looks tested and is not would be believed all the same. */
function refuseUntested(page, text) {
  for (const { index } of text.matchAll(/^```[tj]s$/gm)) {
    const before = text.slice(0, index).trimEnd().split("\n").at(-1);
    if (before === NOT_RUN || before.startsWith("<!-- snippet: ")) continue;
    const line = text.slice(0, index).split("\n").length;
    throw new Error(`${page}:${line}: cut this code from the scenario, or put ${NOT_RUN} before it and say why.`);
  }
}

function numbered(folder) {
  return readdirSync(inRoot(folder))
    .filter((name) => /^\d\d-/.test(name))
    .sort()
    .map((name) => `${folder}/${name}`);
}

function numberOf(path) {
  return basename(path).slice(0, 2);
}

function read(path) {
  return readFileSync(inRoot(path), "utf8");
}
