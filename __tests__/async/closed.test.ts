import {
  Database,
  DatabaseKey,
  type MlsErrorCode,
  type Received,
  Session,
  type TransactionContext,
} from "conclave-mls";
import { callsOfSession } from "../support/calls.js";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { sayNothing, sayRetry, Server } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

async function aliceAndBob(settings: Parameters<typeof Person.comes>[2] = {}) {
  const server = new Server();
  const alice = await Person.comes("alice", server, settings);
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  return { server, alice, bob, team };
}

describe("a closed session", () => {
  it("refuses every call, and can be closed again", async () => {
    const { alice, team } = await aliceAndBob();
    const { session, credential } = alice;
    await Promise.all([session.close(), session.close()]);
    await session.close();
    await session[Symbol.asyncDispose]();
    for (const call of callsOfSession(session, credential, team)) await expectCode(call, "SESSION_CLOSED");
  });

  it("has stored what had been begun before it was closed", async () => {
    const path = await freshPath();
    const key = DatabaseKey.generate();
    const server = new Server();
    const before = await Person.comes("alice", server, { database: await Database.open(path, key) });
    const storing = Array.from({ length: 20 }, (_, place) => before.session.setData(`key ${place}`, bytes("1")));
    await before.session.close();
    await Promise.all(storing);
    const after = await Person.comes("alice", server, { database: await Database.open(path, key) });
    expect(await after.session.data("key 19")).toEqual(bytes("1"));
  });

  it("has ended its transactions: what was not stored is not there", async () => {
    const path = await freshPath();
    const key = DatabaseKey.generate();
    const server = new Server();
    const before = await Person.comes("alice", server, { database: await Database.open(path, key) });
    let open!: TransactionContext;
    let begun!: () => void;
    const ready = new Promise<void>((resolve) => (begun = resolve));
    const work = expectCode(
      before.session.transaction(async (tx) => {
        open = tx;
        await tx.setData("half", bytes("1"));
        begun();
        await new Promise(() => {});
      }),
      "SESSION_CLOSED",
    );
    await ready;
    await before.session.close();
    await work;
    await expectCode(open.setData("late", bytes("1")), "SESSION_CLOSED");
    await expectCode(open.finish(), "SESSION_CLOSED");
    await open[Symbol.asyncDispose]();
    const after = await Person.comes("alice", server, { database: await Database.open(path, key) });
    expect(await after.session.data("half")).toBeUndefined();
  });

  it("rejects what waits for its turn", async () => {
    const { alice } = await aliceAndBob();
    const tx = await alice.session.newTransaction();
    const waiting = [
      alice.session.data("x"),
      alice.session.transaction(() => "never"),
      alice.session.conversation("team").encrypt(bytes("x")),
      alice.session.conversation("team").updateKeys(),
      alice.session.newTransaction(),
    ].map((call) => expectCode(call, "SESSION_CLOSED"));
    await alice.session.close();
    await Promise.all(waiting);
    await expectCode(tx.data("x"), "SESSION_CLOSED");
  });

  it("does not wait for the network: sends are aborted, and reject", async () => {
    const clock = new FakeClock();
    const { server, alice, team } = await aliceAndBob({ clock });
    server.next(sayNothing);
    const sending = expectCode(team.updateKeys(), "SESSION_CLOSED");
    const next = expectCode(team.updateKeys(), "SESSION_CLOSED");
    await server.sent(2);
    await alice.session.close();
    await sending;
    await next;
    expect(server.sends.at(-1)!.context.signal.aborted).toBe(true);
    expect(clock.delays).toEqual([]);
  });

  it("does not wait for a pause between attempts", async () => {
    const clock = new FakeClock();
    const { server, alice, team } = await aliceAndBob({ clock, fetch: false });
    server.next(sayRetry);
    const sending = expectCode(team.updateKeys(), "SESSION_CLOSED");
    await clock.waitedFor(125);
    await alice.session.close();
    await sending;
    expect(clock.delays).toEqual([]);
  });

  it("does not wait for a fetch that hangs", async () => {
    const server = new Server();
    let fetching!: () => void;
    const asked = new Promise<void>((resolve) => (fetching = resolve));
    const fetchMessages = (): Promise<never> => (fetching(), new Promise(() => {}));
    const transport = { ...server.transport("alice"), fetchMessages };
    const alice = await Person.comes("alice", server, { transport });
    const team = await alice.creates("team");
    server.next(sayRetry);
    const sending = expectCode(team.updateKeys(), "SESSION_CLOSED");
    await asked;
    await alice.session.close();
    await sending;
  });

  it("does not wait for deliver", async () => {
    let delivering!: () => void;
    const called = new Promise<void>((resolve) => (delivering = resolve));
    const deliver = (received: readonly Received[]): Promise<void> | undefined => {
      if (!received.some(({ type }) => type === "message")) return undefined;
      delivering();
      return new Promise(() => {});
    };
    const { alice, bob } = await aliceAndBob({ deliver });
    await bob.says("team", "hello");
    const receiving = expectCode(alice.reads("team"), "SESSION_CLOSED");
    await called;
    await alice.session.close();
    await receiving;
  });

  it.each<[string, (alice: Person) => Promise<unknown>, MlsErrorCode]>([
    ["a transport's method", async (alice) => alice.session.conversation("team").updateKeys(), "SESSION_CLOSED"],
    ["a transaction", async (alice) => alice.session.transaction(() => alice.session.close()), "SESSION_CLOSED"],
  ])("can be closed from inside %s", async (_, work, code) => {
    const { server, alice } = await aliceAndBob();
    server.next(async (sent) => {
      await alice.session.close();
      return server.take(sent);
    });
    await expectCode(work(alice), code);
    await expectCode(alice.session.conversations(), "SESSION_CLOSED");
  });
});

describe("a database", () => {
  it("belongs to one session, and is closed with it", async () => {
    const database = await Database.inMemory();
    const session = await Session.open(database, { clientId: "alice" });
    await expectCode(Session.open(database, { clientId: "alice" }), "DATABASE_IN_USE");
    await session.close();
    await expectCode(Session.open(database, { clientId: "alice" }), "DATABASE_CLOSED");
    await database.close();
  });

  it("that is closed closes its session", async () => {
    const database = await Database.inMemory();
    const session = await Session.open(database, { clientId: "alice" });
    await database.close();
    await expectCode(session.conversations(), "SESSION_CLOSED");
    await session.close();
  });

  it("stays open and free when a session cannot be opened on it", async () => {
    const path = await freshPath();
    const key = DatabaseKey.generate();
    const first = await Session.open(await Database.open(path, key), { clientId: "alice" });
    await first.close();
    const database = await Database.open(path, key);
    await expectCode(Session.open(database, { clientId: "mallory" }), "CLIENT_MISMATCH");
    await expectCode(Session.open(database, { clientId: "alice", attempts: 0 }), "INVALID_ARGUMENT");
    const second = await Session.open(database, { clientId: "alice" });
    expect(second.clientId).toBe("alice");
    await second.close();
  });

  it("is in use until its session is closed, and free right after", async () => {
    const path = await freshPath();
    const key = DatabaseKey.generate();
    const session = await Session.open(await Database.open(path, key), { clientId: "alice" });
    await expectCode(Database.open(path, key), "DATABASE_IN_USE");
    await session.close();
    await (await Database.open(path, key)).close();
  });

  it("that is closed while a session is being opened on it refuses the session", async () => {
    const database = await Database.inMemory();
    const opening = expectCode(Session.open(database, { clientId: "alice" }), "SESSION_CLOSED");
    await database.close();
    await opening;
  });

  it("can be closed before any session, and again", async () => {
    const database = await Database.inMemory();
    await Promise.all([database.close(), database[Symbol.asyncDispose]()]);
    await expectCode(Session.open(database, { clientId: "alice" }), "DATABASE_CLOSED");
  });
});

describe("a key", () => {
  it("may be wiped while the database is open, and can then not be used", async () => {
    const path = await freshPath();
    const key = DatabaseKey.generate();
    const copy = DatabaseKey.from(key.copyBytes());
    const database = await Database.open(path, key);
    key[Symbol.dispose]();
    await database.close();
    expect(() => key.copyBytes()).toThrow(/wiped/);
    await expectCode(Database.open(path, key), "INVALID_ARGUMENT");
    await (await Database.open(path, copy)).close();
    await expectCode(Database.open(path, DatabaseKey.generate()), "DATABASE_KEY_WRONG");
  });
});
