/** What the pages say in passing: codes, names and figures that must be those of the code. Links: package/contents.test.ts. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorCodes } from "conclave-mls";
import { deliveryErrorCodes } from "../delivery-service/errors.js";
import { checkout, Consumer } from "./package/consumer.js";
import { withoutCode } from "./support/pages.js";

const read = (path: string): string => readFileSync(join(checkout, path), "utf8");
const inDocs = readdirSync(join(checkout, "docs")).filter((name) => name.endsWith(".md"));
const index = read("docs/README.md");
/** For those who use the package. The others are about the source, with its inner names. */
const pages = [
  ...inDocs
    .filter((name) => !["architecture.md", "benchmarks.md", "crash-tests.md"].includes(name))
    .map((name) => `docs/${name}`),
  ...["README.md", "SECURITY.md", "CHANGELOG.md", "examples/electron/README.md", "examples/bot/README.md"],
];

/** Every word, comments aside, of the types that the three entries lead to. */
const publicNames = new Set(
  reachable(["lib", "delivery-service", "testing"].map((entry) => `dist/esm/${entry}/index.d.ts`)).flatMap(
    (file) =>
      read(file)
        .replace(/\/\*.*?\*\//gs, "")
        .match(/\w+/g) ?? [],
  ),
);

/** Names of Node, Electron, SQLite and CoreCrypto that the pages speak of. */
const OF_OTHERS = new Set([
  ...[
    "NODE_OPTIONS",
    "DELIVERY_SERVICE",
    "CLIENT_ID",
    "getSelectedStorageBackend",
    "String",
    "TextDecoder",
    "Blob",
    "safeStorage",
    "Action",
  ],
  ...["CoreCryptoError", "Mls", "OrphanWelcome"],
]);

test("the index leads to every page", () => {
  expect(inDocs.filter((name) => name !== "README.md" && !index.includes(`](${name})`))).toEqual([]);
  expect(["SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md"].filter((name) => !index.includes(`](../${name})`))).toEqual(
    [],
  );
  expect(read("README.md")).toContain("](docs/README.md)");
});

test.each(pages)("%s names codes that exist", (page) => {
  const known = { ...errorCodes, ...deliveryErrorCodes };
  const named = spansOf(page).filter((span) => /^[A-Z]+(?:_[A-Z]+)+$/.test(span));
  expect(named.filter((code) => !(code in known) && !OF_OTHERS.has(code))).toEqual([]);
});

test.each(pages)("%s names calls and types that exist", (page) => {
  const words = spansOf(page)
    .filter((span) => /^(await )?[A-Za-z]\w*(\.\w+)*\(.*\)$/.test(span) || /^[A-Z][a-z]+[A-Z]?\w*(\.\w+)*$/.test(span))
    .flatMap((span) =>
      span
        .replace(/^await /, "")
        .replace(/\(.*/, "")
        .split("."),
    );
  expect([...new Set(words)].filter((word) => !publicNames.has(word) && !OF_OTHERS.has(word))).toEqual([]);
});

test("the demo has as many people wherever it is told", () => {
  const cast = /this\.everybody = \[(.*)\]/.exec(read("examples/demo/cast.ts"))![1]!.split(",");
  expect(cast).toHaveLength(5);
  const told = ["README.md", "CONTRIBUTING.md", "examples/demo/main.ts"].flatMap((file) =>
    Array.from(read(file).matchAll(/(\w+) people[^.]*?processes/gi), ([, number]) => number!.toLowerCase()),
  );
  expect(told.length).toBeGreaterThanOrEqual(3);
  expect(new Set(told)).toEqual(new Set(["five"]));
});

describe("the README", () => {
  const readme = read("README.md");

  test("has the command for its program before the program, with a better-sqlite3 that the package takes", () => {
    const before = readme.slice(0, readme.indexOf("```ts"));
    const { peerDependencies } = JSON.parse(read("package.json")) as { peerDependencies: Record<string, string> };
    const majors = Array.from(
      before.matchAll(/^(npm i|pnpm add).* conclave-mls better-sqlite3@(\d+)$/gm),
      ([, , major]) => major!,
    );
    expect(majors).toHaveLength(2);
    for (const major of majors) expect(peerDependencies["better-sqlite3"]).toMatch(new RegExp(`\\^${major}\\.`));
  });
});

test("the programs in docs/server.md compile strictly", async () => {
  using consumer = new Consumer();
  consumer.copyPackage();
  consumer.link("@types/node");
  const programs = Array.from(read("docs/server.md").matchAll(/^```ts\n(.*?)^```/gms), ([, program]) => program!);
  const files = programs.map((program, place) => {
    consumer.write(`program${place}.mts`, program);
    return `program${place}.mts`;
  });
  expect(files).toHaveLength(4);
  const strict = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noEmit: true };
  const compilerOptions = { ...strict, skipLibCheck: false, target: "es2022", module: "nodenext", types: ["node"] };
  consumer.write("tsconfig.json", JSON.stringify({ compilerOptions, files }));
  await consumer.tool("typescript/bin/tsc", "--project", "tsconfig.json");
}, 60_000);

test("docs/errors.md tells every field of the context, and the codes after which settle() is the next call", () => {
  const page = read("docs/errors.md");
  const types = read("dist/esm/lib/errors.d.ts");
  const fields = Array.from(/interface MlsErrorContext \{(.*?)^\}/ms.exec(types)![1]!.matchAll(/readonly (\w+)\?:/g));
  expect(fields.map(([, name]) => name).filter((name) => !page.includes(`\n| \`${name!}\` | `))).toEqual([]);
  expect(fields.length).toBeGreaterThan(4);
  const sections = page.split("\n## ").filter((section) => section.includes("*Retryable:* by `session.settle()`"));
  const open = sections.map((section) => section.split("\n")[0]);
  expect(open).toEqual(["COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED"]);
});

test("the API reference has a first page, and calls the entries as they are imported", () => {
  const { entryPoints, readme } = JSON.parse(read("typedoc.json")) as { entryPoints: string[]; readme: string };
  const entries = entryPoints.map((path) => / \* @module (\S+)$/m.exec(read(path))?.[1]);
  const { exports } = JSON.parse(read("package.json")) as { exports: Record<string, unknown> };
  const imported = Object.keys(exports).filter((path) => path !== "./package.json");
  expect(entries).toEqual(imported.map((path) => `conclave-mls${path.slice(1)}`));
  for (const entry of imported) expect(read(readme)).toContain(`\`conclave-mls${entry.slice(1)}\``);
});

/** What a page names between backticks, outside of its blocks of code. Of a table of CoreCrypto's calls, only our side. */
function spansOf(page: string): string[] {
  const ours = withoutCode(read(page)).replace(/^\|[^|]*\|/gm, (cell) =>
    page.endsWith("from-corecrypto.md") ? "|" : cell,
  );
  return Array.from(ours.matchAll(/`([^`\n]+)`/g), ([, span]) => span!);
}

/** These files and all that they import, as paths in the checkout. */
function reachable(files: string[]): string[] {
  const found = new Set(files);
  for (const file of found) {
    for (const [, name] of read(file).matchAll(/from "(\.[^"]+)\.js"/g)) {
      const path = join(dirname(file), `${name!}.d.ts`);
      if (existsSync(join(checkout, path))) found.add(path);
    }
  }
  return [...found];
}
