/** What the delivery service says where better-sqlite3 is missing, or is one that this Node cannot load. */
import { join } from "node:path";
import { checkout, Consumer } from "./consumer.js";

const OPEN = `
  try { await (await EmbeddedDeliveryService.inMemory()).close(); console.log("OK"); }
  catch (error) { console.log(error.code, error.message, error.cause?.message ?? ""); }`;
const PROGRAMS = {
  "use.mjs": `import { EmbeddedDeliveryService } from "conclave-mls/delivery-service"; ${OPEN}`,
  "use.cjs": `const { EmbeddedDeliveryService } = require("conclave-mls/delivery-service"); (async () => { ${OPEN} })();`,
};

describe.each(Object.entries(PROGRAMS))("better-sqlite3, for the delivery service in %s", (file, program) => {
  let consumer: Consumer;

  beforeEach(() => {
    consumer = new Consumer();
    consumer.copyPackage();
    consumer.link("zod");
  });

  afterEach(() => consumer[Symbol.dispose]());

  /** Installs a package of that name which is the checkout's, under another version, and says that it was loaded. */
  function installVersion(version: string, index = `module.exports = require(${REAL});`): void {
    const home = "node_modules/better-sqlite3";
    consumer.write(`${home}/package.json`, JSON.stringify({ name: "better-sqlite3", version, main: "index.js" }));
    consumer.write(`${home}/index.js`, `console.log("loaded"); ${index}`);
  }
  const REAL = JSON.stringify(join(checkout, "node_modules/better-sqlite3"));

  /** Runs the program on a Node that says it has this Node-API. */
  function use(nodeApi: string): Promise<string> {
    consumer.write(
      "pretend.cjs",
      `Object.defineProperty(process, "versions", { value: { ...process.versions, napi: "${nodeApi}" } });`,
    );
    return consumer.node(file, program, "--require", "./pretend.cjs");
  }

  test("says that it is not installed, and what to run", async () => {
    expect(await use("9")).toMatch(
      /^SQLITE_MISSING .* is not installed\. Run `npm install better-sqlite3@12`, or `pnpm /,
    );
  });

  test("is refused before it is loaded where it needs a newer Node: it would end the process", async () => {
    installVersion("13.2.0");
    expect(await use("9")).toMatch(
      /^SQLITE_MISSING .*13\.2\.0.*Node-API 10 .*Node-API 9\. Run `npm install better-sqlite3@12`/,
    );
  });

  test("is loaded where this Node is new enough, and a version 12 anywhere", async () => {
    installVersion("13.2.0");
    expect(await use("10")).toBe("loaded\nOK");
    installVersion("12.11.1");
    expect(await use("9")).toBe("loaded\nOK");
  });

  test("says that its compiled part does not load, and keeps why", async () => {
    installVersion("12.11.1", `module.exports = class { constructor() { throw new Error("no bindings"); } };`);
    expect(await use("9")).toMatch(
      /^loaded\nSQLITE_MISSING .*compiled part .*12\.11\.1 .*`npm rebuild better-sqlite3`.* no bindings$/,
    );
  });

  test("is not loaded by importing the service", async () => {
    installVersion("12.11.1");
    expect(await consumer.node(file, program.replace(OPEN, ""))).toBe("");
  });
});
