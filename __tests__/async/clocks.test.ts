/** Wrong clocks, and months between a call and what follows: time decides whom one adds, and nothing of what was accepted. */
import { Database, DatabaseKey, Session } from "conclave-mls";
import { type Clock, withClock } from "conclave-mls/testing";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person, suite } from "../support/people.js";
import { breakDown, Server } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const HOUR = 60 * 60 * 1000;
const DAY = 24 * HOUR;

/** The machine's clock, but wrong by so much; a test can change that, and no timer is moved by it. */
class WrongClock implements Clock {
  readonly random = () => 0;
  wrongBy: number;

  constructor(wrongBy = 0) {
    this.wrongBy = wrongBy;
  }

  now(): number {
    return Date.now() + this.wrongBy;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  }
}

async function keyPackage(person: Person, lifetimeMs: number): Promise<Uint8Array> {
  const [made] = await person.session.generateKeyPackages(person.credential, { count: 1, lifetimeMs });
  return made!.bytes;
}

describe("who adds", () => {
  const clocks: [string, number, RegExp | undefined][] = [
    ["two days behind", -2 * DAY, /has not begun/],
    ["twenty hours behind", -20 * HOUR, undefined],
    ["right", 0, undefined],
    ["81 days ahead", 81 * DAY, undefined],
    ["83 days ahead", 83 * DAY, /within a day/],
    ["years ahead", 1000 * DAY, /has expired/],
  ];
  it.each(clocks)("by a clock that is %s", async (_, wrongBy, refusal) => {
    const server = new Server();
    const alice = await Person.comes("alice", server, { clock: new WrongClock(wrongBy) });
    const bob = await Person.comes("bob", server);
    const team = await alice.creates("team");
    const add = team.addMembers([await bob.keyPackage()]);
    const found = alice.session.createConversation("another", {
      credential: alice.credential,
      members: [await bob.keyPackage()],
    });
    if (refusal === undefined) {
      await Promise.all([add, found]);
      await bob.joins();
      await alice.says("team", "welcome");
      expect(await bob.hears("team")).toEqual(["welcome"]);
    } else {
      expect((await expectCode(add, "KEY_PACKAGE_INVALID")).message).toMatch(refusal);
      expect((await expectCode(found, "KEY_PACKAGE_INVALID")).message).toMatch(refusal);
      expect(server.sends).toEqual([]);
      expect(await team.epoch()).toBe(0n);
      expect(await alice.session.conversations()).toEqual(["team"]);
    }
  });

  it("needs a day of it to be left", async () => {
    const server = new Server();
    const [alice, bob] = [await Person.comes("alice", server), await Person.comes("bob", server)];
    const team = await alice.creates("team");
    const error = await expectCode(team.addMembers([await keyPackage(bob, DAY - 1000)]), "KEY_PACKAGE_INVALID");
    expect(error.message).toMatch(/within a day/);
    expect(await team.addMembers([await keyPackage(bob, DAY + HOUR)])).toMatchObject({ outcome: "merged" });
  });
});

it("who is away for a month comes back to all that was said and done", async () => {
  const server = new Server();
  const clock = new FakeClock();
  const [alice, bob, carol] = await Promise.all(
    ["alice", "bob", "carol"].map((name) => Person.comes(name, server, { clock })),
  );
  const team = await alice!.creates("team", bob!);
  await team.addMembers([await keyPackage(carol!, 2 * DAY)]);
  await carol!.joins();
  for (let week = 1; week <= 5; week++) {
    clock.advance(7 * DAY);
    await alice!.says("team", `week ${week}`);
  }
  expect(await bob!.hears("team")).toEqual([1, 2, 3, 4, 5].map((week) => `week ${week}`));
  expect(await bob!.sees("team")).toEqual(["alice", "bob", "carol"]);
  await bob!.session.conversation("team").updateKeys();
  await alice!.reads("team");
  expect(await team.epochAuthenticator()).toEqual(await bob!.session.conversation("team").epochAuthenticator());
});

it.each([
  ["a year ahead", 365 * DAY],
  ["a year behind", -365 * DAY],
])("who receives by a clock that is %s follows the others", async (_, wrongBy) => {
  const server = new Server();
  const [alice, bob] = [await Person.comes("alice", server), await Person.comes("bob", server)];
  const clock = new WrongClock();
  const carol = await Person.comes("carol", server, { clock });
  const team = await alice.creates("team", carol);
  clock.wrongBy = wrongBy;
  await team.addMembers([await bob.keyPackage()]);
  await bob.joins();
  await bob.says("team", "hello");
  expect(await carol.hears("team")).toEqual(["hello"]);
  expect(await carol.sees("team")).toEqual(["alice", "bob", "carol"]);
  await carol.session.conversation("team").updateKeys();
  await carol.says("team", "what time is it?");
  expect(await bob.hears("team")).toEqual(["what time is it?"]);
});

it("what was lost is built again only while its key packages last: then the call ends and nothing is open", async () => {
  const server = new Server();
  const clock = new WrongClock();
  const alice = await Person.comes("alice", server, { clock });
  const [bob, dave] = [await Person.comes("bob", server), await Person.comes("dave", server)];
  const team = await alice.creates("team", bob);
  server.nextFrom("alice", async (sent) => {
    await bob.session.conversation("team").updateKeys();
    clock.wrongBy = 83 * DAY;
    return server.take(sent);
  });
  const error = await expectCode(team.addMembers([await dave.keyPackage()]), "KEY_PACKAGE_INVALID");
  expect(error.message).toMatch(/within a day/);
  expect(await alice.session.unsettledCommits()).toEqual([]);
  expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  await team.updateKeys();
});

it("what was sent is sent again as it was, and merged, however long ago that was", async () => {
  const server = new Server();
  const clock = new FakeClock();
  const [path, key] = [await freshPath(), DatabaseKey.generate()];
  const comes = async () => Person.comes("alice", server, { clock, database: await Database.open(path, key) });
  const bob = await Person.comes("bob", server, { clock });
  const carol = await Person.comes("carol", server, { clock });
  let alice = await comes();
  await alice.creates("team", carol);
  server.next(breakDown);
  const since = clock.now();
  const invitees = [await bob.keyPackage()];
  await expectCode(alice.session.conversation("team").addMembers(invitees), "COMMIT_OUTCOME_UNKNOWN");

  clock.advance(100 * DAY);
  await alice.session.close();
  alice = await comes();
  expect(await alice.session.unsettledCommits()).toMatchObject([{ since: new Date(since), why: "unknown" }]);
  clock.advance(100 * DAY);
  expect(await clock.until(alice.session.settle())).toEqual([]);
  const [, first, again] = server.sends;
  expect(again!.bundle).toEqual(first!.bundle);
  expect(await alice.sees("team")).toEqual(["alice", "bob", "carol"]);
  expect(await carol.hears("team")).toEqual([]);
  await bob.joins();
  await bob.says("team", "at last");
  expect(await carol.hears("team")).toEqual(["at last"]);
});

it("a database that a session with another clock did not keep goes by the machine's again", async () => {
  const [path, key] = [await freshPath(), DatabaseKey.generate()];
  await (await Session.open(await Database.open(path, key), { clientId: "alice" })).close();
  const again = await Database.open(path, key);
  const wrong = withClock({ clientId: "bob" }, new WrongClock(1000 * DAY));
  await expectCode(Session.open(again, wrong), "CLIENT_MISMATCH");
  const alice = await Person.comes("alice", new Server(), { database: again });
  const [made] = await alice.session.generateKeyPackages(alice.credential, { count: 1 });
  expect(made!.notAfter.getTime()).toBeLessThan(Date.now() + 84 * DAY);
});

it.each([NaN, Infinity, -Infinity, -1, 1.5, 2 ** 80])("a clock that says %d does no harm", async (now) => {
  const clock = new WrongClock();
  const alice = await Person.comes("alice", new Server(), { clock });
  const team = await alice.creates("team");
  clock.now = () => now;
  await alice.session.generateKeyPackages(alice.credential, { count: 1 });
  await team.updateKeys();
  await team.encrypt(bytes("x"));
  expect(await alice.session.keyPackages()).toHaveLength(1);
  expect(alice.credential.cipherSuite).toBe(suite);
});
