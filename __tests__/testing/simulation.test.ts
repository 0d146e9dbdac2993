/** The simulation: short runs of it for the clients, and proof that it can find what is wrong. */
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { inspectMessage } from "conclave-mls";
import { type DeliveryService, EmbeddedDeliveryService } from "conclave-mls/delivery-service";
import { noFaults, simulate, type SimulationOptions } from "conclave-mls/testing";
import { cleanUp, freshPath } from "../support/files.js";
import { hostileGuest } from "../support/hostile.js";

afterEach(cleanUp);

const SEEDS = 40;
/** How many seeds have a hostile guest. */
const HOSTILE_SEEDS = 20;
/** A disk that syncs slowly would only make this slow. */
const folder = existsSync("/dev/shm") ? { folder: "/dev/shm" } : {};

/** Fails with the story of the run, and how to run it again. */
async function expectNoProblem(options: SimulationOptions): Promise<void> {
  const result = await simulate({ ...folder, ...options });
  if (result.problems.length > 0) {
    throw new Error(`${String(result)}\nor:    npm run test:simulation -- --seed ${options.seed} --story`);
  }
}

describe("honest clients on a bad network agree in the end", () => {
  const tens = Array.from({ length: SEEDS / 10 }, (_, place) => [place * 10 + 1, place * 10 + 10]);
  it.each(tens)(
    "with seeds %i to %i",
    async (from = 0, to = 0) => {
      for (let seed = from; seed <= to; seed++) await expectNoProblem({ seed });
    },
    60_000,
  );

  it("when there are two of them, or eight", async () => {
    for (const seed of ["two", "too"]) await expectNoProblem({ seed, clients: 2 });
    await expectNoProblem({ seed: "eight", clients: 8 });
  }, 60_000);

  it("without any fault all the more, and then nothing is out of reach", async () => {
    const { problems, counts } = await simulate({ seed: 1, steps: 60, faults: noFaults });
    expect(problems).toEqual([]);
    expect(counts["faults"]).toBeUndefined();
    expect(counts["crashes"]).toBeUndefined();
    expect(counts["messages out of reach"]).toBeUndefined();
    expect(counts["messages read"]).toBeGreaterThan(10);
  });
});

describe("a hostile member", () => {
  it("parts nobody who does not say so, in any of some runs, and is refused in some", async () => {
    const totals: Record<string, number> = {};
    for (let seed = 1; seed <= HOSTILE_SEEDS; seed++) {
      const result = await simulate({ ...folder, seed, guests: [hostileGuest] });
      if (result.problems.length > 0) {
        throw new Error(`${String(result)}\nor:    npm run test:simulation -- --seed ${seed} --guests 1 --story`);
      }
      for (const [what, count] of Object.entries(result.counts)) totals[what] = (totals[what] ?? 0) + count;
    }
    const met = ["hostile commits accepted", "stalls", "absences", "wrong clocks", "clock jumps", "Welcomes replayed"];
    for (const what of [...met, "GroupInfos replayed"]) expect([what, totals[what] ?? 0]).not.toEqual([what, 0]);
  }, 60_000);

  it("does the same for the same seed", async () => {
    for (const seed of ["a guest", "another guest"]) {
      const options = { ...folder, seed, guests: [hostileGuest, hostileGuest] };
      const [one, other] = [await simulate(options), await simulate(options)];
      expect(other.history).toEqual(one.history);
      expect(other.counts).toEqual(one.counts);
    }
  });
});

describe("a run", () => {
  it("is the same for the same seed, event by event", async () => {
    for (const seed of [3, "a word"]) {
      const [one, other] = [await simulate({ ...folder, seed }), await simulate({ ...folder, seed })];
      expect(other.history).toEqual(one.history);
      expect(one.history.length).toBeGreaterThan(40);
    }
  });

  it("is the same with joins from outside, commits that others overtake, crashes and throws", async () => {
    const joined = { "members joined anew": 0, "members joined from outside": 0, crashes: 0, throws: 0 };
    for (const seed of ["joins", "joins again", "joins anew"]) {
      const [one, other] = [await simulate({ ...folder, seed }), await simulate({ ...folder, seed })];
      expect(other.history).toEqual(one.history);
      expect(other.counts).toEqual(one.counts);
      for (const what of Object.keys(joined) as (keyof typeof joined)[]) joined[what] += one.counts[what] ?? 0;
    }
    for (const count of Object.values(joined)) expect(count).toBeGreaterThan(0);
  });

  it("is the same beside others that run at the same time", async () => {
    const alone = await simulate({ ...folder, seed: 5 });
    const [beside] = await Promise.all([5, 6, 7].map((seed) => simulate({ ...folder, seed })));
    expect(beside!.history).toEqual(alone.history);
  });

  it("is another for another seed", async () => {
    const [one, other] = [await simulate({ ...folder, seed: 8 }), await simulate({ ...folder, seed: 9 })];
    expect(other.history).not.toEqual(one.history);
  });

  it("begins like the longer one of the same seed", async () => {
    const shorter = await simulate({ ...folder, seed: 4, steps: 20 });
    const longer = await simulate({ ...folder, seed: 4, steps: 40 });
    const end = shorter.history.findIndex((line) => line.includes("settles: nothing goes wrong"));
    expect(end).toBeGreaterThan(10);
    expect(longer.history.slice(0, end)).toEqual(shorter.history.slice(0, end));
  });

  it("leaves no file behind", async () => {
    const path = mkdtempSync(await freshPath("runs-"));
    await simulate({ seed: 2, folder: path });
    expect(readdirSync(path)).toEqual([]);
  });

  it.each([{ clients: 1 }, { clients: 13 }, { clients: 2.5 }, { steps: -1 }])("refuses %j", async (options) => {
    await expect(simulate({ seed: 1, ...options })).rejects.toThrow(RangeError);
  });
});

describe("a server that breaks a rule is found", () => {
  /** The embedded service with something else in the place of some methods. */
  async function serving(broken: (honest: DeliveryService) => Partial<DeliveryService>): Promise<DeliveryService> {
    const honest = await EmbeddedDeliveryService.inMemory();
    const methods: DeliveryService = {
      publishKeyPackages: (...request) => honest.publishKeyPackages(...request),
      claimKeyPackage: (...request) => honest.claimKeyPackage(...request),
      countKeyPackages: (...request) => honest.countKeyPackages(...request),
      withdrawKeyPackages: (...request) => honest.withdrawKeyPackages(...request),
      sendCommit: (...request) => honest.sendCommit(...request),
      sendMessage: (...request) => honest.sendMessage(...request),
      fetch: (...request) => honest.fetch(...request),
      groupInfo: (...request) => honest.groupInfo(...request),
      pull: (...request) => honest.pull(...request),
      acknowledge: (...request) => honest.acknowledge(...request),
      close: () => honest.close(),
      [Symbol.asyncDispose]: () => honest.close(),
    };
    return { ...methods, ...broken(honest) };
  }

  /** The first seed, of not too many, with which it is found out. */
  async function firstProblem(broken: (honest: DeliveryService) => Partial<DeliveryService>) {
    for (let seed = 1; seed <= 30; seed++) {
      const result = await simulate({ ...folder, seed, service: () => serving(broken) });
      if (result.problems.length > 0) return result;
    }
    throw new Error("Nobody noticed.");
  }

  const faults: [string, RegExp, (honest: DeliveryService) => Partial<DeliveryService>][] = [
    [
      "two commits accepted for one epoch",
      /second commit of epoch|epoch authenticators/,
      (honest) => ({
        sendCommit: async (...request) => {
          const answer = await honest.sendCommit(...request);
          return answer.status === "retry" ? { status: "success" } : answer;
        },
      }),
    ],
    [
      "a message acknowledged before it was delivered",
      /never read|had something left to do|is in .* at epoch/,
      (honest) => ({
        pull: async (clientId, options) => {
          const entries = await honest.pull(clientId, options);
          if (entries.length < 4) return entries;
          await honest.acknowledge(clientId, entries[0]!.cursor);
          return entries.slice(1);
        },
      }),
    ],
    [
      "an external commit thrown away after it was answered with success",
      /is in .* at|nobody accepted|authenticators|could not|had something left/,
      (honest) => ({
        sendCommit: async (clientId, bundle, claim) =>
          inspectMessage(bundle.commit).external ? { status: "success" } : honest.sendCommit(clientId, bundle, claim),
      }),
    ],
    [
      "an accepted commit answered with abort",
      /is in .* at|authenticators|could not/,
      (honest) => {
        let count = 0;
        return {
          sendCommit: async (...request) => {
            const answer = await honest.sendCommit(...request);
            count += 1;
            return count % 3 === 0 && answer.status === "success"
              ? { status: "abort", reason: "changed my mind" }
              : answer;
          },
        };
      },
    ],
  ];

  it.each(faults)(
    "%s",
    async (_rule, words, broken) => {
      const result = await firstProblem(broken);
      expect(result.problems.join("\n")).toMatch(words);
    },
    60_000,
  );

  it("and the report says who did what, and how to see it again", async () => {
    const result = await firstProblem(faults[0]![2]);
    const { options, problems, history } = result;
    const report = String(result);
    for (const problem of problems.slice(0, 10)) expect(report).toContain(problem);
    expect(report).toContain(history.at(-1));
    expect(report).toMatch(/\d+\.\d{3} s {2}\w+ +\w+/);
    expect(report.split("\n").at(-1)).toBe(`Again: await simulate({ seed: ${options.seed}, clients: 4, steps: 60 })`);
    expect(report.split("\n").length).toBeLessThan(100);
  }, 60_000);
});
