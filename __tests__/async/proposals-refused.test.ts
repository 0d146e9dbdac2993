import { expectCode } from "../support/expect.js";
import { Foreigner } from "../support/foreigner.js";
import { cleanUp } from "../support/files.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { namesOf, Trio } from "../support/trio.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const framings = ["private", "public"] as const;

/** The same with one bit changed, so far from the end. */
function damaged(message: Uint8Array, fromEnd: number): Uint8Array {
  const copy = Uint8Array.from(message);
  copy[copy.length - fromEnd]! ^= 1;
  return copy;
}

describe.each(framings)("a proposal, framed as a %s message,", (framing) => {
  it("that comes twice is pending once", async () => {
    const trio = await Trio.meets({ framing });
    const proposal = await trio.frank.proposesToRemove("bob");
    const received = await trio.aliceGets(proposal, proposal);
    expect(received).toMatchObject([{ type: "proposal" }, { type: "ignored", why: "duplicate" }]);
    expect(await trio.aliceGets(proposal)).toMatchObject([{ type: "ignored", why: "duplicate" }]);
    expect(namesOf(await trio.team.commitPendingProposals()).removed).toEqual(["bob"]);
    await trio.endsWell();
  });

  it("that comes again after a restart is still a duplicate", async () => {
    const trio = await Trio.meets({ framing, onDisk: true });
    const proposal = await trio.frank.proposesUpdate();
    await trio.aliceGets(proposal);
    await trio.aliceRestarts();
    expect(await trio.aliceGets(proposal)).toMatchObject([{ type: "ignored", why: "duplicate" }]);
    await trio.team.commitPendingProposals();
    await trio.endsWell();
  });

  it.each([1, 20, 60, 100])(
    "that was damaged %d bytes before its end is rejected, and the genuine one works",
    async (place) => {
      const trio = await Trio.meets({ framing });
      const proposal = await trio.frank.proposesToRemove("bob");
      expect(await trio.aliceGets(damaged(proposal, place))).toMatchObject([{ type: "rejected" }]);
      await expect(trio.team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
      expect(await trio.aliceGets(proposal)).toMatchObject([
        { type: "proposal", change: { removed: [{ clientId: "bob" }] } },
      ]);
      // It is no repetition: these bytes were never received.
      expect(await trio.aliceGets(damaged(proposal, place))).toMatchObject([{ type: "rejected" }]);
      expect(namesOf(await trio.team.commitPendingProposals()).removed).toEqual(["bob"]);
      await trio.endsWell();
    },
  );

  it("of an epoch that is over is ignored, and holds nothing back", async () => {
    const trio = await Trio.meets({ framing });
    const proposal = await trio.frank.proposesToRemove("bob");
    await trio.team.updateKeys();
    expect(await trio.aliceGets(proposal)).toMatchObject([{ type: "ignored", why: "stale-handshake", epoch: 1n }]);
    await expect(trio.team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
    await trio.endsWell();
  });

  it("of an epoch to come waits for the commit that begins it", async () => {
    const trio = await Trio.meets({ framing });
    await trio.frank.commits();
    const proposal = await trio.frank.proposesToRemove("bob");
    expect(await trio.aliceGets(proposal)).toMatchObject([{ type: "waiting", for: "commit", epoch: 2n }]);
    await expect(trio.team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
    const [commit] = trio.server.log("team").slice(-2);
    expect(await trio.aliceGets(commit!)).toMatchObject([{ type: "commit" }, { type: "proposal", epoch: 2n }]);
    await expectCode(trio.team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(namesOf(await trio.team.commitPendingProposals()).removed).toEqual(["bob"]);
    await trio.endsWell();
  });

  it("by a member who would take another identity with it is rejected", async () => {
    const trio = await Trio.meets({ framing });
    await trio.frank.proposesUpdate({ credential: { credentialType: "basic", identity: bytes("alice") } });
    expect(await trio.alice.reads("team")).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
    await expect(trio.team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
  });

  it("that was rejected is not committed with the others", async () => {
    const trio = await Trio.meets({ framing });
    await trio.frank.proposesUpdate({ credential: { credentialType: "basic", identity: bytes("alice") } });
    await trio.frank.proposesToRemove("bob");
    expect(await trio.alice.reads("team")).toMatchObject([{ type: "rejected" }, { type: "proposal" }]);
    expect(namesOf(await trio.team.commitPendingProposals())).toEqual({ added: [], removed: ["bob"], updated: [] });
    expect(await trio.bob.reads("team")).toMatchObject([
      { type: "rejected" },
      { type: "proposal" },
      { type: "commit", active: false },
    ]);
    await trio.endsWell();
  });
});

it("a proposal from outside is rejected: whoever wants to join is invited, or joins by an external commit", async () => {
  const trio = await Trio.meets();
  const dora = await Foreigner.comes("dora", trio.server);
  const asking = await dora.asksToJoin("team");
  const outcome = await trio.aliceGets(asking);
  expect(outcome).toMatchObject([{ type: "rejected", reason: expect.stringContaining("from outside") as string }]);
  await expect(trio.team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
});

it("what was proposed ends with the epoch, also when another commit leaves it out", async () => {
  const trio = await Trio.meets();
  await trio.frank.proposesToRemove("bob");
  expect(await trio.alice.reads("team")).toMatchObject([{ type: "proposal" }]);
  await trio.bob.session.conversation("team").updateKeys();
  await trio.alice.reads("team");
  await expect(trio.team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
  expect(await trio.team.commitPendingProposals()).toMatchObject({ outcome: "already-applied", attempts: 0 });
  await trio.endsWell();
});

it("a proposal in a transaction that fails was never received", async () => {
  const trio = await Trio.meets();
  const { alice, frank, team } = trio;
  const proposal = await frank.proposesToRemove("bob");
  const received = alice.session.transaction(async (tx) => {
    await tx.receive(proposal);
    await expectCode(tx.conversation("team").encrypt(bytes("too early")), "PENDING_PROPOSALS");
    throw new Error("changed my mind");
  });
  await expect(received).rejects.toThrow("changed my mind");
  await expect(team.encrypt(bytes("nothing is pending"))).resolves.toBeInstanceOf(Uint8Array);
  expect(await trio.aliceGets(proposal)).toMatchObject([{ type: "proposal" }]);
  await team.commitPendingProposals();
  await trio.endsWell();
});

it("proposals are received and committed in one transaction", async () => {
  const trio = await Trio.meets();
  const { alice, frank } = trio;
  const proposal = await frank.proposesToRemove("bob");
  const message = await alice.session.transaction(async (tx) => {
    await tx.receive(proposal);
    await tx.conversation("team").commitPendingProposals();
    return tx.conversation("team").encrypt(bytes("bob is gone"));
  });
  trio.server.post(message);
  expect(await frank.hears()).toEqual(["bob is gone"]);
  await trio.endsWell();
});
