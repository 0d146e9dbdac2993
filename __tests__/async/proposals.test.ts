import { addition } from "../support/foreign-messages.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { namesOf, Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

const nobody = { added: [], removed: [], updated: [] };

describe.each(["private", "public"] as const)("a proposal by ts-mls, framed as a %s message,", (framing) => {
  it("to remove somebody is told and committed", async () => {
    const trio = await Trio.meets({ framing });
    const { alice, bob, frank, team } = trio;
    await frank.proposesToRemove("bob");
    const [proposal] = await alice.reads("team");
    expect(proposal).toMatchObject({
      type: "proposal",
      by: { clientId: "frank" },
      change: { removed: [{ clientId: "bob" }] },
    });
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(namesOf(await team.commitPendingProposals())).toEqual({ ...nobody, removed: ["bob"] });
    expect(await bob.reads("team")).toMatchObject([{ type: "proposal" }, { type: "commit", active: false }]);
    await trio.endsWell();
  });

  it("of new keys is told and committed", async () => {
    const trio = await Trio.meets({ framing });
    const { alice, frank, team } = trio;
    await frank.proposesUpdate();
    const [proposal] = await alice.reads("team");
    expect(proposal).toMatchObject({ type: "proposal", change: { updated: [{ clientId: "frank" }] } });
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(namesOf(await team.commitPendingProposals())).toEqual({ ...nobody, updated: ["frank"] });
    await trio.endsWell();
  });

  it("to leave is committed by those who stay", async () => {
    const trio = await Trio.meets({ framing });
    const { alice, frank, team } = trio;
    await frank.proposesToRemove("frank");
    expect(await alice.reads("team")).toMatchObject([
      { type: "proposal", change: { removed: [{ clientId: "frank" }] } },
    ]);
    expect(namesOf(await team.commitPendingProposals())).toEqual({ ...nobody, removed: ["frank"] });
    await frank.hears();
    expect(frank.active).toBe(false);
    await trio.endsWell();
  });

  it("of a group context that says the same is committed, though nothing changes that could be told", async () => {
    const trio = await Trio.meets({ framing });
    const groupContextExtensions = { extensions: [] };
    await trio.frank.proposes({ proposalType: "group_context_extensions", groupContextExtensions });
    const [proposal] = await trio.alice.reads("team");
    expect(proposal).toMatchObject({ type: "proposal", change: nobody });
    expect(await trio.team.commitPendingProposals()).toMatchObject({ outcome: "merged", change: nobody });
    await trio.endsWell();
  });

  it("is committed by whoever made it just as well", async () => {
    const trio = await Trio.meets({ framing });
    const carol = await trio.carol();
    await trio.frank.proposesToAdd(await carol.keyPackage());
    await trio.alice.reads("team");
    await trio.frank.commits();
    expect(await trio.alice.reads("team")).toMatchObject([
      { type: "commit", change: { added: [{ clientId: "carol" }] } },
    ]);
    expect(await trio.team.commitPendingProposals()).toMatchObject({ outcome: "already-applied", attempts: 0 });
    await carol.joins();
    await trio.endsWell(carol);
  });
});

it("members take turns: when to commit differs between them", async () => {
  const trio = await Trio.meets();
  await trio.frank.proposesUpdate();
  const delays = [];
  for (const { session } of [trio.alice, trio.bob]) {
    const received = await session.receive(trio.server.log("team").slice(-1));
    delays.push(received.map((one) => one.type === "proposal" && one.commitAfterMs));
  }
  expect(delays[0]).not.toEqual(delays[1]);
});

describe("what is pending goes along with", () => {
  it("removeMembers", async () => {
    const trio = await Trio.meets();
    await trio.frank.proposesUpdate();
    await trio.alice.reads("team");
    const result = await trio.team.removeMembers(["bob"]);
    expect(namesOf(result)).toEqual({ ...nobody, removed: ["bob"], updated: ["frank"] });
    await trio.endsWell();
  });

  it("updateKeys", async () => {
    const trio = await Trio.meets();
    await trio.frank.proposesToRemove("bob");
    await trio.alice.reads("team");
    const result = await trio.team.updateKeys();
    // New keys come with every commit, and others cannot tell what it was made for: they are told where there is nothing else.
    expect(namesOf(result)).toEqual({ ...nobody, removed: ["bob"] });
    await trio.endsWell();
  });

  it("what does the same: it is done once", async () => {
    const trio = await Trio.meets();
    const carol = await trio.carol();
    const keyPackage = await carol.keyPackage();
    await trio.frank.proposesToRemove("bob");
    await trio.frank.proposesToAdd(keyPackage);
    await trio.alice.reads("team");
    expect(namesOf(await trio.team.addMembers([keyPackage]))).toEqual({
      ...nobody,
      added: ["carol"],
      removed: ["bob"],
    });
    await carol.joins();
    await trio.endsWell(carol);
  });
});

describe("a proposal to remove alice herself", () => {
  it("is not hers to commit, and somebody else's commit removes her", async () => {
    const trio = await Trio.meets();
    const { alice, bob, frank, team } = trio;
    await frank.proposesToRemove("alice");
    expect(await alice.reads("team")).toMatchObject([
      { type: "proposal", change: { removed: [{ clientId: "alice" }] } },
    ]);
    expect(await team.commitPendingProposals()).toMatchObject({ outcome: "already-applied", epoch: 1n, attempts: 0 });
    await expectCode(team.encrypt(bytes("let me stay")), "PENDING_PROPOSALS");
    await bob.reads("team");
    expect(namesOf(await bob.session.conversation("team").commitPendingProposals()).removed).toEqual(["alice"]);
    expect(await alice.reads("team")).toMatchObject([{ type: "commit", active: false }]);
    await frank.hears();
    expect(frank.sees()).toEqual(["bob", "frank"]);
    expect(frank.epochAuthenticator).toEqual(await bob.session.conversation("team").epochAuthenticator());
  });

  it("leaves all that is pending to the others", async () => {
    const trio = await Trio.meets();
    const { alice, bob, frank, server, team } = trio;
    const sends = server.sends.length;
    await frank.proposesToRemove("alice");
    await frank.proposesUpdate();
    await alice.reads("team");
    expect(await team.commitPendingProposals()).toMatchObject({ outcome: "already-applied", epoch: 1n, attempts: 0 });
    expect(server.sends).toHaveLength(sends);
    await bob.reads("team");
    await bob.session.conversation("team").commitPendingProposals();
    expect(await alice.reads("team")).toMatchObject([{ type: "commit", active: false }]);
    await frank.hears();
    expect(frank.sees()).toEqual(["bob", "frank"]);
  });

  it("is not carried out by a commit of hers that asks for something else", async () => {
    const trio = await Trio.meets();
    await trio.frank.proposesToRemove("alice");
    expect(await trio.alice.reads("team")).toMatchObject([{ type: "proposal" }]);
    expect(namesOf(await trio.team.removeMembers(["bob"]))).toEqual({ ...nobody, removed: ["bob"] });
    await trio.endsWell();
  });
});

it("a commit by ts-mls that makes its own proposals takes the pending ones along", async () => {
  const trio = await Trio.meets();
  const carol = await trio.carol();
  await trio.frank.proposesToRemove("bob");
  await trio.frank.commits(addition(await carol.keyPackage()));
  const [, commit] = await trio.alice.reads("team");
  expect(commit).toMatchObject({
    type: "commit",
    change: { added: [{ clientId: "carol" }], removed: [{ clientId: "bob" }] },
  });
  await carol.joins();
  await trio.endsWell(carol);
});
