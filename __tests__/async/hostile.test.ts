import type { MlsTransport, MlsTransportResponse, Received, TransactionContext } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { type Sent, Server } from "../support/server.js";

/** What the application's own code may do to us, on purpose or not. */
type Hostile = () => unknown;

/** A thenable with a `then` of one's own. */
const thenable = (then: (resolve: (value: unknown) => void, reject: (reason: unknown) => void) => void): unknown => ({
  then,
});

const never = new Promise<never>(() => {});

/** Answers of sendCommitBundle that leave the outcome of the commit unknown. None of them has accepted it. */
const answers: [string, Hostile][] = [
  ["nothing", () => undefined],
  ["null", () => null],
  ["true", () => true],
  ["the word success", () => "success"],
  ["a number", () => 200],
  ["an empty object", () => ({})],
  ["an array", () => [{ status: "success" }]],
  ["an unknown status", () => ({ status: "accepted" })],
  ["a status of another case", () => ({ status: "Success" })],
  ["a status that is an object", () => ({ status: { toString: () => "success" } })],
  ["an abort without a reason", () => ({ status: "abort" })],
  ["an abort with an Error as its reason", () => ({ status: "abort", reason: new Error("no") })],
  ["a retry after NaN", () => ({ status: "retry", afterMs: NaN })],
  ["a retry after for ever", () => ({ status: "retry", afterMs: Infinity })],
  ["a retry in the past", () => ({ status: "retry", afterMs: -1 })],
  ["a retry after text", () => ({ status: "retry", afterMs: "soon" })],
  ["a success that is not sure", () => ({ status: "success", retry: true })],
  ["a success with a reason", () => ({ status: "success", reason: "because" })],
  [
    "a status that is another at the second look",
    () => {
      let looks = 0;
      return {
        get status() {
          return looks++ === 0 ? "success" : "abort";
        },
        reason: "",
      };
    },
  ],
  [
    "a status that throws when it is read",
    () => ({
      get status(): string {
        throw new Error("trap");
      },
    }),
  ],
  [
    "a proxy that throws at every touch",
    () =>
      new Proxy(
        {},
        {
          get: (_, name) => {
            if (name === "then") return undefined;
            throw new Error("trap");
          },
          ownKeys: () => {
            throw new Error("trap");
          },
        },
      ),
  ],
  [
    "a thrown Error",
    () => {
      throw new Error("broken");
    },
  ],
  [
    "a thrown string",
    () => {
      throw "broken";
    },
  ],
  [
    "a thrown undefined",
    () => {
      throw undefined;
    },
  ],
  [
    "a thrown object that looks like ours",
    () => {
      throw { name: "MlsError", code: "SESSION_CLOSED", message: "lie" };
    },
  ],
  ["a rejection with an Error", () => Promise.reject(new Error("broken"))],
  ["a rejection with a string", () => Promise.reject("broken")],
  ["a rejection with nothing", () => Promise.reject()],
  [
    "a thenable that rejects and then answers",
    () =>
      thenable((resolve, reject) => {
        reject("no");
        resolve({ status: "success" });
      }),
  ],
  [
    "a thenable that throws",
    () =>
      thenable(() => {
        throw new Error("trap");
      }),
  ],
  [
    "a then that throws when it is read",
    () => ({
      get then(): never {
        throw new Error("trap");
      },
    }),
  ],
  ["a thenable of thenables that ends in nonsense", () => thenable((resolve) => resolve(thenable((last) => last(7))))],
];

/** And those that never come. */
const silences: [string, Hostile][] = [
  ["a promise that stays pending", () => never],
  ["a thenable that is silent", () => thenable(() => {})],
];

/** Answers that are odd in their making and yet good. */
const oddSuccesses: [string, (answer: MlsTransportResponse) => unknown][] = [
  ["no promise at all", (answer) => answer],
  [
    "a thenable that answers twice",
    (answer) =>
      thenable((resolve) => {
        resolve(answer);
        resolve({ status: "retry" });
      }),
  ],
  [
    "a thenable that answers, rejects and throws",
    (answer) =>
      thenable((resolve, reject) => {
        resolve(answer);
        reject("no");
        throw new Error("too late");
      }),
  ],
  [
    "a thenable inside a promise inside a thenable",
    (answer) => thenable((resolve) => resolve(Promise.resolve(thenable((last) => last(answer))))),
  ],
  ["an object without a prototype", (answer) => Object.assign(Object.create(null) as object, answer)],
];

/** What fetchMessages may answer instead of messages. The commit is tried again all the same. */
const fetches: [string, Hostile][] = [
  ["nothing", () => undefined],
  ["one message instead of a list", () => bytes("x")],
  ["a list of text", () => ["x"]],
  ["a list of noise", () => [bytes("noise"), new Uint8Array()]],
  ["a list with holes", () => new Array<unknown>(3)],
  ["a list that says it has four billion entries", () => new Array<unknown>(2 ** 32 - 1)],
  [
    "a list whose entries throw",
    () =>
      Object.defineProperty([], "0", {
        get: () => {
          throw new Error("trap");
        },
      }),
  ],
  [
    "an error",
    () => {
      throw new Error("offline");
    },
  ],
  [
    "a string that is thrown",
    () => {
      throw "offline";
    },
  ],
  ["a rejection with nothing", () => Promise.reject()],
];

/** What the callback of a transaction may do that ends in a rejection. */
const callbacks: [string, (tx: TransactionContext) => unknown, unknown][] = [
  [
    "throws a string",
    () => {
      throw "mine";
    },
    "mine",
  ],
  [
    "throws undefined",
    () => {
      throw undefined;
    },
    undefined,
  ],
  ["rejects with null", () => Promise.reject(null), null],
  ["returns a thenable that rejects", () => thenable((_, reject) => reject("mine")), "mine"],
  [
    "returns a thenable that throws",
    () =>
      thenable(() => {
        throw "mine";
      }),
    "mine",
  ],
  [
    "throws after an un-awaited call",
    (tx) => {
      void tx.setData("x", bytes("1"));
      throw "mine";
    },
    "mine",
  ],
  [
    "throws after un-awaited calls that fail",
    (tx) => {
      tx.conversation("nowhere")
        .epoch()
        .catch(() => {});
      throw "mine";
    },
    "mine",
  ],
];

/** What deliver may do instead of its work. */
const deliveries: [string, Hostile][] = [
  [
    "throws a string",
    () => {
      throw "no";
    },
  ],
  [
    "throws undefined",
    () => {
      throw undefined;
    },
  ],
  ["rejects with nothing", () => Promise.reject()],
  ["returns a thenable that rejects", () => thenable((_, reject) => reject("no"))],
  [
    "returns a then that throws",
    () => ({
      get then(): never {
        throw new Error("trap");
      },
    }),
  ],
];

afterEach(async () => {
  await everybodyLeaves();
  // Jest fails a test in which a rejection stays unhandled; here is the time for it to show.
  await new Promise((resolve) => setImmediate(resolve));
});

/** What the transport does instead, once. */
interface Odd {
  send?: ((sent: Sent) => unknown) | undefined;
  fetch?: Hostile | undefined;
}

/** Alice, with a transport that is honest but for the one time, and Bob. */
async function scene(settings: Parameters<typeof Person.comes>[2] = {}) {
  const server = new Server();
  const clock = new FakeClock();
  const honest = server.transport("alice");
  const odd: Odd = {};
  const transport = {
    sendCommitBundle: (bundle, context) => {
      const { send } = odd;
      odd.send = undefined;
      return send === undefined ? honest.sendCommitBundle(bundle, context) : send({ from: "alice", bundle, context });
    },
    fetchMessages: (...call) => {
      const { fetch } = odd;
      odd.fetch = undefined;
      return fetch === undefined ? honest.fetchMessages!(...call) : fetch();
    },
  } as MlsTransport;
  const alice = await Person.comes("alice", server, { clock, transport, ...settings });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  return { server, clock, alice, bob, team, odd };
}

/** Everything works as it does after an ordinary day. */
async function stillUsable({ alice, bob }: { alice: Person; bob: Person }): Promise<void> {
  expect(await alice.session.settle()).toEqual([]);
  expect(await alice.session.conversation("team").updateKeys()).toMatchObject({ outcome: "merged" });
  await bob.reads("team");
  await alice.says("team", "still here");
  expect(await bob.hears("team")).toEqual(["still here"]);
  await bob.says("team", "me too");
  await alice.reads("team");
  expect(await alice.session.transaction((tx) => tx.conversations())).toEqual(["team"]);
}

describe("sendCommitBundle", () => {
  it.each(answers)("that answers %s leaves the outcome unknown, and it settles", async (_, act) => {
    const { alice, bob, team, odd } = await scene();
    odd.send = act;
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    expect(await alice.session.unsettledCommits()).toHaveLength(1);
    await stillUsable({ alice, bob });
  });

  it.each(silences)("that answers with %s leaves the outcome unknown after its time", async (_, act) => {
    const { clock, alice, bob, team, odd } = await scene();
    odd.send = act;
    const update = expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await clock.pass(30_000);
    await update;
    await stillUsable({ alice, bob });
  });

  it.each(oddSuccesses)("that answers success by way of %s is believed", async (_, make) => {
    const { server, alice, bob, team, odd } = await scene();
    odd.send = (sent) => make(server.take(sent));
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", attempts: 1 });
    await stillUsable({ alice, bob });
  });

  it("that changes what it was given changes nothing but its own copy", async () => {
    const { server, clock, alice, bob, team, odd } = await scene({ attempts: 2 });
    odd.send = ({ bundle, context }) => {
      bundle.commit.fill(0);
      (context.change.updated as unknown[]).length = 0;
      (context as { commitId: string }).commitId = "";
      return { status: "retry" };
    };
    const update = team.updateKeys();
    await clock.pass(125);
    expect(await update).toMatchObject({ outcome: "merged", change: { updated: [{ clientId: "alice" }] } });
    expect(server.sends.at(-1)!.bundle.commit.some((byte) => byte !== 0)).toBe(true);
    await stillUsable({ alice, bob });
  });

  it("that answers after its time is not heard", async () => {
    const { server, clock, alice, bob, team, odd } = await scene();
    let answer!: () => void;
    odd.send = (sent) => new Promise((resolve) => (answer = () => resolve(server.take(sent))));
    const update = expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await clock.pass(30_000);
    await update;
    answer();
    expect(await alice.session.unsettledCommits()).toHaveLength(1);
    await stillUsable({ alice, bob });
  });
});

describe("fetchMessages", () => {
  it.each(fetches)("that answers %s is passed over", async (_, act) => {
    const { clock, alice, bob, team, odd } = await scene();
    odd.send = () => ({ status: "retry" });
    odd.fetch = act;
    const update = team.updateKeys();
    await clock.pass(125);
    expect(await update).toMatchObject({ outcome: "merged", attempts: 2 });
    await stillUsable({ alice, bob });
  });

  it("that never answers is passed over after its time", async () => {
    const { clock, alice, bob, team, odd } = await scene();
    let asked!: () => void;
    const asking = new Promise<void>((resolve) => (asked = resolve));
    odd.send = () => ({ status: "retry" });
    odd.fetch = () => (asked(), never);
    const update = team.updateKeys();
    await asking;
    await clock.pass(30_000);
    await clock.pass(125);
    expect(await update).toMatchObject({ outcome: "merged", attempts: 2 });
    await stillUsable({ alice, bob });
  });
});

describe("a transaction's callback", () => {
  it.each(callbacks)("that %s comes to that, and nothing is stored", async (_, act, thrown) => {
    const { alice, bob } = await scene();
    const outcome = await alice.session
      .transaction(async (tx) => {
        await tx.setData("half", bytes("1"));
        return act(tx);
      })
      .then(
        () => "resolved",
        (error: unknown) => ({ error }),
      );
    expect(outcome).toEqual({ error: thrown });
    expect(await alice.session.data("half")).toBeUndefined();
    expect(await alice.session.data("x")).toBeUndefined();
    await stillUsable({ alice, bob });
  });

  it.each<[string, () => unknown, unknown]>([
    [
      "a thenable that answers twice",
      () =>
        thenable((resolve) => {
          resolve("once");
          resolve("twice");
        }),
      "once",
    ],
    [
      "a thenable that answers and then throws",
      () =>
        thenable((resolve) => {
          resolve("once");
          throw new Error("late");
        }),
      "once",
    ],
    ["nothing", () => undefined, undefined],
  ])("that returns %s is stored, once", async (_, act, value) => {
    const { alice, bob } = await scene();
    const result = await alice.session.transaction(async (tx) => {
      await tx.setData("whole", bytes("1"));
      return act();
    });
    expect(result).toBe(value);
    expect(await alice.session.data("whole")).toEqual(bytes("1"));
    await stillUsable({ alice, bob });
  });

  it("that never returns is rolled back after its time", async () => {
    const { clock, alice, bob } = await scene();
    const hanging = expectCode(
      alice.session.transaction(() => never),
      "TRANSACTION_TIMEOUT",
    );
    await clock.pass(60_000);
    await hanging;
    await stillUsable({ alice, bob });
  });
});

describe("deliver", () => {
  it.each(deliveries)("that %s is DELIVER_FAILED, and it gets the same again", async (_, act) => {
    let failing = false;
    const delivered: string[] = [];
    const deliver = (received: readonly Received[]): unknown => {
      if (failing) return act();
      for (const one of received) delivered.push(one.type);
      return undefined;
    };
    const { server, alice, bob } = await scene({ deliver: deliver as never });
    delivered.length = 0;
    await bob.says("team", "hello");
    failing = true;
    await expectCode(alice.session.receive(server.log("team").at(-1)!), "DELIVER_FAILED");
    failing = false;
    expect(await alice.session.receive(server.log("team").at(-1)!)).toMatchObject([{ type: "message" }]);
    expect(delivered).toEqual(["message"]);
    await stillUsable({ alice, bob });
  });

  it("that changes what it was given changes what the call returns, and nothing else", async () => {
    const deliver = (received: readonly Received[]): void => {
      (received as Received[]).length = 0;
    };
    const { server, alice, bob } = await scene({ deliver });
    await bob.says("team", "hello");
    const message = server.log("team").at(-1)!;
    await alice.session.receive(message);
    expect(await alice.session.data("x")).toBeUndefined();
    await stillUsable({ alice, bob });
  });
});

it("holds at least 50 hostile cases", () => {
  const tables = [answers, silences, oddSuccesses, fetches, callbacks, deliveries];
  expect(tables.reduce((count, { length }) => count + length, 0)).toBeGreaterThanOrEqual(50);
});
