/** People whose clocks agree with each other and not with the machine's, and one who goes by the machine's. */
import { FakeClock } from "../support/clock.js";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

const DAY = 24 * 60 * 60 * 1000;

it.each([
  ["half a year behind", -200 * DAY],
  ["half a year ahead", 200 * DAY],
])("sessions whose clock is %s add each other, and who goes by the machine's clock follows them", async (_, apart) => {
  const server = new Server();
  const clock = new FakeClock({ start: Date.now() + apart });
  const [alice, carol, dave] = await Promise.all(
    ["alice", "carol", "dave"].map((name) => Person.comes(name, server, { clock })),
  );
  const bob = await Person.comes("bob", server);
  const team = await bob.opens("team");
  await team.updateKeys();
  await alice!.joinsFromOutside("team");
  await bob.reads("team");
  const alices = alice!.session.conversation("team");
  await alices.addMembers([await carol!.keyPackage(), await dave!.keyPackage()]);
  await carol!.joins();
  await dave!.joins();
  expect(await bob.reads("team")).toMatchObject([{ type: "commit", change: { added: [{}, {}] } }]);
  expect(await bob.sees("team")).toEqual(["alice", "bob", "carol", "dave"]);
  await dave!.says("team", "what a time to be here");
  expect(await bob.hears("team")).toEqual(["what a time to be here"]);
  expect(await team.epochAuthenticator()).toEqual(await alices.epochAuthenticator());
});

it("who adds refuses a key package that its maker's clock has dated wrongly, and says that it is about clocks", async () => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const clockOf = (apart: number) => ({ clock: new FakeClock({ start: Date.now() + apart }) });
  const ahead = await Person.comes("ahead", server, clockOf(3 * DAY));
  const behind = await Person.comes("behind", server, clockOf(-83 * DAY));
  const team = await alice.creates("team");
  const early = await expectCode(team.addMembers([await ahead.keyPackage()]), "KEY_PACKAGE_INVALID");
  expect(early.message).toMatch(/has not begun.*clock/);
  const late = await expectCode(team.addMembers([await behind.keyPackage()]), "KEY_PACKAGE_INVALID");
  expect(late.message).toMatch(/has expired.*clock/);
});
