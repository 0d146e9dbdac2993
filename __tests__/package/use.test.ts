import { readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { checkout, Consumer, pack } from "./consumer.js";

const HEAR_OURSELVES = `
  const key = DatabaseKey.generate();
  const database = await Database.open("alice.db", key);
  const session = await Session.open(database, { clientId: "alice:laptop" });
  const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
  const credential = await session.addCredential(Credential.basic("alice:laptop", { cipherSuite }));
  const conversation = await session.createConversation("team", { credential });
  const sealed = await conversation.encrypt(new TextEncoder().encode("hello"));
  console.log(inspectMessage(sealed).kind, await session.conversations());
  await session.close();
`;
const NAMES = "Credential, Database, DatabaseKey, inspectMessage, MlsError, Session";

describe("the package, installed from its tarball", () => {
  const consumer = new Consumer();

  beforeAll(async () => {
    const tarballs = [await pack(checkout, consumer), await pack(join(checkout, "node_modules/zod"), consumer)];
    await consumer.install(...tarballs);
  }, 60_000);

  afterAll(() => consumer[Symbol.dispose]());

  test("works from an ES module", async () => {
    const program = `import { ${NAMES} } from "conclave-mls"; ${HEAR_OURSELVES}`;
    expect(await consumer.node("use.mjs", program)).toBe("message [ 'team' ]");
  });

  test("works from CommonJS", async () => {
    const program = `const { ${NAMES} } = require("conclave-mls"); (async () => { ${HEAR_OURSELVES} })();`;
    expect(await consumer.node("use.cjs", program.replace("alice.db", "other.db"))).toBe("message [ 'team' ]");
  });

  test("an error of one module system is recognised by the other", async () => {
    const program = `
      import { createRequire } from "node:module";
      import * as esm from "conclave-mls";
      const cjs = createRequire(import.meta.url)("conclave-mls");
      try { esm.inspectMessage(new Uint8Array(3)); }
      catch (error) { console.log(cjs.MlsError.is(error, "MESSAGE_INVALID"), error instanceof cjs.MlsError); }`;
    expect(await consumer.node("both.mjs", program)).toBe("true false");
  });

  test("keys and databases of one module system are taken by the other", async () => {
    const program = `
      import { createRequire } from "node:module";
      import * as esm from "conclave-mls";
      const cjs = createRequire(import.meta.url)("conclave-mls");
      for (const [path, one, other] of [["one.db", esm, cjs], ["two.db", cjs, esm]]) {
        const key = one.DatabaseKey.generate();
        await (await one.Database.open(path, key)).close();
        const database = await other.Database.open(path, key);
        const session = await one.Session.open(database, { clientId: "alice" });
        const again = await one.Session.open(database, { clientId: "alice" }).catch((error) => error.code);
        await database.close();
        const closed = await session.conversations().catch((error) => error.code);
        const over = await one.Session.open(database, { clientId: "alice" }).catch((error) => error.code);
        key[Symbol.dispose]();
        const wiped = await other.Database.open(path, key).catch((error) => error.code);
        console.log(again, closed, over, wiped);
      }`;
    const line = "DATABASE_IN_USE SESSION_CLOSED DATABASE_CLOSED INVALID_ARGUMENT";
    expect(await consumer.node("crossing.mjs", program)).toBe(`${line}\n${line}`);
  });

  test("a database of another installation is refused, and stays open", async () => {
    const other = consumer.copyPackage("elsewhere/node_modules/conclave-mls");
    const program = `
      import { Database, Session } from "conclave-mls";
      const other = await import(${JSON.stringify(join(other, "dist/esm/lib/index.js"))});
      const database = await other.Database.inMemory();
      console.log(await Session.open(database, { clientId: "alice" }).catch((error) => error.message));
      const session = await other.Session.open(database, { clientId: "alice" });
      console.log(await session.conversations());
      await session.close();`;
    expect(await consumer.node("installations.mjs", program)).toMatch(/^database .*installation.*\n\[\]$/s);
  });

  test("works where code may not be made from strings", async () => {
    const program = `import { ${NAMES} } from "conclave-mls"; ${HEAR_OURSELVES}`.replace("alice.db", "third.db");
    expect(await consumer.node("strict.mjs", program, "--disallow-code-generation-from-strings")).toMatch(/^message/);
  });

  test("importing it loads neither the addon nor better-sqlite3", async () => {
    // Nobody installed better-sqlite3 here; the addon would show among the mapped files.
    const program = `
      import "conclave-mls";
      const { readFileSync } = await import("node:fs");
      console.log(/conclave\\S*\\.node/.test(readFileSync("/proc/self/maps", "utf8")));`;
    expect(await consumer.node("import.mjs", program)).toBe("false");
  });

  test("importing it does not load what is for tests", async () => {
    const program = `
      require("conclave-mls");
      console.log(Object.keys(require.cache).filter((file) => /conclave-mls.dist.cjs.(testing|delivery-service)/.test(file)));`;
    expect(await consumer.node("main.cjs", program)).toBe("[]");
  });

  const TIME_PASSES = `
    const clock = new SimulatedClock({ start: 0, random: () => new SeededRandom(1).next() });
    const transport = { sendCommitBundle: () => new Promise(() => {}) };
    const session = await Session.open(await Database.inMemory(), withClock({ clientId: "alice", transport }, clock));
    const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
    const credential = await session.addCredential(Credential.basic("alice", { cipherSuite }));
    const team = await session.createConversation("team", { credential });
    const error = await clock.until(team.updateKeys()).catch((thrown) => thrown);
    const simulated = await simulate({ seed: 1 }).catch((thrown) => thrown);
    console.log(error.code, clock.now(), simulated.code);
    await session.close();
  `;
  const PARTS = "SeededRandom, SimulatedClock, simulate, withClock";

  test("its testing entry works without better-sqlite3, but for the server of simulate()", async () => {
    const esm = `import { ${NAMES} } from "conclave-mls"; import { ${PARTS} } from "conclave-mls/testing"; ${TIME_PASSES}`;
    const imports = `const { ${NAMES} } = require("conclave-mls"), { ${PARTS} } = require("conclave-mls/testing");`;
    const printed = "COMMIT_OUTCOME_UNKNOWN 30000 SQLITE_MISSING";
    expect(await consumer.node("time.mjs", esm)).toBe(printed);
    expect(await consumer.node("time.cjs", `${imports} (async () => { ${TIME_PASSES} })();`)).toBe(printed);
  });

  test("gives its package.json away, as tools expect", async () => {
    const program = `console.log(require("conclave-mls/package.json").name);`;
    expect(await consumer.node("manifest.cjs", program)).toBe("conclave-mls");
  });

  test("its types can be read by TypeScript before 5.7, where Uint8Array takes no type", () => {
    for (const build of ["esm", "cjs"]) {
      const folder = join(consumer.folder, "node_modules/conclave-mls/dist", build);
      // What the public types lead to; the rest is of no concern to a compiler.
      const files = new Set(["lib", "delivery-service", "testing"].map((entry) => join(folder, entry, "index.d.ts")));
      const generic: string[] = [];
      for (const file of files) {
        const types = readFileSync(file, "utf8");
        if (/^(?!\s*\*).*Uint8Array</m.test(types)) generic.push(file);
        for (const [, name] of types.matchAll(/from "(\.[^"]+)\.js"/g)) files.add(`${join(dirname(file), name!)}.d.ts`);
      }
      expect(files.size).toBeGreaterThan(20);
      expect(generic).toEqual([]);
    }
  });

  describe("with TypeScript, strict and without skipLibCheck", () => {
    const program = `
      import { ${NAMES}, type MlsErrorCode, type MlsTransport, type Received } from "conclave-mls";
      export const transport: MlsTransport = {
        sendCommitBundle: async (bundle, { conversationId, signal }) => {
          signal.throwIfAborted();
          return bundle.commit.length > conversationId.length ? { status: "success" } : { status: "retry", afterMs: 5 };
        },
      };
      export function codeOf(error: unknown): MlsErrorCode | undefined {
        return MlsError.is(error) ? error.code : undefined;
      }
      export function text(received: Received): string {
        return received.type === "message" ? new TextDecoder().decode(received.plaintext) : received.type;
      }
      export async function main(): Promise<bigint> {
        ${HEAR_OURSELVES}
        return conversation.epoch();
      }`;

    const BYTES = `
      import type { CommitBundle, Received, Session } from "conclave-mls";
      export async function blobs(session: Session, { commit }: CommitBundle, received: Received): Promise<Blob> {
        const team = session.conversation("team");
        const sealed = await team.encrypt(new Uint8Array(new SharedArrayBuffer(3)));
        const plaintext = received.type === "message" ? received.plaintext : undefined;
        await crypto.subtle.digest("SHA-256", await team.epochAuthenticator());
        await fetch("https://chat.example", { method: "POST", body: await team.groupInfo() });
        return new Blob([sealed, commit, plaintext ?? (await session.data("x")) ?? new Uint8Array()]);
      }
      export const wide = (session: Session, bytes: Uint8Array<ArrayBufferLike>) =>
        session.receive([bytes]).then(() => session.setData("x", bytes));`;

    test("in a renderer, with the DOM and without the types of Node; bytes fit Blob, fetch and WebCrypto", async () => {
      consumer.write("renderer.mts", BYTES);
      const options = { strict: true, skipLibCheck: false, exactOptionalPropertyTypes: true, noEmit: true };
      const lib = ["es2022", "dom"];
      const compilerOptions = { ...options, lib, target: "es2022", module: "nodenext", types: [] };
      consumer.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["renderer.mts"] }));
      await consumer.tool("typescript/bin/tsc", "--project", "tsconfig.json");
    }, 60_000);

    beforeAll(() => {
      consumer.link("@types/node");
      // The public types must stand on their own: those of zod are not part of them.
      rmSync(join(consumer.folder, "node_modules/zod"), { recursive: true });
    });

    test.each([
      ["ES modules", "main.mts", "nodenext", "nodenext"],
      ["CommonJS", "main.cts", "nodenext", "nodenext"],
      ["CommonJS of a bundler", "plain.ts", "commonjs", "bundler"],
    ])(
      "%s",
      async (_name, file, module, moduleResolution) => {
        consumer.write(file, program);
        const options = { strict: true, skipLibCheck: false, exactOptionalPropertyTypes: true, noEmit: true };
        const compilerOptions = { ...options, target: "es2022", module, moduleResolution, types: ["node"] };
        consumer.write("tsconfig.json", JSON.stringify({ compilerOptions, files: [file] }));
        await consumer.tool("typescript/bin/tsc", "--project", "tsconfig.json");
      },
      60_000,
    );
  });
});
