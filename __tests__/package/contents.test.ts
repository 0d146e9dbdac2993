import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { headingsOf, withoutCode } from "../support/pages.js";
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

  test("the two builds, the addon, the pages, the examples, the licences, and nothing else", () => {
    const allowed = [
      /^dist\/(esm|cjs)\/package\.json$/,
      /^dist\/(esm|cjs)\/(lib|delivery-service|testing)\/[a-z/-]+\.([cm]?js|d\.[cm]?ts)$/,
      /^prebuilds\/[a-z0-9]+-[a-z0-9]+\/conclave(\.glibc|\.musl)?\.node$/,
      /^(package\.json|README\.md|CHANGELOG\.md|LICENSE-APACHE|LICENSE-MIT|THIRD-PARTY-NOTICES)$/,
      /^(CONTRIBUTING|SECURITY|docs\/[\w-]+)\.md$/,
      /^docs\/[\w-]+\.(png|svg)$/,
      /^examples\/[\w-]+\/[\w.-]+\.(ts|md|txt)$/,
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

  test("pages whose links lead to what it carries, and to headings that are there", () => {
    const lost = files
      .filter((file) => file.endsWith(".md"))
      .flatMap((page) => {
        const prose = withoutCode(read(page));
        return Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link!)
          .filter((link) => !link.includes(":") && !leads(page, link))
          .map((link) => `${page}: ${link}`);
      });
    expect(lost).toEqual([]);
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

  /** Whether the file of the link is in the tarball, and has the heading. */
  function leads(page: string, link: string): boolean {
    const [path, heading] = link.split("#");
    const file = path === "" ? page : normalize(join(dirname(page), path!));
    if (!files.includes(file)) return false;
    return heading === undefined || headingsOf(read(file)).includes(heading);
  }

  const read = (file: string): string => readFileSync(join(checkout, file), "utf8");

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
