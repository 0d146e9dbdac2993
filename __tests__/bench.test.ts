import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { expectations } from "../bench/expectations.js";
import { type MeasureName, measures } from "../bench/measures.js";
import type { Expectation, GroupReport, Report } from "../bench/report.js";
import { summaryOf } from "../bench/statistics.js";

const checkout = join(__dirname, "..");
const MINUTES = 60_000;

describe("the bench", () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "conclave-bench-test-"));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  /** Runs it as `npm run bench` does. */
  function bench(...args: string[]): Promise<{ code: number | null; printed: string }> {
    const env = { ...process.env, TMPDIR: home, TEMP: home, TMP: home, INIT_CWD: home };
    const child = spawn(process.execPath, ["dist/programs/bench/main.js", ...args], { cwd: checkout, env });
    let printed = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (printed += text));
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, printed })));
  }

  // How long anything takes is no business of a test: the machine may be busy.
  test(
    "measures everything, beside OpenMLS alone, and leaves nothing but what it was asked for",
    async () => {
      const { code, printed } = await bench("--quick", "--rounds", "1", "--json", "run.json", "--svg", "run.svg");
      expect(printed).toContain("met ");
      expect(code).toBe(0);
      expect(readdirSync(home).sort()).toEqual(["run.json", "run.svg"]);

      const json = readFileSync(join(home, "run.json"), "utf8");
      const report = JSON.parse(json) as Report;
      expect(report.groups.map(({ members, rounds }) => ({ members, rounds }))).toEqual([
        { members: 2, rounds: 1 },
        { members: 100, rounds: 1 },
      ]);
      for (const { measures: found, blocked } of report.groups) {
        expect(found.map(({ name }) => name)).toEqual(measures.map(({ name }) => name));
        for (const { name, conclave, bare } of found) {
          expect(conclave.min).toBeGreaterThan(0);
          expect(bare === undefined).toBe(name === "open");
        }
        expect(blocked.map(({ name }) => name).sort()).toEqual(["idle", ...measures.map(({ name }) => name)].sort());
      }
      for (const { title } of measures) expect(printed.split(title)).toHaveLength(1 + report.groups.length);
      expect(Date.parse(report.date)).not.toBeNaN();
      expect(report.machine).toMatchObject({ node: process.version });
      expect(json).not.toContain(checkout);
      expect(json).not.toContain(home);
      expect(readFileSync(join(home, "run.svg"), "utf8")).toMatch(/^<svg [^]*100 members[^]*<\/svg>\n$/);
    },
    10 * MINUTES,
  );

  test.each<[string, string[], RegExp]>([
    ["an option that it does not know", ["--fast"], /--fast[^]*Usage:/],
    ["a number of rounds that is none", ["--rounds", "many"], /1 to 1000[^]*Usage:/],
    ["no rounds", ["--rounds", "0"], /1 to 1000[^]*Usage:/],
    ["a question", ["--help"], /^Usage:/],
  ])("refuses %s in a sentence", async (_what, args, sentence) => {
    const { code, printed } = await bench(...args);
    expect(printed).toMatch(sentence);
    expect(code).toBe(2);
  });
});

test("a summary has samples that were measured", () => {
  expect(summaryOf([30, 10, 20, 40])).toEqual({ median: 20, min: 10, p90: 40, max: 40, samples: 4 });
  expect(summaryOf([7])).toEqual({ median: 7, min: 7, p90: 7, max: 7, samples: 1 });
  expect(() => summaryOf([])).toThrow("Nothing was measured.");
});

describe("what is expected", () => {
  const group = (members: number, conclave: number, bare: number, blocked: number): GroupReport => ({
    members,
    rounds: 1,
    measures: measures.map(({ name }) => ({ name, conclave: summaryOf([conclave]), bare: summaryOf([bare]) })),
    blocked: [{ name: "add" satisfies MeasureName, summary: summaryOf([blocked]) }],
  });
  const missed = (...groups: GroupReport[]): string[] =>
    expectations(groups).flatMap(({ what, met }: Expectation) => (met ? [] : [what]));

  test("is met by messages that cost the same in every group, and by short blocks", () => {
    expect(missed(group(2, 100, 60, 30), group(1000, 140, 90, 9))).toEqual([]);
  });

  test("is missed by messages that cost more in a large group", () => {
    const all = missed(group(2, 100, 100, 0), group(1000, 200, 100, 0));
    expect(all).toHaveLength(6);
    expect(all.every((what) => what.endsWith("1000 members against 2"))).toBe(true);
  });

  test("is missed by more than two and a half times the cost of OpenMLS alone, also of that in a small group", () => {
    expect(missed(group(2, 100, 30, 0))).toHaveLength(2);
    expect(missed(group(2, 100, 50, 0), group(100, 130, 200, 0))).toEqual([
      "encrypt, 100 in flight, 100 members: against OpenMLS alone, 2 members",
      "receive, 100 in flight, 100 members: against OpenMLS alone, 2 members",
    ]);
  });

  test("is missed by one long block while a thousand are added", () => {
    expect(missed(group(2, 1, 1, 0), group(1000, 1, 1, 11))).toEqual([
      "add of 1000 members: longest block of the JavaScript thread",
    ]);
  });
});
