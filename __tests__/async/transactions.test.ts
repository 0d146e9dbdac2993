import type { MlsConversation, MlsError, TransactionContext } from "conclave-mls";
import { callsOfConversation, callsOfOperations } from "../support/calls.js";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import { sayAbort, sayRetry, Server } from "../support/server.js";

afterEach(everybodyLeaves);

async function aliceAndBob(settings: { clock?: FakeClock } = {}) {
  const server = new Server();
  const alice = await Person.comes("alice", server, settings);
  const bob = await Person.comes("bob", server);
  await alice.creates("team", bob);
  return { server, alice, bob };
}

const stored = async (alice: Person, key: string): Promise<string | undefined> => {
  const value = await alice.session.data(key);
  return value === undefined ? undefined : text(value);
};

describe("what a transaction does", () => {
  it("is stored together when its callback returns", async () => {
    const { alice, bob } = await aliceAndBob();
    await bob.says("team", "hello");
    const received = await alice.session.transaction(async (tx) => {
      await tx.setData("cursor", bytes("2"));
      return tx.receive(alice.server.log("team").slice(1));
    });
    expect(received).toMatchObject([{ type: "message", sender: { clientId: "bob" } }]);
    expect(await stored(alice, "cursor")).toBe("2");
  });

  it("is not stored at all when it throws, and what it throws comes out by identity", async () => {
    const { alice, bob } = await aliceAndBob();
    await bob.says("team", "hello");
    const mistake = new Error("mine");
    const failing = alice.session.transaction(async (tx) => {
      await tx.setData("cursor", bytes("2"));
      await tx.receive(alice.server.log("team").slice(1));
      await tx.createConversation("other", { credential: alice.credential });
      throw mistake;
    });
    await expect(failing).rejects.toBe(mistake);
    expect(await stored(alice, "cursor")).toBeUndefined();
    expect(await alice.session.conversations()).toEqual(["team"]);
    expect(await alice.hears("team")).toEqual(["hello"]);
  });

  it.each([
    ["a string", "no"],
    ["undefined", undefined],
    ["null", null],
    ["a number", 7],
  ])("throws %s: it comes out as it is", async (_, thrown) => {
    const { alice } = await aliceAndBob();
    const caught: unknown[] = [];
    await alice.session
      .transaction(() => {
        throw thrown;
      })
      .catch((error: unknown) => caught.push(error));
    expect(caught).toEqual([thrown]);
    expect(await alice.session.conversations()).toEqual(["team"]);
  });

  it("a step that fails undoes only itself", async () => {
    const { alice } = await aliceAndBob();
    await alice.session.transaction(async (tx) => {
      await tx.setData("before", bytes("1"));
      await expectCode(tx.createConversation("team", { credential: alice.credential }), "CONVERSATION_EXISTS");
      await tx.setData("after", bytes("2"));
    });
    expect(await stored(alice, "before")).toBe("1");
    expect(await stored(alice, "after")).toBe("2");
  });

  it("awaits the calls that its callback did not await", async () => {
    const { alice } = await aliceAndBob();
    await alice.session.transaction((tx) => {
      void tx.setData("one", bytes("1"));
      void tx.setData("two", bytes("2"));
    });
    expect(await stored(alice, "one")).toBe("1");
    expect(await stored(alice, "two")).toBe("2");
  });

  it("runs its calls in the order in which they are made", async () => {
    const { alice, bob } = await aliceAndBob();
    const sent = await alice.session.transaction((tx) =>
      Promise.all(["one", "two", "three"].map((words) => tx.conversation("team").encrypt(bytes(words)))),
    );
    for (const message of sent) alice.server.post(message);
    expect(await bob.hears("team")).toEqual(["one", "two", "three"]);
  });

  it("sees what it has done itself", async () => {
    const { alice } = await aliceAndBob();
    await alice.session.transaction(async (tx) => {
      const other = await tx.createConversation("other", { credential: alice.credential });
      expect(await tx.conversations()).toEqual(["team", "other"]);
      expect(await other.members()).toHaveLength(1);
      await tx.setData("key", bytes("1"));
      expect(text((await tx.data("key"))!)).toBe("1");
      await tx.setData("key", null);
      expect(await tx.data("key")).toBeUndefined();
    });
  });

  it("is told to listeners only when it is stored", async () => {
    const { alice } = await aliceAndBob();
    const told: string[] = [];
    alice.session.on("conversationChanged", ({ conversationId }) => told.push(conversationId));
    await alice.session.transaction(async (tx) => {
      await tx.createConversation("kept", { credential: alice.credential });
      expect(told).toEqual([]);
    });
    await alice.session
      .transaction(async (tx) => {
        await tx.createConversation("dropped", { credential: alice.credential });
        throw new Error("no");
      })
      .catch(() => {});
    expect(told).toEqual(["kept"]);
  });
});

describe("transactions", () => {
  it("run one after the other, in the order of the calls, with other calls in between", async () => {
    const { alice } = await aliceAndBob();
    const order: string[] = [];
    const note = (name: string) => async (tx: TransactionContext) => {
      order.push(`${name} begins`);
      await tx.setData(name, bytes(name));
      order.push(`${name} ends`);
    };
    const calls = [
      alice.session.transaction(note("one")),
      alice.session.transaction(note("two")),
      alice.session.data("two").then((value) => order.push(`data ${text(value!)}`)),
      alice.session.transaction(note("three")),
    ];
    await Promise.all(calls);
    expect(order).toEqual([
      "one begins",
      "one ends",
      "two begins",
      "two ends",
      "data two",
      "three begins",
      "three ends",
    ]);
  });

  it("without a callback end with finish, with abort or by going out of scope", async () => {
    const { alice } = await aliceAndBob();
    const finished = await alice.session.newTransaction();
    await finished.setData("finished", bytes("1"));
    await finished.finish();
    const aborted = await alice.session.newTransaction();
    await aborted.setData("aborted", bytes("1"));
    await aborted.abort();
    const dropped = await alice.session.newTransaction();
    await dropped.setData("dropped", bytes("1"));
    await dropped[Symbol.asyncDispose]();
    await finished[Symbol.asyncDispose]();
    expect(await stored(alice, "finished")).toBe("1");
    expect(await stored(alice, "aborted")).toBeUndefined();
    expect(await stored(alice, "dropped")).toBeUndefined();
  });

  it("that end themselves inside their callback are ended", async () => {
    const { alice } = await aliceAndBob();
    await alice.session.transaction(async (tx) => {
      await tx.setData("kept", bytes("1"));
      await tx.finish();
      await expectCode(tx.setData("late", bytes("1")), "TRANSACTION_ENDED");
    });
    await alice.session.transaction(async (tx) => {
      await tx.setData("dropped", bytes("1"));
      await tx.abort();
    });
    expect(await stored(alice, "kept")).toBe("1");
    expect(await stored(alice, "dropped")).toBeUndefined();
  });

  it("cannot be used after their end", async () => {
    const { alice } = await aliceAndBob();
    let kept!: TransactionContext;
    let handle!: MlsConversation;
    await alice.session.transaction((tx) => {
      kept = tx;
      handle = tx.conversation("team");
    });
    const calls = [
      ...callsOfOperations(kept, alice.credential),
      ...callsOfConversation(handle, alice.credential),
      kept.finish(),
      kept.abort(),
    ];
    for (const call of calls) await expectCode(call, "TRANSACTION_ENDED");
  });

  it("refuse calls that come after the callback has returned", async () => {
    const { alice } = await aliceAndBob();
    let later!: Promise<MlsError>;
    await alice.session.transaction((tx) => {
      const first = tx.setData("first", bytes("1"));
      later = first.then(() => expectCode(tx.setData("second", bytes("2")), "TRANSACTION_ENDED"));
    });
    await later;
    expect(await stored(alice, "first")).toBe("1");
    expect(await stored(alice, "second")).toBeUndefined();
  });

  it("that hold the turn too long are rolled back", async () => {
    const clock = new FakeClock();
    const { alice } = await aliceAndBob({ clock });
    let kept!: TransactionContext;
    let begun!: () => void;
    const waiting = new Promise<void>((resolve) => (begun = resolve));
    const hanging = alice.session.transaction(async (tx) => {
      kept = tx;
      await tx.setData("half", bytes("done"));
      begun();
      await new Promise(() => {});
    });
    await waiting;
    clock.advance(60_000);
    await expectCode(hanging, "TRANSACTION_TIMEOUT");
    await expectCode(kept.setData("late", bytes("1")), "TRANSACTION_ENDED");
    expect(await stored(alice, "half")).toBeUndefined();
  });

  it("that come back from the time limit change nothing any more", async () => {
    const clock = new FakeClock();
    const { alice } = await aliceAndBob({ clock });
    let goOn!: () => void;
    const late: Promise<unknown>[] = [];
    const hanging = alice.session.transaction(async (tx) => {
      await new Promise<void>((resolve) => (goOn = resolve));
      const call = tx.setData("late", bytes("1"));
      late.push(expectCode(call, "TRANSACTION_ENDED"));
      throw new Error("nobody hears this");
    });
    await clock.pass(60_000);
    await expectCode(hanging, "TRANSACTION_TIMEOUT");
    goOn();
    expect(await stored(alice, "late")).toBeUndefined();
    await Promise.all(late);
    expect(late).toHaveLength(1);
  });

  it("without a callback have the same time limit", async () => {
    const clock = new FakeClock();
    const { alice } = await aliceAndBob({ clock });
    const tx = await alice.session.newTransaction();
    await tx.setData("half", bytes("1"));
    const waiting = alice.session.data("half");
    clock.advance(60_000);
    expect(await waiting).toBeUndefined();
    await expectCode(tx.finish(), "TRANSACTION_ENDED");
  });
});

describe("a commit in a transaction", () => {
  it("stores what was before it, and gives up the turn while it is sent", async () => {
    const { server, alice, bob } = await aliceAndBob();
    await bob.says("team", "while you were sending");
    let seen: unknown;
    server.next(async (sent) => {
      seen = await stored(alice, "before");
      await alice.session.receive(server.log("team").slice(1));
      return server.take(sent);
    });
    const failing = alice.session.transaction(async (tx) => {
      await tx.setData("before", bytes("kept"));
      expect(await tx.conversation("team").updateKeys()).toMatchObject({ outcome: "merged", epoch: 2n });
      await tx.setData("after", bytes("dropped"));
      throw new Error("too late for the commit");
    });
    await expect(failing).rejects.toThrow("too late for the commit");
    expect(seen).toBe("kept");
    expect(await stored(alice, "before")).toBe("kept");
    expect(await stored(alice, "after")).toBeUndefined();
    expect(await alice.session.conversation("team").epoch()).toBe(2n);
  });

  it("that cannot be staged leaves the transaction as it is", async () => {
    const { server, alice } = await aliceAndBob();
    const sends = server.sends.length;
    const failing = alice.session.transaction(async (tx) => {
      await tx.setData("before", bytes("dropped"));
      await expectCode(tx.conversation("team").removeMembers(["nobody"]), "NOT_A_MEMBER");
      throw new Error("all of it");
    });
    await expect(failing).rejects.toThrow("all of it");
    expect(await stored(alice, "before")).toBeUndefined();
    expect(server.sends).toHaveLength(sends);
  });

  it("that fails lets the transaction go on", async () => {
    const { server, alice } = await aliceAndBob();
    server.next(sayAbort);
    await alice.session.transaction(async (tx) => {
      await expectCode(tx.conversation("team").updateKeys(), "COMMIT_REJECTED");
      await tx.setData("after", bytes("1"));
    });
    expect(await stored(alice, "after")).toBe("1");
  });

  it("waits for one of the same conversation that is on its way already", async () => {
    const { server, alice } = await aliceAndBob();
    let go!: () => void;
    server.next((sent) => new Promise((resolve) => (go = () => resolve(server.take(sent)))));
    const outside = alice.session.conversation("team").updateKeys();
    await server.sent(2);
    const inside = alice.session.transaction((tx) => tx.conversation("team").updateKeys());
    await alice.session.data("other work goes on");
    go();
    expect(await outside).toMatchObject({ epoch: 2n });
    expect(await inside).toMatchObject({ epoch: 3n });
  });

  it("spends its time on the network without using up the time of the transaction", async () => {
    const clock = new FakeClock();
    const { server, alice } = await aliceAndBob({ clock });
    server.next(sayRetry);
    const work = alice.session.transaction((tx) => tx.conversation("team").updateKeys());
    await clock.waitedFor(125);
    expect(clock.delays).toEqual([125]);
    clock.advance(100_000);
    expect(await work).toMatchObject({ outcome: "merged", attempts: 2 });
  });

  it("several at once in one transaction go one after the other", async () => {
    const { server, alice } = await aliceAndBob();
    const results = await alice.session.transaction(async (tx) => {
      const team = tx.conversation("team");
      return Promise.all([team.updateKeys(), team.updateKeys()]);
    });
    expect(results.map(({ epoch }) => epoch)).toEqual([2n, 3n]);
    expect(server.sends).toHaveLength(3);
  });

  it("creates a conversation that stays when the rest is thrown away", async () => {
    const { alice, bob } = await aliceAndBob();
    const members = [await bob.keyPackage()];
    await alice.session
      .transaction(async (tx) => {
        const other = await tx.createConversation("other", { credential: alice.credential, members });
        expect(await other.epoch()).toBe(1n);
        throw new Error("no");
      })
      .catch(() => {});
    await bob.joins();
    await alice.says("other", "still true");
    expect(await bob.hears("other")).toEqual(["still true"]);
  });
});

describe("generations", () => {
  it("encrypt, a forged message, encrypt: both decrypt", async () => {
    const { server, alice, bob } = await aliceAndBob();
    await bob.says("team", "genuine");
    const forged = server.log("team").at(-1)!.slice();
    forged[forged.length - 1]! ^= 1;
    const sent = await alice.session.transaction(async (tx) => {
      const team = tx.conversation("team");
      const first = await team.encrypt(bytes("first"));
      await expectCode(team.decrypt(forged), "MESSAGE_INVALID");
      return [first, await team.encrypt(bytes("second"))];
    });
    for (const message of sent) server.post(message);
    expect(await bob.hears("team")).toEqual(["first", "second"]);
    expect(await alice.hears("team")).toEqual(["genuine"]);
  });

  it("encrypt, abort, encrypt: none is used twice", async () => {
    const { server, alice, bob } = await aliceAndBob();
    const sent: Uint8Array[] = [];
    for (let round = 0; round < 3; round++) {
      const tx = await alice.session.newTransaction();
      sent.push(await tx.conversation("team").encrypt(bytes(`aborted ${round}`)));
      await tx.abort();
      sent.push(await alice.session.conversation("team").encrypt(bytes(`direct ${round}`)));
    }
    for (const message of sent) server.post(message);
    expect(await bob.hears("team")).toEqual([0, 1, 2].flatMap((round) => [`aborted ${round}`, `direct ${round}`]));
  });

  it("encrypt, time limit, encrypt: none is used twice", async () => {
    const clock = new FakeClock();
    const { server, alice, bob } = await aliceAndBob({ clock });
    let encrypted!: (message: Uint8Array) => void;
    const inside = new Promise<Uint8Array>((resolve) => (encrypted = resolve));
    const hanging = alice.session.transaction(async (tx) => {
      encrypted(await tx.conversation("team").encrypt(bytes("held")));
      await new Promise(() => {});
    });
    server.post(await inside);
    clock.advance(60_000);
    await expectCode(hanging, "TRANSACTION_TIMEOUT");
    await alice.says("team", "after");
    expect(await bob.hears("team")).toEqual(["held", "after"]);
  });

  it("abort of a transaction that received the next epoch: none is used twice in either", async () => {
    const { server, alice, bob } = await aliceAndBob();
    const sent = [await alice.session.conversation("team").encrypt(bytes("old epoch"))];
    server.post(sent[0]!);
    await bob.reads("team");
    await bob.session.conversation("team").updateKeys();
    const commit = server.log("team").at(-1)!;
    const tx = await alice.session.newTransaction();
    await tx.receive(commit);
    const inNewEpoch = await tx.conversation("team").encrypt(bytes("aborted in the new epoch"));
    await tx.abort();
    expect(await alice.session.conversation("team").epoch()).toBe(1n);
    server.post(await alice.session.conversation("team").encrypt(bytes("old epoch again")));
    await alice.session.receive(commit);
    server.post(inNewEpoch);
    await alice.says("team", "new epoch");
    expect(await bob.hears("team")).toEqual(["old epoch again", "aborted in the new epoch", "new epoch"]);
  });

  it("abort of a transaction that received two epochs: none is used twice in the second", async () => {
    const { server, alice, bob } = await aliceAndBob();
    await bob.session.conversation("team").updateKeys();
    await bob.session.conversation("team").updateKeys();
    const commits = server.log("team").slice(-2);
    await bob.reads("team");
    const tx = await alice.session.newTransaction();
    await tx.receive(commits);
    server.post(await tx.conversation("team").encrypt(bytes("aborted")));
    await tx.abort();
    await alice.session.receive(commits);
    await alice.says("team", "direct");
    expect(await bob.hears("team")).toEqual(["aborted", "direct"]);
  });
});
