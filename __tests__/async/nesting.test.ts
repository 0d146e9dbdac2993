import { setTimeout as timer } from "node:timers";
import { AsyncLocalStorage } from "node:async_hooks";
import { type MlsTransport, type Received, Session, type TransactionContext } from "conclave-mls";
import { callsOfSession } from "../support/calls.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

async function aliceAndBob(settings: Parameters<typeof Person.comes>[2] = {}) {
  const server = new Server();
  const alice = await Person.comes("alice", server, settings);
  const bob = await Person.comes("bob", server);
  await alice.creates("team", bob);
  return { server, alice, bob };
}

/** All calls of a session that would wait for its turn. */
function callsOf({ session, credential }: Person): Promise<unknown>[] {
  return callsOfSession(session, credential, session.conversation("team"));
}

describe("a session inside its own transaction", () => {
  it("refuses every call at once, and the transaction goes on", async () => {
    const { alice } = await aliceAndBob();
    await alice.session.transaction(async (tx) => {
      for (const call of callsOf(alice)) await expectCode(call, "TRANSACTION_NESTED");
      await tx.setData("still", bytes("fine"));
    });
    expect(await alice.session.data("still")).toEqual(bytes("fine"));
    expect(await alice.session.conversations()).toEqual(["team"]);
  });

  it("refuses also from deep inside what the callback awaits", async () => {
    const { alice } = await aliceAndBob();
    await alice.session.transaction(async (tx) => {
      await tx.conversations();
      await new Promise((resolve) => setImmediate(resolve));
      await expectCode(alice.session.conversations(), "TRANSACTION_NESTED");
    });
  });

  it("lets another session be used, and that one's transactions", async () => {
    const { alice, bob } = await aliceAndBob();
    await alice.session.transaction(async (tx) => {
      await bob.session.transaction(async (bobs) => {
        await bobs.setData("x", bytes("1"));
        await expectCode(alice.session.conversations(), "TRANSACTION_NESTED");
        await tx.setData("x", bytes("2"));
      });
      expect(await bob.session.data("x")).toEqual(bytes("1"));
    });
    expect(await alice.session.data("x")).toEqual(bytes("2"));
  });

  it("counts none that has ended, even where a timer carries it on", async () => {
    const { alice } = await aliceAndBob();
    const later = await alice.session.transaction(() => [
      new Promise((resolve, reject) => {
        timer(() => void alice.session.conversations().then(resolve, reject), 0);
      }),
    ]);
    expect(await later[0]).toEqual(["team"]);
  });

  it("may be used while the transaction has given up its turn", async () => {
    const { server, alice } = await aliceAndBob();
    let inTheOpen!: () => void;
    const open = new Promise<void>((resolve) => (inTheOpen = resolve));
    let go!: () => void;
    server.next(
      (sent) =>
        new Promise((resolve) => {
          go = () => resolve(server.take(sent));
          inTheOpen();
        }),
    );
    await alice.session.transaction(async (tx) => {
      const update = tx.conversation("team").updateKeys();
      await open;
      expect(await alice.session.conversations()).toEqual(["team"]);
      await alice.session.transaction((other) => other.setData("x", bytes("1")));
      go();
      expect(await update).toMatchObject({ outcome: "merged" });
      await expectCode(alice.session.conversations(), "TRANSACTION_NESTED");
    });
  });

  it("may be closed, which ends the transaction", async () => {
    const { alice } = await aliceAndBob();
    const work = alice.session.transaction(async (tx) => {
      await alice.session.close();
      await tx.setData("x", bytes("1"));
    });
    await expectCode(work, "SESSION_CLOSED");
  });
});

describe("the transport's methods", () => {
  it("may use the session while it sends, also with transactions", async () => {
    const server = new Server();
    const honest = server.transport("alice");
    const seen: unknown[] = [];
    const transport: MlsTransport = {
      async sendCommitBundle(bundle, context) {
        const { session } = alice;
        seen.push(await session.conversations());
        seen.push(await session.transaction((tx) => tx.data("x")));
        seen.push(await session.conversation(context.conversationId).epoch());
        return honest.sendCommitBundle(bundle, context);
      },
    };
    const alice = await Person.comes("alice", server, { transport });
    const team = await alice.creates("team");
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged" });
    expect(await alice.session.transaction((tx) => tx.conversation("team").updateKeys())).toMatchObject({ epoch: 2n });
    expect(seen).toEqual([["team"], undefined, 0n, ["team"], undefined, 1n]);
  });

  it("may commit in another conversation", async () => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const team = await alice.creates("team");
    const other = await alice.creates("other");
    server.next(async (sent) => {
      expect(await other.updateKeys()).toMatchObject({ outcome: "merged" });
      return server.take(sent);
    });
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged" });
  });

  it("are called with the transport as this, and outside the caller's transaction", async () => {
    const server = new Server();
    class Mine implements MlsTransport {
      readonly #honest = server.transport("alice");
      readonly calls: string[] = [];
      async sendCommitBundle(...call: Parameters<MlsTransport["sendCommitBundle"]>) {
        this.calls.push("send");
        return this.calls.length === 1
          ? ({ status: "retry", afterMs: 0 } as const)
          : this.#honest.sendCommitBundle(...call);
      }
      async fetchMessages() {
        this.calls.push("fetch");
        return [];
      }
    }
    const transport = new Mine();
    const alice = await Person.comes("alice", server, { transport });
    const team = await alice.creates("team");
    await team.updateKeys();
    expect(transport.calls).toEqual(["send", "fetch", "send"]);
  });

  it("keep the AsyncLocalStorage of the application", async () => {
    const storage = new AsyncLocalStorage<string>();
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const team = await alice.creates("team");
    let seen: unknown;
    server.next((sent) => {
      seen = storage.getStore();
      return server.take(sent);
    });
    await storage.run("mine", () => team.updateKeys());
    expect(seen).toBe("mine");
  });
});

describe("deliver", () => {
  type Work = (tx: TransactionContext, received: readonly Received[]) => Promise<void>;

  /** Alice, whose deliver does whatever the test says. */
  async function delivering() {
    const work: { now: Work } = { now: async () => {} };
    const { server, alice, bob } = await aliceAndBob({ deliver: (received, tx) => work.now(tx, received) });
    return { server, alice, bob, work };
  }

  it("works with the tx it is given", async () => {
    const { alice, bob, work } = await delivering();
    work.now = async (tx, received) => {
      await tx.setData("last", bytes(received.map(({ messageId }) => messageId).join()));
      await tx.conversation("team").encrypt(bytes("an answer"));
    };
    await bob.says("team", "hello");
    const [received] = await alice.session.receive(alice.server.log("team").at(-1)!);
    expect(await alice.session.data("last")).toEqual(bytes(received!.messageId));
  });

  it("is refused the session, in a call and in a transaction", async () => {
    const { alice, bob, work } = await delivering();
    let refused = 0;
    work.now = async () => {
      for (const call of callsOf(alice)) await expectCode(call, "TRANSACTION_NESTED");
      refused += 1;
    };
    await bob.says("team", "one");
    await bob.says("team", "two");
    const [one, two] = alice.server.log("team").slice(-2);
    await alice.session.receive(one!);
    await alice.session.transaction((tx) => tx.receive(two!));
    expect(refused).toBe(2);
  });

  it("is refused the transaction around it, which waits for it", async () => {
    const { alice, bob, work } = await delivering();
    await bob.says("team", "hello");
    await alice.session.transaction(async (outer) => {
      work.now = async (tx) => {
        await expectCode(outer.setData("x", bytes("1")), "TRANSACTION_NESTED");
        await expectCode(outer.conversation("team").epoch(), "TRANSACTION_NESTED");
        await tx.setData("x", bytes("2"));
      };
      await outer.receive(alice.server.log("team").at(-1)!);
      await outer.setData("y", bytes("3"));
    });
    expect(await alice.session.data("x")).toEqual(bytes("2"));
    expect(await alice.session.data("y")).toEqual(bytes("3"));
  });

  it("cannot send a commit, nor end the transaction it is in", async () => {
    const { server, alice, bob, work } = await delivering();
    const sends = server.sends.length;
    work.now = async (tx) => {
      await expectCode(tx.conversation("team").updateKeys(), "TRANSACTION_NESTED");
      await expectCode(tx.finish(), "TRANSACTION_NESTED");
      await expectCode(tx.abort(), "TRANSACTION_NESTED");
    };
    await bob.says("team", "hello");
    expect(await alice.hears("team")).toEqual(["hello"]);
    expect(server.sends).toHaveLength(sends);
  });

  it("has its own calls awaited, and a tx that ends with it", async () => {
    const { alice, bob, work } = await delivering();
    let kept!: TransactionContext;
    work.now = async (tx) => {
      kept = tx;
      void tx.setData("x", bytes("1"));
    };
    await bob.says("team", "hello");
    await alice.hears("team");
    expect(await alice.session.data("x")).toEqual(bytes("1"));
    await expectCode(kept.setData("x", bytes("2")), "TRANSACTION_ENDED");
  });

  it("may use another session", async () => {
    const { alice, bob, work } = await delivering();
    work.now = async () => {
      expect(await bob.session.conversations()).toEqual(["team"]);
    };
    await bob.says("team", "hello");
    expect(await alice.hears("team")).toEqual(["hello"]);
  });
});

describe("listeners", () => {
  it("may use the session, also when a transaction has caused the event", async () => {
    const { alice } = await aliceAndBob();
    const epochs: Promise<bigint>[] = [];
    alice.session.on("conversationChanged", ({ conversationId }) => {
      epochs.push(alice.session.conversation(conversationId).epoch());
    });
    await alice.session.transaction(async (tx) => {
      await tx.conversation("team").updateKeys();
      await tx.createConversation("other", { credential: alice.credential });
    });
    expect(await Promise.all(epochs)).toEqual([2n, 0n]);
  });

  it("that throw or reject become warnings, and the others are called", async () => {
    const { alice } = await aliceAndBob();
    const warned = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
    const called: string[] = [];
    alice.session.on("conversationChanged", () => {
      called.push("throws");
      throw new Error("mine");
    });
    const rejects = (): unknown => {
      called.push("rejects");
      return Promise.reject(new Error("mine too"));
    };
    alice.session.on("conversationChanged", rejects);
    const stop = alice.session.on("conversationChanged", () => called.push("stopped"));
    alice.session.on("conversationChanged", () => called.push("fine"));
    stop();
    await alice.session.conversation("team").updateKeys();
    expect(called).toEqual(["throws", "rejects", "fine"]);
    await new Promise((resolve) => setImmediate(resolve)); // The rejection is seen a moment later.
    const message = 'A listener of "conversationChanged" threw. The event is not repeated.';
    expect(warned.mock.calls.map(([warning]) => warning)).toEqual([message, message]);
    warned.mockRestore();
  });

  it("must be functions, of events that there are", async () => {
    const { alice } = await aliceAndBob();
    expect(() => alice.session.on("nothing" as never, () => {})).toThrow(/event must be one of/);
    expect(() => alice.session.on("toString" as never, () => {})).toThrow(/event must be one of/);
    expect(() => alice.session.on("commitSettled", 7 as never)).toThrow(/listener must be a function/);
    expect(alice.session).toBeInstanceOf(Session);
  });
});
