import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { checkout, Consumer, pack } from "./consumer.js";

const INSTALL_SCRIPTS = ["preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"];

describe("what the tarball carries", () => {
  const consumer = new Consumer();
  let tarball = "";
  let files: string[] = [];

  beforeAll(async () => {
    tarball = await pack(checkout, consumer);
    const listing = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" });
    files = listing.trim().split("\n").map((name) => name.replace(/^package\//, "")); // prettier-ignore
  }, 60_000);

  afterAll(() => consumer[Symbol.dispose]());

  test("the two builds, the addon, the licences, and nothing else", () => {
    const allowed = [
      /^dist\/(esm|cjs)\/package\.json$/,
      /^dist\/(esm|cjs)\/(lib|delivery-service|testing)\/[a-z/-]+\.([cm]?js|d\.[cm]?ts)$/,
      /^prebuilds\/[a-z0-9]+-[a-z0-9]+\/conclave(\.glibc|\.musl)?\.node$/,
      /^(package\.json|README\.md|CHANGELOG\.md|LICENSE-APACHE|LICENSE-MIT|THIRD-PARTY-NOTICES)$/,
    ];
    expect(files.filter((file) => !allowed.some((pattern) => pattern.test(file)))).toEqual([]);
    for (const build of ["dist/esm", "dist/cjs"]) {
      for (const entry of ["lib/index", "delivery-service/index", "testing/index"]) {
        expect(files).toEqual(expect.arrayContaining([`${build}/${entry}.js`, `${build}/${entry}.d.ts`]));
      }
    }
    expect(files).toEqual(expect.arrayContaining(["LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-NOTICES"]));
    expect(files.some((file) => file.endsWith(".node"))).toBe(true);
  });

  test("nothing that runs when it is installed, and one dependency", () => {
    const manifest = JSON.parse(readFileSync(join(checkout, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
      dependencies: Record<string, string>;
      gypfile: boolean;
    };
    expect(Object.keys(manifest.scripts).filter((name) => INSTALL_SCRIPTS.includes(name))).toEqual([]);
    expect(manifest.gypfile).toBe(false); // A binding.gyp would make npm call node-gyp by itself.
    expect(files).not.toContain("binding.gyp");
    expect(Object.keys(manifest.dependencies)).toEqual(["zod"]);
  });

  test("an addon that keeps the package small", () => {
    expect(statSync(tarball).size).toBeLessThan(8_000_000);
  });

  test("types that resolve in every module system (attw)", async () => {
    await consumer.tool("@arethetypeswrong/cli/dist/index.js", tarball);
  }, 60_000);

  test("a manifest that tools agree with (publint)", async () => {
    await consumer.tool("publint/src/cli.js", "run", tarball, "--strict");
  }, 60_000);
});
