import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const checkout = resolve(__dirname, "../..");

/** What a part of the crash tests reports; docs/crash-tests.md has their long versions. */
interface Report {
  readonly wrong: readonly string[];
  readonly [figure: string]: unknown;
}

/** Runs main.ts as it is compiled, with these options, and answers what it reports of this part. */
async function report(part: "kills" | "once" | "creation" | "power" | "faults", ...options: string[]): Promise<Report> {
  const program = join(checkout, "dist/programs/__tests__/crash/main.js");
  const child = spawn(process.execPath, [program, "--json", ...options], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise((done, failed) => child.on("error", failed).on("close", done));
  const reports = /^\{.*\}$/m.exec(output);
  if (reports === null) throw new Error(`The crash tests ended with ${String(code)}, saying: ${output}`);
  return (JSON.parse(reports[0]) as Record<string, Report>)[part]!;
}

if (process.platform === "linux") describe("the keystore survives", survives);
else
  console.warn(
    `The crash tests are skipped: they watch files as only Linux lets them, and this is ${process.platform}.`,
  );

function survives(): void {
  test("kills at any moment", async () => {
    expect(await report("kills", "--kills", "25", "--seed", "1")).toMatchObject({
      wrong: [],
      sealed: expect.any(Number) as number,
    });
  }, 120_000);

  test("kills aimed at a delivery: everything is heard once, and mistakes are found out", async () => {
    expect(await report("once", "--moments", "100")).toMatchObject({
      wrong: [],
      mistakes: {
        "acknowledges first": expect.stringContaining("is missing") as string,
        "stores afterwards": expect.stringContaining("is missing") as string,
        "moves its cursor first": expect.stringContaining("is missing") as string,
        "stores without a key": expect.stringContaining("is there 2 times") as string,
      },
    });
  }, 120_000);

  test("kills while it is created and its first states are stored", async () => {
    const { wrong, kills, left } = await report("creation", "--births", "1");
    expect(wrong).toEqual([]);
    expect(kills).toBeGreaterThan(20);
    // Among them are those between the first write and the name that it gets in the end.
    expect(left).toHaveProperty(["alice.db-creating alice.db.lock"]);
  }, 120_000);

  test("power cuts", async () => {
    expect(await report("power", "--images", "30", "--seed", "1")).toMatchObject({ wrong: [], images: 30 });
  }, 120_000);

  test("a disk that fails now and then", async () => {
    const { wrong, injected } = await report("faults", "--every", "11");
    expect(wrong).toEqual([]);
    expect(injected).toBeGreaterThan(20);
  }, 120_000);
}

test("no released addon answers before it stores, as that of the control does", () => {
  const mark = "answers-before-storing";
  const source = readFileSync(join(checkout, "native/src/lib.rs"), "utf8");
  expect(source).toContain(`CONTROL: &str = "-${mark}"`);
  for (const platform of readdirSync(join(checkout, "prebuilds"))) {
    for (const addon of readdirSync(join(checkout, "prebuilds", platform)))
      expect(readFileSync(join(checkout, "prebuilds", platform, addon)).includes(mark)).toBe(false);
  }
});
