import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Consumer } from "./consumer.js";

/** Prints what the first call that needs the addon ends with: the code of our own refusal, or of the message it could not read. */
const LOAD = `
  try { inspectMessage(new Uint8Array(3)); }
  catch (error) { console.log(error.code, error.message, error.cause?.message ?? ""); }`;
const LOADED = /^MESSAGE_INVALID /;

describe("the loader of the addon", () => {
  let consumer: Consumer;
  let home: string;

  beforeEach(() => {
    consumer = new Consumer();
    home = consumer.copyPackage();
    consumer.link("zod");
  });

  afterEach(() => consumer[Symbol.dispose]());

  const load = (before = "", packageName = "conclave-mls") =>
    consumer.node("load.cjs", `${before}; const { inspectMessage } = require(${JSON.stringify(packageName)}); ${LOAD}`);
  const pretend = (property: string, value: unknown) =>
    `Object.defineProperty(process, "${property}", { value: ${JSON.stringify(value)} });`;

  test("finds it in the package's own prebuilds folder", async () => {
    expect(await load()).toMatch(LOADED);
  });

  test("works in a worker thread, and in several at once", async () => {
    const program = `
      const { Worker, isMainThread } = require("node:worker_threads");
      if (isMainThread) for (let i = 0; i < 4; i++) new Worker(__filename);
      else { const { inspectMessage } = require("conclave-mls"); ${LOAD} }`;
    const lines = (await consumer.node("workers.cjs", program)).split("\n");
    expect(lines).toEqual(Array.from({ length: 4 }, () => expect.stringMatching(LOADED) as unknown));
  });

  test("says which file is missing and what to do", async () => {
    const folder = join(home, "prebuilds", `${process.platform}-${process.arch}`);
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    expect(await load()).toMatch(/^ADDON_NOT_LOADED .*there is no such file .*prebuilds.*\.node\)\. .*[Ii]nstall/);
  });

  test("says that a platform is not carried", async () => {
    expect(await load(pretend("arch", "s390x"))).toMatch(/^ADDON_NOT_LOADED .*none for this platform \(\w+-s390x/);
  });

  test("refuses an old Node before mapping anything", async () => {
    const versions = { ...process.versions, node: "18.20.0" };
    expect(await load(pretend("versions", versions))).toMatch(
      /^ADDON_NOT_LOADED .*needs Node 20.*this is Node 18\.20\.0/,
    );
  });

  test("refuses a runtime without Node-API 8", async () => {
    const versions = { ...process.versions, napi: "7" };
    expect(await load(pretend("versions", versions))).toMatch(/^ADDON_NOT_LOADED .*Node-API 8.*with 7/);
  });

  test("refuses an addon of another version", async () => {
    const manifest = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { version: string };
    writeFileSync(join(home, "package.json"), JSON.stringify({ ...manifest, version: "99.0.0" }));
    expect(await load()).toMatch(/^ADDON_NOT_LOADED .*it is version \S+ and the package is 99\.0\.0 .*mixed/);
  });

  test("keeps what the system said about a damaged file as the cause", async () => {
    const folder = join(home, "prebuilds", `${process.platform}-${process.arch}`);
    for (const file of readdirSync(folder)) writeFileSync(join(folder, file), "no library");
    expect(await load()).toMatch(/^ADDON_NOT_LOADED .*refused to load it: (.*) \(.*\)\. .* \S*\1/s);
  });

  test("finds the unpacked copy beside an Electron archive", async () => {
    const packed = join("resources", "app.asar", "node_modules", "conclave-mls");
    const archived = consumer.copyPackage(packed);
    const unpacked = join(consumer.folder, packed.replace("app.asar", "app.asar.unpacked"), "prebuilds");
    mkdirSync(dirname(unpacked), { recursive: true });
    renameSync(join(archived, "prebuilds"), unpacked);
    expect(existsSync(join(archived, "prebuilds"))).toBe(false);
    expect(await load("", archived)).toMatch(LOADED);
  });

  test("takes no advice from the environment", async () => {
    const names = ["NAPI_RS_NATIVE_LIBRARY_PATH", "CONCLAVE_NATIVE", "CONCLAVE_PREBUILD", "PREBUILDS_ONLY"];
    const environment = names.map((name) => `process.env.${name} = "/nonexistent.node";`).join("");
    expect(await load(environment)).toMatch(LOADED);
  });
});
