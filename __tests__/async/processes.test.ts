import { Database, DatabaseKey, Session } from "conclave-mls";
import { cleanUp, freshPath } from "../support/files.js";
import { run, runWith } from "../support/programs.js";

afterEach(cleanUp);
jest.setTimeout(120_000);

/** Runs the program that leaves in this way, and opens its keystore afterwards. */
async function leave(how: string) {
  const path = await freshPath();
  const key = DatabaseKey.generate();
  const ending = await run("leave", how, path, Buffer.from(key.copyBytes()).toString("hex"));
  const session = await Session.open(await Database.open(path, key), { clientId: "alice" });
  try {
    return {
      ending,
      whole: await session.data("whole"),
      half: await session.data("half"),
      conversations: await session.conversations(),
      unsettled: await session.unsettledCommits(),
    };
  } finally {
    await session.close();
  }
}

describe("process.exit", () => {
  it.each(["exit in a transaction", "exit while sending", "exit with much under way", "exit while pages are written"])(
    "%s: with its code and no crash, and the keystore is as it was stored last",
    async (how) => {
      const { ending, whole, half, conversations, unsettled } = await leave(how);
      expect(ending).toEqual({ code: 7, signal: null, stdout: "", stderr: "" });
      expect(whole).toEqual(new Uint8Array([1]));
      expect(half).toBeUndefined();
      expect(conversations).toEqual(["team"]);
      expect(unsettled).toMatchObject(how === "exit while sending" ? [{ conversationId: "team", why: "restart" }] : []);
    },
  );
});

describe("nothing keeps the process alive", () => {
  it.each(["close", "leave it open", "leave a transaction that was given up"])("after: %s", async (how) => {
    const { ending, whole } = await leave(how);
    expect(ending).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
    expect(whole).toEqual(new Uint8Array([1]));
  });
});

it("20 worker threads use the addon, 50 are terminated in the middle, and the main thread goes on", async () => {
  const ending = await run("workers");
  expect(ending).toEqual({ code: 0, signal: null, stdout: "and the main thread heard 0,1,2\n", stderr: "" });
});

it("works where code must not be generated from strings", async () => {
  const ending = await runWith(["--disallow-code-generation-from-strings"], "jitless");
  expect(ending).toEqual({ code: 0, signal: null, stdout: "true alice\n", stderr: "" });
});
