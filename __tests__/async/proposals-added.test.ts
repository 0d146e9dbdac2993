import { expectCode } from "../support/expect.js";
import { Foreigner } from "../support/foreigner.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { namesOf, Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

const nobody = { added: [], removed: [], updated: [] };

describe.each(["private", "public"] as const)("a proposal by ts-mls, framed as a %s message,", (framing) => {
  it("to add somebody is told, holds messages back, and is committed with its Welcome", async () => {
    const trio = await Trio.meets({ framing });
    const { server, alice, frank, team } = trio;
    const carol = await trio.carol();
    await frank.proposesToAdd(await carol.keyPackage());

    const [proposal] = await alice.reads("team");
    if (proposal?.type !== "proposal") throw new Error("no proposal");
    expect(proposal).toMatchObject({ conversationId: "team", epoch: 1n, by: { clientId: "frank" } });
    expect(namesOf(proposal)).toEqual({ ...nobody, added: ["carol"] });
    expect(proposal.commitAfterMs).toBeGreaterThanOrEqual(0);
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");

    const result = await team.commitPendingProposals();
    expect(result).toMatchObject({ outcome: "merged", epoch: 2n, attempts: 1 });
    expect(namesOf(result)).toEqual({ ...nobody, added: ["carol"] });
    const { context } = server.sends.at(-1)!;
    expect(context.welcomeTo.map(({ clientId }) => clientId)).toEqual(["carol"]);
    expect(namesOf(context)).toEqual({ ...nobody, added: ["carol"] });
    await carol.joins();
    await trio.endsWell(carol);
  });

  it("to add somebody who has ts-mls too brings that one in", async () => {
    const trio = await Trio.meets({ framing });
    const dora = await Foreigner.comes("dora", trio.server);
    await trio.frank.proposesToAdd(await dora.keyPackage());
    await trio.alice.reads("team");
    expect(namesOf(await trio.team.commitPendingProposals())).toEqual({ ...nobody, added: ["dora"] });
    await dora.joins();
    await trio.endsWell(dora);
  });
});

it("several proposals go into one commit, and new members get the leaves that the removed leave", async () => {
  const trio = await Trio.meets();
  const { alice, frank, team } = trio;
  const carol = await trio.carol();
  await frank.proposesToAdd(await carol.keyPackage());
  await frank.proposesToRemove("bob");
  await frank.proposesUpdate();
  await alice.reads("team");
  const result = await team.commitPendingProposals();
  expect(namesOf(result)).toEqual({ added: ["carol"], removed: ["bob"], updated: ["frank"] });
  expect(result.change.added[0]!.leafIndex).toBe(1);
  await carol.joins();
  await trio.endsWell(carol);
});

it("addMembers takes them along, and one Welcome is for all", async () => {
  const trio = await Trio.meets();
  const carol = await trio.carol();
  const dora = await Foreigner.comes("dora", trio.server);
  await trio.frank.proposesToAdd(await dora.keyPackage());
  await trio.alice.reads("team");
  const result = await trio.team.addMembers([await carol.keyPackage()]);
  expect(namesOf(result).added.sort()).toEqual(["carol", "dora"]);
  const { welcomeTo } = trio.server.sends.at(-1)!.context;
  expect(welcomeTo.map(({ clientId }) => clientId).sort()).toEqual(["carol", "dora"]);
  await carol.joins();
  await dora.joins();
  await trio.endsWell(carol, dora);
});
