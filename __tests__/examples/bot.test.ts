/** examples/bot, as a user starts it, and what it must survive. */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database, DatabaseKey } from "conclave-mls";
import { type DeliveryService, EmbeddedDeliveryService } from "conclave-mls/delivery-service";
import { Bot } from "../../examples/bot/bot.js";
import { answersTo, Person } from "../../examples/bot/person.js";
import { type Account, complaints } from "../../examples/bot/verdict.js";
import { cleanUp, freshPath } from "../support/files.js";

const MINUTE = 60_000;

describe("the bot example", () => {
  const temporary = mkdtempSync(join(tmpdir(), "conclave-bot-test-"));
  afterAll(() => rmSync(temporary, { recursive: true }));

  function start(...args: string[]): Promise<{ code: number | null; printed: string }> {
    const env = { ...process.env, TMPDIR: temporary, TEMP: temporary, TMP: temporary };
    const program = join(__dirname, "../../dist/programs/examples/bot/main.js");
    const child = spawn(process.execPath, [program, ...args], { env });
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => (printed += part));
    }
    return new Promise((resolve) => child.on("close", (code) => resolve({ code, printed })));
  }

  test(
    "loses nothing and says nothing twice in 100 conversations behind a lossy network",
    async () => {
      const { code, printed } = await start("--conversations", "100", "--seed", "7");
      expect(printed).toContain("Nothing was lost, and nothing was said twice.");
      expect(code).toBe(0);
      const figures = new Map(Array.from(printed.matchAll(/^(\w.*?)  +(.*)$/gm), ([, name, value]) => [name!, value!]));
      expect(figures.get("messages to the bot")).toBe("900 of 900");
      expect(Number(figures.get("told to retry"))).toBeGreaterThan(0);
      const [, unknown, settled] = /(\d+), settled (\d+)/.exec(figures.get("outcomes unknown")!)!;
      expect(Number(unknown)).toBeGreaterThan(0);
      expect(settled).toBe(unknown);
      for (const fault of ["lost", "unanswered", "belated", "slow", "twice", "repeated", "reordered"]) {
        expect(figures.get("faults of the network")).toMatch(new RegExp(`${fault} [1-9]`));
      }
      expect(readdirSync(temporary)).toEqual([]);
    },
    3 * MINUTE,
  );

  test("says how it is started", async () => {
    const { code, printed } = await start("--conversations", "many");
    expect(printed).toMatch(/^Usage:/);
    expect(code).toBe(2);
  });
});

describe("the bot", () => {
  afterEach(cleanUp);

  test.each([
    ["was taken", true],
    ["was not", false],
  ])("that ends before it learns that its answer %s, answers once", async (_what, taken) => {
    const service = await EmbeddedDeliveryService.inMemory();
    const person = await Person.arrive("person", service, 1);
    const path = await freshPath("bot.keystore");
    const key = DatabaseKey.generate();

    let answering = (): void => {};
    const answered = new Promise<void>((resolve) => (answering = resolve));
    const silent = new Proxy<DeliveryService>(service, {
      get(target, name: keyof DeliveryService) {
        if (name !== "sendMessage") return Reflect.get(target, name).bind(target) as unknown;
        return async (clientId: string, message: Uint8Array) => {
          if (taken) await service.sendMessage(clientId, message);
          answering();
          return new Promise(() => {});
        };
      },
    });
    const first = await Bot.arrive("bot", silent, await Database.open(path, key));
    await first.client.publishKeyPackages(1);
    await person.client.create("team", ["bot"]);
    await person.says("team", "ping 1");
    await answered;
    first.working.catch(() => {}); // It cannot go on: its session is closed under its feet.
    await first.client.session.close();

    const second = await Bot.arrive("bot", service, await Database.open(path, key));
    await person.asks("team", "ping 2");
    expect([...person.heard.values()].map(({ text }) => text)).toEqual(["ping 1: pong", "ping 2: pong"]);
    await second.leave();
    await person.client.leave();
    await service.close();
  });
});

describe("its verdict", () => {
  const line = (by: string, text: string) => ({ conversationId: "team", by, text });
  const good: Account = {
    asked: [line("alice", "ping 1")],
    heard: new Map([["alice", [line("bob", "hello"), line("bot", "ping 1: pong")]]]),
    requests: [{ conversationId: "team", request: "ping 1" }],
    views: new Map([["team", ["alice, bot: 01", "alice, bot: 01"]]]),
    trouble: [],
  };

  test("is content when all is well", () => {
    expect(complaints(good)).toEqual([]);
    expect(answersTo("ping 1", "team", good.heard.get("alice")!)).toHaveLength(1);
  });

  test.each<[string, Partial<Account>, string]>([
    ["a lost request", { requests: [] }, "reached the bot 0 times"],
    ["a repeated request", { requests: [...good.requests, ...good.requests] }, "reached the bot 2 times"],
    ["a lost answer", { heard: new Map([["alice", []]]) }, "was answered 0 times"],
    [
      "a repeated answer",
      { heard: new Map([["alice", [line("bot", "ping 1: pong"), line("bot", "ping 1: pong")]]]) },
      "was answered 2 times",
    ],
    [
      "an answer after the removal",
      { heard: new Map([...good.heard, ["bob", [line("bot", "ping after the end: pong")]]]) },
      "after it was removed",
    ],
    ["members that do not agree", { views: new Map([["team", ["alice: 01", "alice: 02"]]]) }, "do not agree"],
    ["something that was rejected", { trouble: ["rejected: forged"] }, "rejected: forged"],
  ])("complains of %s", (_what, difference, complaint) => {
    expect(complaints({ ...good, ...difference })).toEqual([expect.stringContaining(complaint)]);
  });
});
