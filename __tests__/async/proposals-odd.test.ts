import { oddProposals } from "../support/odd-proposals.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { namesOf, Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

describe.each(oddProposals)("%s: %s", (_, fate, propose) => {
  it.each([
    ["commitPendingProposals", ({ team }: Trio) => team.commitPendingProposals()],
    ["updateKeys", ({ team }: Trio) => team.updateKeys()],
    ["removeMembers", ({ team }: Trio) => team.removeMembers(["bob"])],
  ])("keeps neither %s nor a good proposal from being committed", async (_, commit) => {
    const trio = await Trio.meets();
    await propose(trio);
    await trio.frank.proposesToRemove("bob");
    await trio.alice.reads("team");
    const result = await trio.clock.until(commit(trio));
    expect(result).toMatchObject({ outcome: "merged", epoch: 2n });
    expect(namesOf(result).removed).toEqual(["bob"]);
    await isInOrder(trio);
  });

  it("alone does not silence the conversation", async () => {
    const trio = await Trio.meets();
    await propose(trio);
    const types = (await trio.alice.reads("team")).map(({ type }) => type);
    expect(new Set(types)).toEqual(new Set([fate === "rejected" ? "rejected" : "proposal"]));

    const result = await trio.clock.until(trio.team.commitPendingProposals());
    expect(result.outcome).toBe(fate === "rejected" ? "already-applied" : "merged");
    const { added, removed, updated } = namesOf(result);
    if (fate === "left out") expect([...added, ...removed, ...updated]).toEqual(["alice"]);
    else expect([...added, ...removed, ...updated].length).toBeLessThanOrEqual(1);
    await isInOrder(trio);
  });
});

/** All who are left agree, nobody is a member twice, and alice can speak. */
async function isInOrder({ server, alice, bob, frank, team }: Trio): Promise<void> {
  const authenticator = await team.epochAuthenticator();
  const names = await alice.sees("team");
  expect(names).toEqual([...new Set(names)]);
  await frank.hears();
  expect(frank.epochAuthenticator).toEqual(authenticator);
  await bob.reads("team");
  if (names.includes("bob")) expect(await bob.session.conversation("team").epochAuthenticator()).toEqual(authenticator);
  server.post(await team.encrypt(bytes("still here")));
  expect(await frank.hears()).toEqual(["still here"]);
}
