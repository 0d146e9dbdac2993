/** The event keyPackagesLow: a hint for whoever listens, whenever that began. */
import { type CipherSuite, Credential, type KeyPackagesLow } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { everybodyLeaves, Person, suite } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

const DAY = 24 * 60 * 60 * 1000;

/** Somebody who is told when no more than two are left, at the time of a clock. */
async function comes(name = "bob", server = new Server()) {
  const clock = new FakeClock();
  const bob = await Person.comes(name, server, { clock, keyPackagesLowAt: 2 });
  const make = (count: number, lifetimeMs?: number) =>
    bob.session.generateKeyPackages(bob.credential, { count, ...(lifetimeMs && { lifetimeMs }) });
  const hears = (): KeyPackagesLow[] => {
    const told: KeyPackagesLow[] = [];
    bob.session.on("keyPackagesLow", (event) => told.push(event));
    return told;
  };
  return { clock, bob, make, hears };
}

const low = (count: number, cipherSuite: CipherSuite = suite) => ({ cipherSuite, count });

it("a listener learns how things are whenever it is added, and the others are not told again", async () => {
  const { clock, make, hears } = await comes();
  await make(2);
  const first = hears();
  await clock.rest();
  expect(first).toEqual([low(2)]);
  const second = hears();
  await clock.rest();
  expect([first, second]).toEqual([[low(2)], [low(2)]]);
});

it("a listener hears nothing while enough are left", async () => {
  const { clock, make, hears } = await comes();
  await make(3);
  const told = hears();
  await clock.rest();
  expect(told).toEqual([]);
});

it("each suite of the client counts by itself, and last resorts do not", async () => {
  const { clock, bob, make, hears } = await comes();
  const other: CipherSuite = "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519";
  const credential = await bob.session.addCredential(Credential.basic("bob", { cipherSuite: other }));
  await bob.session.generateKeyPackages(credential, { count: 1 });
  await bob.session.generateKeyPackages(credential, { count: 5, lastResort: true });
  await make(3);
  const told = hears();
  await clock.rest();
  expect(told).toEqual([low(1, other)]);
});

it("a join that leaves few is told", async () => {
  const server = new Server();
  const { clock, bob, make, hears } = await comes("bob", server);
  const alice = await Person.comes("alice", server, { clock });
  const told = hears();
  const [used] = await make(3);
  await clock.rest();
  told.length = 0;
  await (await alice.creates("team")).addMembers([used!.bytes]);
  await bob.joins();
  await clock.rest();
  expect(told).toEqual([low(2)]);
});

it("those that expire while the session is open are told at the first call after it, once", async () => {
  const { clock, bob, make, hears } = await comes();
  await make(2);
  await make(2, 10 * DAY);
  await make(1, 20 * DAY);
  const told = hears();
  await clock.rest();

  clock.advance(10 * DAY);
  await bob.session.credentials();
  await clock.rest();
  expect(told).toEqual([]);
  clock.advance(10 * DAY - 1000);
  await bob.session.credentials();
  await clock.rest();
  expect(told).toEqual([]);
  clock.advance(1000);
  await clock.rest();
  expect(told).toEqual([]); // Nobody has called, and no timer waits.
  expect(clock.delays).toEqual([]);
  await bob.session.credentials();
  await clock.rest();
  expect(told).toEqual([low(2)]);
  await bob.session.credentials();
  await clock.rest();
  expect(told).toEqual([low(2)]);
});

it("what is made, removed or taken along by a credential moves the moment", async () => {
  const { clock, bob, make, hears } = await comes();
  const told = hears();
  await clock.rest();
  told.length = 0;
  const [removed] = await make(3, 20 * DAY);
  await make(1, 10 * DAY);
  await clock.rest();
  clock.advance(10 * DAY);
  await bob.session.credentials();
  await clock.rest();
  expect(told).toEqual([]);

  await make(1, 5 * DAY);
  await bob.session.removeKeyPackages([removed!.ref]);
  await clock.rest();
  expect(told).toEqual([]);
  clock.advance(5 * DAY);
  await bob.session.credentials();
  await clock.rest();
  expect(told).toEqual([low(2)]);
});

it("a transaction that is open is not disturbed: it is told after it", async () => {
  const { clock, bob, make, hears } = await comes();
  await make(3, 10 * DAY);
  const told = hears();
  await clock.rest();
  clock.advance(10 * DAY);
  await bob.session.transaction(async (tx) => {
    await tx.setData("note", null);
    expect(told).toEqual([]);
  });
  await clock.rest();
  expect(told).toEqual([low(0)]);
});

it("a listener that has ended, and a session that is closed, are silent", async () => {
  const { clock, bob, hears } = await comes();
  const told: KeyPackagesLow[] = [];
  bob.session.on("keyPackagesLow", (event) => told.push(event))();
  await clock.rest();
  expect(told).toEqual([]);
  const closing = hears();
  await bob.session.close();
  const closed = hears();
  await clock.rest();
  expect([closing, closed]).toEqual([[], []]);
});

it("what a listener throws becomes a warning, and the session goes on", async () => {
  const { clock, bob } = await comes();
  const warned = jest.spyOn(process, "emitWarning").mockImplementation(() => {});
  bob.session.on("keyPackagesLow", () => {
    throw new Error("no room");
  });
  await clock.rest();
  expect(warned).toHaveBeenCalledTimes(1);
  expect(warned.mock.calls[0]![0]).toMatch('A listener of "keyPackagesLow" threw');
  warned.mockRestore();
  expect(await bob.session.keyPackages()).toEqual([]);
});
