/** examples/server-test finds the fault: for each duty there is a server here that neglects it. */
import { execFile } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const checkout = join(__dirname, "../..");
const example = join(checkout, "examples/server-test/delivery-service.test.ts");

interface Report {
  testResults: { name: string; assertionResults: { title: string; status: string }[] }[];
}

describe("the test of a delivery service", () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "conclave-server-test-")));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("fails for each duty that a server neglects", async () => {
    const duties = Array.from({ length: 14 }, (_, n) => n + 1);
    for (const duty of duties) {
      const program = `globalThis.brokenDuty = ${duty}; require(${JSON.stringify(example)});`;
      writeFileSync(join(folder, `${duty}.test.cjs`), program);
    }
    const { testResults } = await jest();
    const failures = new Map(
      testResults.map(({ name, assertionResults }) => {
        const failed = assertionResults.filter(({ status }) => status === "failed");
        return [Number.parseInt(basename(name)), failed.map(({ title }) => Number.parseInt(title))];
      }),
    );
    expect([...failures.keys()].sort((a, b) => a - b)).toEqual(duties);
    for (const [duty, failed] of failures) {
      expect(failed).toContain(duty);
      expect(failed.length).toBeLessThan(duties.length / 2); // Else the reason is another one.
    }
  }, 120_000);

  /** Runs the files in the folder, with the broken server in the place of the one in the example. */
  function jest(): Promise<Report> {
    const config = `
      import config from ${JSON.stringify(join(checkout, "jest.config.js"))};
      export default {
        ...config,
        rootDir: ${JSON.stringify(checkout)},
        roots: [import.meta.dirname],
        testMatch: ["**/*.test.cjs"],
        moduleNameMapper: {
          "^\\\\./server\\\\.js$": "<rootDir>/__tests__/examples/broken-server.ts",
          ...config.moduleNameMapper,
        },
      };`;
    writeFileSync(join(folder, "jest.config.mjs"), config);
    const args = ["node_modules/jest/bin/jest.js", "--config", join(folder, "jest.config.mjs"), "--json"];
    return new Promise((resolve, reject) => {
      execFile(process.execPath, args, { cwd: checkout, maxBuffer: 1e8 }, (_failed, printed, problems) => {
        if (printed === "") reject(new Error(problems));
        else resolve(JSON.parse(printed) as Report);
      });
    });
  }
});
