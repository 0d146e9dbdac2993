import { readFileSync } from "node:fs";
import { join } from "node:path";
import { noFaults, usualFaults } from "conclave-mls/testing";
import { checkout, Consumer } from "../package/consumer.js";

const page = readFileSync(join(checkout, "docs/simulation.md"), "utf8");

describe("docs/simulation.md", () => {
  const consumer = new Consumer();
  const programs = Array.from(page.matchAll(/```ts\n(.*?)```/gs), ([, program]) => program!);

  beforeAll(() => {
    consumer.copyPackage();
    consumer.link("zod", "better-sqlite3", "@types/node");
  });

  afterAll(() => consumer[Symbol.dispose]());

  it("has programs that compile strictly and do what the page says", async () => {
    const files = programs.map((program, place) => {
      consumer.write(`program${place}.mts`, program);
      return `program${place}.mts`;
    });
    const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true };
    const compilerOptions = { ...strict, skipLibCheck: false, target: "es2022", module: "nodenext", types: ["node"] };
    consumer.write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
    await consumer.tool("typescript/bin/tsc", "--project", "tsconfig.json");

    const printed = [];
    for (const place of programs.keys()) {
      printed.push(await consumer.node(`run${place}.mjs`, `import "./program${place}.mjs";`));
    }
    expect(printed).toEqual(["", "[]", expect.stringMatching(/^\[\] \{/), "true\n0 1n"]);
  }, 60_000);

  it("names every fault", () => {
    expect(Object.keys(usualFaults)).toEqual(Object.keys(noFaults));
    for (const fault of Object.keys(noFaults)) expect(page).toContain(`\`${fault}\``);
  });
});
