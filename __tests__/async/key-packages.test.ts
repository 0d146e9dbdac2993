/** Key packages of one's own: which there are, publishing them again, and getting rid of them. */
import { Credential, Database, DatabaseKey, type Id, type KeyPackage } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { everybodyLeaves, Person, suite } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const DAY = 24 * 60 * 60 * 1000;

const make = (person: Person, options: { count?: number; lifetimeMs?: number; lastResort?: boolean } = {}) =>
  person.session.generateKeyPackages(person.credential, { count: 1, ...options });

/** The refs of the key packages that a person has. */
async function refsOf(person: Person): Promise<Id[]> {
  return (await person.session.keyPackages()).map(({ ref }) => ref);
}

const sorted = (keyPackages: readonly KeyPackage[]) => keyPackages.map(({ ref }) => ref).sort();

it("those that were not used yet come again with the same bytes, also after a restart", async () => {
  const server = new Server();
  const [path, key] = [await freshPath(), DatabaseKey.generate()];
  const [alice, bob] = [
    await Person.comes("alice", server),
    await Person.comes("bob", server, { database: await Database.open(path, key) }),
  ];
  const made = [...(await make(bob, { count: 3 })), ...(await make(bob, { lastResort: true }))];
  const [used, ...left] = made;
  const team = await alice.creates("team");
  await team.addMembers([used!.bytes]);
  await bob.joins();
  await bob.session.close();

  const again = await Person.comes("bob", server, { database: await Database.open(path, key) });
  const listed = await again.session.keyPackages({ bytes: true });
  const byRef = (one: { ref: string }, other: { ref: string }): number => (one.ref < other.ref ? -1 : 1);
  expect(listed.sort(byRef)).toEqual(left.map((one) => ({ ...one, expired: false })).sort(byRef));
  for (const one of await again.session.keyPackages()) expect(one).not.toHaveProperty("bytes");
  await team.removeMembers(["bob"]);
  await team.addMembers([listed[0]!.bytes!]);
});

it("the bytes are copies: what a caller does to them changes nothing", async () => {
  const bob = await Person.comes("bob", new Server());
  const [made] = await make(bob);
  const [listed] = await bob.session.keyPackages({ bytes: true });
  listed!.bytes!.fill(0);
  expect((await bob.session.keyPackages({ bytes: true }))[0]!.bytes).toEqual(made!.bytes);
});

it("say whether they have expired, are not to be published then, and are gone a week later", async () => {
  const clock = new FakeClock();
  const path = await freshPath();
  const key = DatabaseKey.generate();
  const opens = async () => Person.comes("bob", new Server(), { clock, database: await Database.open(path, key) });
  let bob = await opens();
  const [brief] = await make(bob, { lifetimeMs: 2 * DAY });
  const [long] = await make(bob);
  expect(long!.notAfter.getTime() - clock.now()).toBeGreaterThan(83 * DAY - 1000);
  expect(long!.notAfter.getTime() - clock.now()).toBeLessThanOrEqual(83 * DAY);

  const look = async () => {
    const listed = await bob.session.keyPackages({ bytes: true });
    return new Map(listed.map(({ ref, expired, bytes }) => [ref, { expired, published: bytes !== undefined }]));
  };
  expect((await look()).get(brief!.ref)).toEqual({ expired: false, published: true });
  clock.advance(2 * DAY);
  expect((await look()).get(brief!.ref)).toEqual({ expired: true, published: false });
  expect((await look()).get(long!.ref)).toEqual({ expired: false, published: true });

  clock.advance(6 * DAY);
  await bob.session.close();
  bob = await opens();
  expect((await refsOf(bob)).sort()).toEqual(sorted([brief!, long!]));
  clock.advance(DAY);
  await bob.session.close();
  bob = await opens();
  expect(await refsOf(bob)).toEqual([long!.ref]);
});

it("a new last resort takes the place of the former, which a Welcome can still find for a week", async () => {
  const clock = new FakeClock();
  const server = new Server();
  const path = await freshPath();
  const key = DatabaseKey.generate();
  const opens = async () => Person.comes("bob", server, { clock, database: await Database.open(path, key) });
  const alice = await Person.comes("alice", server, { clock });
  const team = await alice.creates("team");
  let bob = await opens();
  const [former] = await make(bob, { lastResort: true });
  const [present] = await make(bob, { lastResort: true });
  const publishable = (await bob.session.keyPackages({ bytes: true })).filter(({ bytes }) => bytes !== undefined);
  expect(publishable.map(({ ref }) => ref)).toEqual([present!.ref]);

  await team.addMembers([former!.bytes]);
  clock.advance(6 * DAY);
  await bob.session.close();
  bob = await opens();
  await bob.joins();
  expect(await bob.sees("team")).toEqual(["alice", "bob"]);

  clock.advance(DAY);
  await bob.session.close();
  bob = await opens();
  expect(await refsOf(bob)).toEqual([present!.ref]);
});

describe("removed", () => {
  it("they are gone with their private keys: nobody can join by them", async () => {
    const server = new Server();
    const [alice, bob] = [await Person.comes("alice", server), await Person.comes("bob", server)];
    const [one, two, three] = await make(bob, { count: 3 });
    const team = await alice.creates("team");
    await team.addMembers([one!.bytes]);
    await bob.session.removeKeyPackages([one!.ref, two!.ref, "00".repeat(32)]);
    expect(await refsOf(bob)).toEqual([three!.ref]);
    await expectCode(bob.session.joinByWelcome(server.takeWelcomes("bob")[0]!), "WELCOME_WITHOUT_KEY_PACKAGE");
    await bob.session.removeKeyPackages([one!.ref]);
    await bob.session.removeKeyPackages([]);
  });

  it("in a transaction they go with it, and come back when it is taken back", async () => {
    const bob = await Person.comes("bob", new Server());
    const [one, two] = await make(bob, { count: 2 });
    const mind = new Error("changed my mind");
    const work = bob.session.transaction(async (tx) => {
      await tx.removeKeyPackages([one!.ref]);
      expect((await tx.keyPackages()).map(({ ref }) => ref)).toEqual([two!.ref]);
      throw mind;
    });
    await expect(work).rejects.toBe(mind);
    expect((await refsOf(bob)).sort()).toEqual(sorted([one!, two!]));
    await bob.session.transaction(async (tx) => tx.removeKeyPackages([one!.ref]));
    expect(await refsOf(bob)).toEqual([two!.ref]);
  });

  const wrong: [string, unknown, RegExp][] = [
    ["no list", "00", /refs must be an array/],
    ["nothing", undefined, /refs must be an array/],
    ["uppercase", ["AB"], /refs\.0 must be the ref of a key package/],
    ["half a byte", ["ab", "abc"], /refs\.1 must be the ref of a key package/],
    ["bytes", [new Uint8Array(32)], /refs\.0/],
    ["an id in hex", ["0xab"], /refs\.0/],
    ["an empty one", [""], /refs\.0/],
    ["a hole", new Array(2), /refs\.0/],
    ["too many", new Array(4097).fill("ab"), /0 to 4096 entries/],
  ];
  it.each(wrong)("by %s is INVALID_ARGUMENT, and nothing goes", async (_, refs, message) => {
    const bob = await Person.comes("bob", new Server());
    await make(bob);
    const error = await expectCode(bob.session.removeKeyPackages(refs as Id[]), "INVALID_ARGUMENT");
    expect(error.message).toMatch(message);
    expect(await refsOf(bob)).toHaveLength(1);
  });
});

it("an unknown option of the list is named", async () => {
  const bob = await Person.comes("bob", new Server());
  const odd = { byte: true } as unknown as { bytes: boolean };
  expect((await expectCode(bob.session.keyPackages(odd), "INVALID_ARGUMENT")).message).toMatch('"byte"');
});

it("a credential that is removed takes its own along, and the last resorts of others stay", async () => {
  const bob = await Person.comes("bob", new Server());
  const other = await bob.session.addCredential(Credential.basic("bob", { cipherSuite: suite }));
  const [stays] = await bob.session.generateKeyPackages(other, { count: 1, lastResort: true });
  await make(bob, { lastResort: true });
  const publishable = await bob.session.keyPackages({ bytes: true });
  expect(publishable.every(({ bytes }) => bytes !== undefined)).toBe(true);
  await bob.session.removeCredential(bob.credential);
  expect(await refsOf(bob)).toEqual([stays!.ref]);
});
