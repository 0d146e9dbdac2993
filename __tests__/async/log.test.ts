import type { MlsTransport, Received, SessionOptions } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { sayRetry, Server } from "../support/server.js";

afterEach(everybodyLeaves);

type Bytes = Uint8Array;
type Answer = ReturnType<NonNullable<MlsTransport["fetchMessages"]>>;
type Asked = { log: readonly Bytes[]; signal: AbortSignal };

interface Setting {
  /** How many messages bob sends before he commits, and how large they are. */
  messages?: number;
  size?: number;
  /** He commits before them, too. */
  commitsFirst?: boolean;
  /** Alice's fetchMessages, with the server's log at hand. */
  answer?: (asked: Asked) => Answer;
  /** Alice's deliver, for what is not ignored. */
  deliver?: (received: readonly Received[]) => unknown;
  clock?: FakeClock;
}

/**
 * Alice, whose deliver notes how much it gets at a time, and bob, who has sent messages and then
 * committed.
 */
async function scene({
  messages = 100,
  size = 1,
  commitsFirst = false,
  answer = ({ log }) => Promise.resolve(log),
  deliver = () => {},
  clock = new FakeClock(),
  ...settings
}: Setting & Omit<Partial<SessionOptions>, "deliver"> = {}) {
  const server = new Server();
  const portions: number[] = [];
  const transport: MlsTransport = {
    ...server.transport("alice"),
    fetchMessages: (_id, _from, signal) => answer({ log: server.log("team").slice(1), signal }),
  };
  const take = async (received: readonly Received[]): Promise<void> => {
    const fresh = received.filter(({ type }) => type !== "ignored");
    if (fresh.length === 0) return;
    const begun = clock.now();
    await deliver(fresh);
    const tooLate = clock.now() - begun >= (settings.transactionTimeoutMs ?? Infinity);
    if (!tooLate) portions.push(fresh.length);
  };
  const alice = await Person.comes("alice", server, { clock, transport, deliver: take, ...settings });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  portions.length = 0;
  const bobs = bob.session.conversation("team");
  if (commitsFirst) await bobs.updateKeys();
  for (let number = 0; number < messages; number += 1) server.post(await bobs.encrypt(new Uint8Array(size)));
  await bobs.updateKeys();
  const commit = () => clock.until(team.updateKeys());
  return { server, clock, portions, alice, team, commit };
}

/** A deliver whose disk is full after so many messages. */
function fullAfter(messages: number): (received: readonly Received[]) => void {
  let count = 0;
  return (received) => {
    count += received.filter(({ type }) => type === "message").length;
    if (count > messages) throw new Error("disk full");
  };
}

const merged = { outcome: "merged", epoch: 3n, attempts: 2 };

/** An async iterable of this, and what was asked of it. */
function iterable(log: readonly Bytes[], next?: (place: number) => Promise<unknown> | undefined) {
  const asked = { places: 0, returned: 0 };
  const messages: AsyncIterable<Bytes> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const place = asked.places++;
        await next?.(place);
        return place < log.length ? { done: false, value: log[place]! } : { done: true, value: undefined };
      },
      return() {
        asked.returned += 1;
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
  return { asked, messages };
}

describe("a catch-up", () => {
  it("receives 32 messages at a time", async () => {
    const { portions, commit } = await scene();
    expect(await commit()).toMatchObject(merged);
    expect(portions).toEqual([32, 32, 32, 5, 1]); // The last one is her own commit.
  });

  it("receives about a mebibyte at a time", async () => {
    const { portions, commit } = await scene({ messages: 5, size: 600 * 1024 });
    expect(await commit()).toMatchObject(merged);
    expect(portions).toEqual([2, 2, 2, 1]);
  });

  it("takes fewer at a time when they take longer than a transaction may, and gets on so", async () => {
    const clock = new FakeClock();
    const deliver = (received: readonly Received[]) =>
      received.some(({ type }) => type === "message") ? clock.sleep(10 * received.length) : undefined;
    const { portions, commit } = await scene({ clock, deliver, transactionTimeoutMs: 100 });
    expect(await commit()).toMatchObject(merged);
    expect(Math.max(...portions)).toBe(8);
    expect(portions.reduce((sum, portion) => sum + portion)).toBe(102);
  });

  it("keeps what was delivered when a later part cannot be", async () => {
    const { alice, portions, commit } = await scene({ deliver: fullAfter(64) });
    const error = await expectCode(commit(), "COMMIT_OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ code: "DELIVER_FAILED", cause: new Error("disk full") });
    expect(portions).toEqual([32, 32]);
    expect(await alice.session.unsettledCommits()).toMatchObject([{ why: "unknown" }]);
  });

  it("that cannot even take one message leaves the commit open, and settles when it can", async () => {
    let hangs = true;
    const deliver = (received: readonly Received[]) =>
      hangs && received.some(({ type }) => type === "message") ? new Promise(() => {}) : undefined;
    const { alice, clock, commit } = await scene({ messages: 3, deliver });
    const error = await expectCode(commit(), "COMMIT_OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ code: "TRANSACTION_TIMEOUT" });
    await expectCode(clock.until(alice.session.settle()), "TRANSACTION_TIMEOUT");
    expect(await alice.session.unsettledCommits()).toHaveLength(1);
    hangs = false;
    expect(await clock.until(alice.session.settle())).toEqual([]);
  });

  it("whose failure comes when the commit is known to be lost rejects with the failure, and nothing is open", async () => {
    const { alice, portions, commit } = await scene({ commitsFirst: true, deliver: fullAfter(64) });
    await expectCode(commit(), "DELIVER_FAILED");
    expect(portions).toEqual([32, 32]);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });
});

describe("fetchMessages may answer an async iterable", () => {
  it("as a promise of it, and is asked for more when the last part is stored", async () => {
    const ahead: number[] = [];
    let [asked, taken] = [{ places: 0, returned: 0 }, -1]; // Not counted: the commit that founds the team.
    const { portions, commit } = await scene({
      answer: ({ log }) => {
        const answer = iterable(log);
        asked = answer.asked;
        return Promise.resolve(answer.messages);
      },
      deliver: (received) => {
        taken += received.length;
        ahead.push(asked.places - taken);
      },
    });
    expect(await commit()).toMatchObject(merged);
    expect(portions).toEqual([32, 32, 32, 5, 1]);
    expect(ahead.slice(1, 4)).toEqual([0, 0, 0]);
    expect(asked).toEqual({ places: 102, returned: 0 }); // To its end: there is nothing to return from.
  });

  it("by an async generator", async () => {
    const { portions, commit } = await scene({
      async *answer({ log }) {
        yield* log;
        await Promise.resolve();
      },
    });
    expect(await commit()).toMatchObject(merged);
    expect(portions).toEqual([32, 32, 32, 5, 1]);
  });

  it("and is told when it is left early, because deliver threw", async () => {
    const log = { asked: { places: 0, returned: 0 } };
    const { commit } = await scene({
      answer: (asked) => {
        const { messages, asked: counts } = iterable(asked.log);
        log.asked = counts;
        return messages;
      },
      deliver: (received) => {
        if (received.length === 32) throw new Error("disk full");
      },
    });
    await expectCode(commit(), "COMMIT_OUTCOME_UNKNOWN");
    expect(log.asked).toEqual({ places: 32, returned: 1 });
  });

  it.each([
    ["at the time limit of a step", 30_000, 30_000],
    ["and may take that long for each step", 29_999, undefined],
  ])("and is left %s", async (_, stepMs, stoppedAt) => {
    const clock = new FakeClock();
    const seen: { asked?: { returned: number }; signal?: AbortSignal } = {};
    const { server, portions, commit } = await scene({
      clock,
      answer: ({ log, signal }) => {
        const slow = seen.asked === undefined ? [40, 41, 42] : [];
        const { asked, messages } = iterable(log, (place) => (slow.includes(place) ? clock.sleep(stepMs) : undefined));
        if (slow.length > 0) Object.assign(seen, { asked, signal });
        return messages;
      },
    });
    expect(await commit()).toMatchObject({ outcome: "merged" });
    expect(portions[0]).toBe(32); // What came in time counts.
    expect(seen.asked!.returned).toBe(stoppedAt === undefined ? 0 : 1);
    expect(seen.signal!.aborted).toBe(stoppedAt !== undefined);
    expect(server.sends.at(-1)!.context.epoch).toBe(2n);
  });

  it.each(["the signal of the caller", "the end of the session"])("and is left at %s", async (end) => {
    const log = { asked: { places: 0, returned: 0 }, signal: new AbortController().signal };
    const abort = new AbortController();
    let hanging!: () => void;
    const hangs = new Promise<void>((resolve) => (hanging = resolve));
    const { alice, team, portions } = await scene({
      answer: (question) => {
        const { messages, asked } = iterable(question.log, (place) => {
          if (place < 40) return undefined;
          hanging();
          return new Promise(() => {});
        });
        Object.assign(log, { asked, signal: question.signal });
        return messages;
      },
    });
    const update = team.updateKeys({ signal: abort.signal });
    const ends = expectCode(update, end === "the end of the session" ? "SESSION_CLOSED" : "COMMIT_OUTCOME_UNKNOWN");
    await hangs;
    if (end === "the end of the session") await alice.session.close();
    else abort.abort();
    await ends;
    expect(portions).toEqual([32]);
    expect(log.asked.returned).toBe(1);
    expect(log.signal.aborted).toBe(true);
  });

  it("to look for a join from outside, and is left when it is found", async () => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const logs: ReturnType<typeof iterable>["asked"][] = [];
    const dave = await Person.comes("dave", server, {
      clock: new FakeClock(),
      transport: {
        ...server.transport("dave"),
        fetchMessages: () => {
          const { messages, asked } = iterable(server.log("team"));
          logs.push(asked);
          return messages;
        },
      },
    });
    const bob = await Person.comes("bob", server);
    await alice.opens("team", bob);
    server.nextFrom("dave", (sent) => {
      server.take(sent);
      for (let number = 0; number < 100; number += 1) server.log("team").push(bytes(`not his ${number}`));
      return { status: "retry" };
    });
    await dave.joinsFromOutside("team");
    expect(logs).toEqual([{ places: 32, returned: 1 }]);
  });
});

it.each([
  ["nothing", undefined],
  ["no list", "text"],
  ["no bytes", ["text"]],
  [
    "an iterable of no bytes",
    (async function* () {
      await Promise.resolve();
      yield "text";
    })(),
  ],
  ["holes", new Array<Uint8Array>(2 ** 32 - 1)],
])("an answer of %s teaches nothing, and is told as the cause in the end", async (_, answer) => {
  const { server, clock, team } = await scene({ answer: () => answer as unknown as Answer });
  server.nextFrom("alice", sayRetry);
  const error = await expectCode(clock.until(team.updateKeys({ attempts: 1 })), "RETRY_EXHAUSTED");
  expect(error.cause).toMatchObject({ code: "INVALID_ARGUMENT" });
  expect((error.cause as Error).message).toContain("fetchMessages");
});
