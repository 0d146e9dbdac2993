/** What the pages of the guide promise beside their code: that links lead somewhere, and that codes exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { errorCodes } from "conclave-mls";
import { checkout } from "../package/consumer.js";

const read = (path: string): string => readFileSync(join(checkout, path), "utf8");
const numbered = readdirSync(join(checkout, "docs")).filter((name) => /^\d\d-/.test(name));
const pages = [...numbered, "README.md", "from-corecrypto.md"];

test("there is a scenario for each page, and a page for each scenario", () => {
  const scenarios = readdirSync(join(checkout, "__tests__/guide")).filter((name) => /^\d\d-/.test(name));
  expect(scenarios).toEqual(numbered.map((page) => page.replace(/md$/, "test.ts")));
});

describe.each(pages)("docs/%s", (page) => {
  const text = read(`docs/${page}`);
  const prose = text.replace(/^```.*?^```$/gms, "");

  test("links to files and headings that exist", () => {
    const lost = Array.from(prose.matchAll(/\]\(([^):]+)\)/g), ([, link]) => link!).filter((link) => {
      const [file, heading] = link.split("#");
      const path = file === "" ? `docs/${page}` : normalize(`docs/${file!}`);
      if (!existsSync(join(checkout, path))) return true;
      return heading !== undefined && !headingsOf(read(path)).includes(heading);
    });
    expect(lost).toEqual([]);
  });

  test("names codes that exist", () => {
    const others = ["EPOCH_TOO_OLD"]; // of the delivery service
    const named = Array.from(prose.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g), ([, code]) => code!);
    expect(named.filter((code) => !(code in errorCodes) && !others.includes(code))).toEqual([]);
  });
});

test.each(numbered)("docs/%s has its pitfalls at the end, with codes that lead to the list", (page) => {
  const pitfalls = read(`docs/${page}`).split("\n## Pitfalls\n")[1] ?? "";
  expect(pitfalls).toMatch(/\(errors\.md#[a-z_]+\)/);
  expect(pitfalls).not.toMatch(/^## /m);
});

/** As GitHub makes them. */
function headingsOf(text: string): string[] {
  return Array.from(text.matchAll(/^#+ (.+)$/gm), ([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}
