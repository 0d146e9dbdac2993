/** What the pages of the guide promise beside their code. Links, codes and names of all pages are asked in docs.test.ts. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout } from "../package/consumer.js";

const read = (path: string): string => readFileSync(join(checkout, path), "utf8");
const numbered = readdirSync(join(checkout, "docs")).filter((name) => /^\d\d-/.test(name));

test("there is a scenario for each page, and a page for each scenario", () => {
  const scenarios = readdirSync(join(checkout, "__tests__/guide")).filter((name) => /^\d\d-/.test(name));
  expect(scenarios).toEqual(numbered.map((page) => page.replace(/md$/, "test.ts")));
});

test.each(numbered)("docs/%s has its pitfalls at the end, with codes that lead to the list", (page) => {
  const pitfalls = read(`docs/${page}`).split("\n## Pitfalls\n")[1] ?? "";
  expect(pitfalls).toMatch(/\(errors\.md#[a-z_]+\)/);
  expect(pitfalls).not.toMatch(/^## /m);
});
