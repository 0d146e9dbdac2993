/** The package inside of what other tools make: bundles, copies of what is needed, odd environments. */
import { copyFileSync, mkdirSync, realpathSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Consumer } from "./consumer.js";

const ERRORS = `import { MlsError } from "conclave-mls"; console.log(MlsError.is(new MlsError("ABORTED", "x"), "ABORTED"));`;
const USE = `
  import { Database } from "conclave-mls";
  try { await (await Database.inMemory()).close(); console.log("OK"); }
  catch (error) { console.log(error.code, error.message); }`;
const SAYS_EXTERNAL = /^ADDON_NOT_LOADED .*external to your bundle/;

jest.setTimeout(60_000); // Bundlers take seconds, and more on a machine that is busy.

describe("the package", () => {
  let consumer: Consumer;

  beforeEach(() => {
    consumer = new Consumer();
    consumer.copyPackage();
    consumer.link("zod");
    consumer.write("package.json", JSON.stringify({ name: "consumer", private: true, type: "module" }));
  });

  afterEach(() => consumer[Symbol.dispose]());

  /** Runs a program text with Node, which prints what it ends with. */
  async function bundle(tool: string, program: string): Promise<string> {
    consumer.write("app.mjs", program);
    const bundlers: Record<string, () => Promise<unknown>> = {
      "esbuild, as an ES module": () => esbuild("--format=esm"),
      "esbuild, as CommonJS": () => esbuild("--format=cjs"),
      "esbuild, as CommonJS from CommonJS": () => esbuild("--format=cjs", "--conditions=require"),
      rollup: () =>
        consumer.tool("rollup/dist/bin/rollup", "app.mjs", "--format=es", "--file=out.mjs", "--config=r.mjs"),
    };
    // What @rollup/plugin-node-resolve does for the two packages that matter here.
    consumer.write(
      "r.mjs",
      `import { createRequire } from "node:module";
      const of = { "conclave-mls": "node_modules/conclave-mls/dist/esm/lib/index.js", zod: "node_modules/zod/index.js" };
      const resolveId = (name) => (Object.hasOwn(of, name) ? { id: process.cwd() + "/" + of[name] } : null);
      export default { plugins: [{ name: "resolve", resolveId }], onLog() {} };`,
    );
    await bundlers[tool]!();
    const out = tool.includes("CommonJS") ? "out.cjs" : "out.mjs";
    return consumer.run(out);
  }

  const esbuild = (format: string, ...more: string[]) =>
    consumer.tool(
      "esbuild/bin/esbuild",
      "app.mjs",
      "--bundle",
      "--platform=node",
      "--log-level=error",
      format,
      `--outfile=out.${format === "--format=esm" ? "mjs" : "cjs"}`,
      ...more,
    );

  const TOOLS = ["esbuild, as an ES module", "esbuild, as CommonJS", "rollup"];
  const useIn = (tool: string) =>
    tool.includes("CommonJS") ? `${USE.replace("try {", "(async () => { try {")} })();` : USE;

  test.each(TOOLS)("gives its errors away in a bundle of %s", async (tool) => {
    expect(await bundle(tool, ERRORS)).toBe("true");
  });

  test.each(TOOLS)("says in a bundle of %s that it must stay outside", async (tool) => {
    expect(await bundle(tool, useIn(tool))).toMatch(SAYS_EXTERNAL);
  });

  test.each(["esm", "cjs"])("brings its addon where needed files are traced (%s)", async (kind) => {
    const program =
      kind === "esm" ? USE : useIn("CommonJS").replace(/import (.*) from (.*);/, "const $1 = require($2);");
    const app = `app.${kind === "esm" ? "mjs" : "cjs"}`;
    consumer.write(app, program);
    consumer.unlink("zod");
    consumer.copy("zod");
    const tracing = `
      import { nodeFileTrace } from ${JSON.stringify(require.resolve("@vercel/nft"))};
      const { fileList } = await nodeFileTrace([${JSON.stringify(app)}], { base: process.cwd() });
      console.log(JSON.stringify([...fileList]));`;
    const files = JSON.parse(await consumer.node("trace.mjs", tracing)) as string[];
    expect(files.filter((file) => file.endsWith(".node"))).toHaveLength(1);
    using standalone = new Consumer();
    for (const file of files) {
      mkdirSync(dirname(join(standalone.folder, file)), { recursive: true });
      copyFileSync(join(consumer.folder, file), join(standalone.folder, file));
    }
    expect(await standalone.run(app)).toBe("OK");
  });

  test("says what was left out where the folder of the addon was not copied", async () => {
    rmSync(join(consumer.folder, "node_modules/conclave-mls/prebuilds"), { recursive: true });
    expect(await consumer.node("use.mjs", USE)).toMatch(/^ADDON_NOT_LOADED .*folder prebuilds is missing.*copies/);
  });

  test("can be imported and used where globals of Node are missing, as in jsdom", async () => {
    const program = `
      for (const name of ["TextDecoder", "TextEncoder", "structuredClone", "Blob", "fetch"]) delete globalThis[name];
      const { Credential, Database, Session, idOf } = await import("conclave-mls");
      const session = await Session.open(await Database.inMemory(), { clientId: "alice" });
      console.log(session.clientId);
      await session.close();`;
    expect(await consumer.node("bare.mjs", program)).toBe("alice");
  });

  describe("under Node's permission model", () => {
    const FLAG = Number.parseInt(process.versions.node) >= 24 ? "--permission" : "--experimental-permission";
    const run = (readable: string[], more: string[] = [], program = USE) => {
      consumer.unlink("zod");
      consumer.copy("zod");
      const home = realpathSync(consumer.folder);
      const may = readable.map((path) => `--allow-fs-read=${join(home, path)}`);
      consumer.write("use.mjs", program);
      return consumer.run("--no-warnings", FLAG, ...may, ...more, join(home, "use.mjs"));
    };

    test("says that the addon may not be loaded, and how to allow it", async () => {
      expect(await run(["*"])).toMatch(/^ADDON_NOT_LOADED .*--allow-addons/);
    });

    test("says that its files may not be read, and how to allow it", async () => {
      const most = ["use.mjs", "package.json", "node_modules/zod/*", "node_modules/conclave-mls/dist/*"];
      const manifest = "node_modules/conclave-mls/package.json";
      expect(await run([...most, manifest], ["--allow-addons"])).toMatch(/^ADDON_NOT_LOADED .*--allow-fs-read/);
    });

    test("works with what it needs", async () => {
      expect(await run(["*"], ["--allow-addons"])).toBe("OK");
    });

    test("says of better-sqlite3, too, that it may not be loaded", async () => {
      const program = `
        import { EmbeddedDeliveryService } from "conclave-mls/delivery-service";
        try { await (await EmbeddedDeliveryService.inMemory()).close(); console.log("OK"); }
        catch (error) { console.log(error.code, error.message); }`;
      for (const name of ["better-sqlite3", "bindings", "file-uri-to-path"]) consumer.copy(name);
      expect(await run(["*"], [], program)).toMatch(/^SQLITE_MISSING .*--allow-addons/);
      const most = ["use.mjs", "package.json", "node_modules/zod/*", "node_modules/conclave-mls/*"];
      expect(await run(most, ["--allow-addons"], program)).toMatch(/^SQLITE_MISSING .*--allow-fs-read/);
    });

    test("writes keystores where Node itself may write nothing: the model does not bind native code", async () => {
      const file = JSON.stringify(join(realpathSync(consumer.folder), "alice.db"));
      const program = `
        import { writeFileSync } from "node:fs";
        import { Database, DatabaseKey } from "conclave-mls";
        try { writeFileSync(${file}, ""); } catch (error) { console.log(error.code); }
        await (await Database.open(${file}, DatabaseKey.generate())).close();
        console.log("OK");`;
      expect(await run(["*"], ["--allow-addons"], program)).toBe("ERR_ACCESS_DENIED\nOK");
    });
  });
});
