import { bytes, everybodyLeaves } from "../support/people.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

it("one member's proposals are kept up to a number, and the others commit all the same", async () => {
  const { frank, alice, bob, team } = await Trio.meets();
  for (let count = 0; count < 300; count++) await frank.proposes(frank.removal("bob"), bytes(String(count)));
  await alice.reads("team");
  expect((await team.state()).pendingProposals).toBe(256);
  await team.commitPendingProposals();
  expect((await bob.reads("team")).at(-1)).toMatchObject({ type: "commit", active: false });
});
