import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkout, Consumer } from "./package/consumer.js";

const read = (path: string): string => readFileSync(join(checkout, path), "utf8");
const readme = read("README.md");
const example = read("examples/readme/team.ts");

describe("the example in the README", () => {
  const consumer = new Consumer();

  beforeAll(() => {
    consumer.copyPackage();
    consumer.link("zod", "better-sqlite3", "@types/node");
  });

  afterAll(() => consumer[Symbol.dispose]());

  test("is the file in examples/, and short", () => {
    const [, shown] = /```ts\n(.*?)```/s.exec(readme)!;
    expect(shown).toBe(example);
    expect(example.split("\n").filter((line) => line !== "").length).toBeLessThanOrEqual(25);
  });

  test("compiles strictly in somebody's project, and Bob reads what Alice wrote", async () => {
    const compilerOptions = {
      strict: true,
      skipLibCheck: false,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      target: "es2022",
      module: "nodenext",
      types: ["node"],
    };
    consumer.write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["team.mts"] }));
    consumer.write("team.mts", example);
    await consumer.tool("typescript/bin/tsc", "--project", "tsconfig.json");
    expect(await consumer.node("main.mjs", `import "./team.mjs";`)).toBe("Bob reads: Hello, Bob!");
  }, 60_000);
});

describe("the README", () => {
  const text = readme.replace(/\s+/g, " ");
  const limits = new Map(
    Array.from(read("native/core/src/limits.rs").matchAll(/const (\w+): \w+ = ([\d_ *]+);/g), ([, name, product]) => [
      name!,
      product!
        .replaceAll("_", "")
        .split("*")
        .reduce((value, factor) => value * Number(factor), 1),
    ]),
  );
  const KIB = 1024;
  const MIB = 1024 * KIB;

  test.each([
    ["MAX_PLAINTEXT", MIB, "a message N MiB"],
    ["MAX_AAD", KIB, "its `aad` N KiB"],
    ["MAX_PUBLIC_MESSAGE", MIB, "a commit that is not encrypted N MiB"],
    ["MAX_GROUP_INFO", MIB, "a GroupInfo N MiB"],
    ["MAX_KEY_PACKAGE", KIB, "a key package N KiB"],
    ["MAX_LIST", 1, "N members added or removed in one commit"],
    ["MAX_DATA_VALUE", MIB, "a value of `setData` N MiB"],
    ["PAST_EPOCHS", 1, "for N past epochs"],
    ["OUT_OF_ORDER", 1, "of one sender N may come out of order"],
    ["FORWARD", 1, "and N be missing before one"],
    ["MAX_BUFFERED", 1, "Early messages: N"],
    ["MAX_BUFFERED_BYTES", MIB, "and N MiB wait for each conversation"],
    ["MAX_BUFFERED_STRANGERS", 1, "and N conversations not joined yet"],
    ["MAX_BUFFERED_OF_STRANGERS", 1, "N messages and"],
    ["MAX_BUFFERED_BYTES_OF_STRANGERS", MIB, "messages and N MiB for all of these"],
    ["MAX_BUFFERED_STRANGER", KIB, "each of at most N KiB"],
    ["MAX_BUFFERED_BY_ONE", 1, "each member has N."],
  ])("tells the core's %s", (name, unit, phrase) => {
    expect(text).toContain(phrase.replace("N", (limits.get(name)! / unit).toLocaleString("en")));
  });
});

describe("the map of the source", () => {
  const sources = ["lib", "delivery-service", "testing", "native", "scripts", "examples", "__tests__"].flatMap(filesIn);

  test("docs/architecture.md names files that exist", () => {
    const paths = read("docs/architecture.md").match(
      /\b(lib|native|delivery-service|testing|scripts|examples)\/[\w./-]*/g,
    )!;
    expect(paths.map((path) => path.replace(/\.$/, "")).filter((path) => !existsSync(join(checkout, path)))).toEqual(
      [],
    );
  });

  test("docs/architecture.md names functions where they are", () => {
    const page = read("docs/architecture.md");
    const lost: string[] = [];
    for (const [, file, names] of page.matchAll(/([\w./-]+\.(?:ts|rs))`?((?:[ ,`\n]+#?\w+\(\)`?)+)/g)) {
      const texts = sources.filter((source) => source === file || source.endsWith(`/${file}`)).map(read);
      for (const [, name] of names!.matchAll(/(\w+)\(\)/g)) {
        if (!texts.some((text) => new RegExp(`\\b${name}\\b`).test(text))) lost.push(`${file} ${name}()`);
      }
    }
    const everything = sources.map(read).join("\n");
    for (const [, name] of page.matchAll(/(\w+)\(\)/g)) {
      if (!new RegExp(`\\b${name}\\b`).test(everything)) lost.push(`${name}()`);
    }
    expect(lost).toEqual([]);
  });
});

/** The program files under a folder of the checkout. */
function filesIn(folder: string): string[] {
  return readdirSync(join(checkout, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return path === "native/target" ? [] : filesIn(path);
    return /\.(ts|rs|mjs)$/.test(path) ? [path] : [];
  });
}
