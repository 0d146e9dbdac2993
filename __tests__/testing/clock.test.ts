import { Database, type MlsTransport, Session } from "conclave-mls";
import { SimulatedClock, withClock } from "conclave-mls/testing";
import { inOrder } from "../../lib/in-order.js";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { sayNothing, sayRetry, Server } from "../support/server.js";

afterEach(everybodyLeaves);

describe("a simulated clock", () => {
  it("stands still until it is moved, and then calls back whoever waited long enough, in order", () => {
    const clock = new SimulatedClock({ start: 5_000 });
    const called: string[] = [];
    clock.after(20, () => called.push("second"));
    clock.after(10, () => called.push("first"));
    clock.after(10, () => called.push("first, but later"));
    clock.after(30, () => called.push("third"));
    const stop = clock.after(15, () => called.push("stopped"));
    stop();
    expect(clock.now()).toBe(5_000);
    clock.advance(20);
    expect(clock.now()).toBe(5_020);
    expect(called).toEqual(["first", "first, but later", "second"]);
    expect(clock.delays).toEqual([30]);
  });

  it("moves from one moment to the next that somebody waits for", async () => {
    const clock = new SimulatedClock({ start: 0 });
    const moments: number[] = [];
    const walk = async (): Promise<void> => {
      for (const ms of [5, 500, 50_000]) {
        await clock.sleep(ms);
        moments.push(clock.now());
      }
    };
    void walk();
    expect(await clock.next()).toBe(true);
    expect(moments).toEqual([5]);
    while (await clock.next());
    expect(moments).toEqual([5, 505, 50_505]);
    expect(await clock.next()).toBe(false);
  });

  it("waits for work that is no timer before it moves", async () => {
    const clock = new SimulatedClock({ start: 0 });
    const work = clock.during(
      new Promise<string>((resolve) => void setImmediate(() => setImmediate(() => resolve("done")))),
    );
    const order: string[] = [];
    void work.then((word) => order.push(word));
    clock.after(1, () => order.push("timer"));
    await clock.next();
    expect(order).toEqual(["done", "timer"]);
  });

  it("says so when work waits for what never comes", async () => {
    const clock = new SimulatedClock();
    await expect(clock.until(new Promise(() => {}))).rejects.toThrow("waits for something that never comes");
    await expect(clock.until(Promise.reject(new Error("its own failure")))).rejects.toThrow("its own failure");
  });

  it("is at work as long as a native object is, whose answers a session hands out in the order of the calls", async () => {
    const clock = new SimulatedClock();
    const finish: (() => void)[] = [];
    const calls = {
      slow: () => new Promise<void>((resolve) => void finish.push(resolve)),
      fast: () => Promise.resolve(),
      failing: () => Promise.reject(new Error("refused")),
      plain: () => 7,
    };
    const native = inOrder(clock.through(calls));
    const order: string[] = [];
    void native.slow().then(() => order.push("slow"));
    void native.fast().then(() => order.push("fast"));
    void native.failing().catch(() => order.push("failing"));
    expect(native.plain()).toBe(7);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(order).toEqual([]);
    finish[0]!();
    await clock.rest();
    expect(order).toEqual(["slow", "fast", "failing"]);
  });
});

describe("a session with a simulated clock", () => {
  it("goes through its back-off in no time", async () => {
    const server = new Server();
    const clock = new SimulatedClock({ start: 0 });
    const alice = await Person.comes("alice", server, { clock, fetch: false });
    const team = await alice.creates("team");
    server.next(sayRetry, sayRetry, sayRetry);
    const { attempts } = await clock.until(team.updateKeys());
    expect(attempts).toBe(4);
    expect(clock.now()).toBe(125 + 250 + 500);
  });

  it("runs into its time limit when the server never answers", async () => {
    const server = new Server();
    const clock = new SimulatedClock({ start: 0 });
    const alice = await Person.comes("alice", server, { clock });
    const team = await alice.creates("team");
    server.next(sayNothing);
    await expectCode(clock.until(team.updateKeys()), "COMMIT_OUTCOME_UNKNOWN");
    expect(clock.now()).toBe(30_000);
  });

  it("spreads its attempts as the clock's random says", async () => {
    const pauses = async (random: () => number): Promise<number> => {
      const server = new Server();
      const clock = new SimulatedClock({ start: 0, random });
      const alice = await Person.comes("alice", server, { clock, fetch: false });
      const team = await alice.creates("team");
      server.next(sayRetry);
      await clock.until(team.updateKeys());
      return clock.now();
    };
    expect(await pauses(() => 0)).toBe(125);
    expect(await pauses(() => 0.5)).toBe(187.5);
  });

  it("takes it from the options, and is not changed by it otherwise", async () => {
    const transport: MlsTransport = { sendCommitBundle: () => Promise.resolve({ status: "success" }) };
    const options = withClock({ clientId: "alice", transport }, new SimulatedClock());
    expect(JSON.parse(JSON.stringify(options))).toEqual({ clientId: "alice", transport: {} });
    await using session = await Session.open(await Database.inMemory(), options);
    expect(session.clientId).toBe("alice");
  });
});
