/** A Welcome and an external commit for the same conversation: whichever leads further is the one that counts. */
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { loseAnswer, Server } from "../support/server.js";

afterEach(everybodyLeaves);

/** Alice, alone in an open team of epoch 1, and dave outside. */
async function openTeam() {
  const server = new Server();
  const [alice, dave] = [await Person.comes("alice", server), await Person.comes("dave", server)];
  const team = await alice.opens("team");
  await team.updateKeys();
  return { server, alice, dave, team };
}

it("an external commit that stayed open does not take back what a later Welcome has brought", async () => {
  const { server, alice, dave, team } = await openTeam();
  server.next(loseAnswer);
  await expectCode(dave.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
  await alice.session.receive(server.log("team"));
  await team.removeMembers(["dave"]);
  await team.addMembers([await dave.keyPackage()]);
  await dave.joins();
  expect(await dave.session.settle()).toEqual([]);
  expect(await dave.session.conversation("team").epoch()).toBe(4n);
});

it("a Welcome that an external join has overtaken finds its key package used", async () => {
  const { server, dave, team } = await openTeam();
  await team.addMembers([await dave.keyPackage()]);
  const [welcome] = server.takeWelcomes("dave");
  await dave.joinsFromOutside("team");
  expect(await dave.session.keyPackages()).toEqual([]);
  await expectCode(dave.session.joinByWelcome(welcome!), "WELCOME_WITHOUT_KEY_PACKAGE");
});

it("a Welcome to an epoch that this client is past leads nowhere, and says so", async () => {
  const { server, alice, dave, team } = await openTeam();
  await team.addMembers([await dave.keyPackage()]);
  const [welcome] = server.takeWelcomes("dave");
  await team.removeMembers(["dave"]);
  await dave.joinsFromOutside("team");
  await expectCode(dave.session.joinByWelcome(welcome!), "WELCOME_OVERTAKEN");
  await alice.reads("team");
  await dave.says("team", "here I am");
  expect(await alice.hears("team")).toEqual(["here I am"]);
});

it("a Welcome to a later epoch has to wait until the removal before it is received", async () => {
  const { server, dave, team } = await openTeam();
  await team.addMembers([await dave.keyPackage()]);
  await dave.joins();
  await team.removeMembers(["dave"]);
  const [removal] = server.log("team").slice(-1);
  await team.addMembers([await dave.keyPackage()]);
  const [welcome] = server.takeWelcomes("dave");
  await expectCode(dave.session.joinByWelcome(welcome!), "CONVERSATION_EXISTS");
  await dave.session.receive(removal!);
  const { conversation } = await dave.session.joinByWelcome(welcome!);
  expect(await conversation.epoch()).toBe(await team.epoch());
});

it("a Welcome that was overtaken does not bring back a membership that has ended since", async () => {
  const { server, alice, dave, team } = await openTeam();
  await team.addMembers([await dave.keyPackage()]);
  const [welcome] = server.takeWelcomes("dave");
  await dave.joinsFromOutside("team");
  await alice.session.receive(server.log("team"));
  await team.removeMembers(["dave"]);
  await dave.reads("team");
  expect(await dave.session.conversation("team").active()).toBe(false);
  await expectCode(dave.session.joinByWelcome(welcome!), "WELCOME_WITHOUT_KEY_PACKAGE");
  expect(await dave.session.conversation("team").active()).toBe(false);
});
