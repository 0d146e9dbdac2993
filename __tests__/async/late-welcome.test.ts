/** A Welcome and an external commit for the same conversation: whichever leads further is the one that counts. */
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { loseAnswer, sayAbort, Server } from "../support/server.js";

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

  await team.removeMembers(["dave"]);
  await dave.reads("team");
  await expectCode(dave.session.joinByWelcome(welcome!), "WELCOME_WITHOUT_KEY_PACKAGE");
  expect(await dave.session.conversation("team").active()).toBe(false);
});

it("a Welcome to an epoch that this client was in comes from another history, and is kept for when that has won", async () => {
  const { server, alice, dave, team } = await openTeam();
  await team.addMembers([await dave.keyPackage()]);
  await dave.joins();
  const lie = () => ({ status: "success" }) as const;
  server.nextFrom("dave", lie, lie, lie);
  const daves = dave.session.conversation("team");
  for (let epoch = 2; epoch < 5; epoch += 1) await daves.updateKeys();
  await team.removeMembers(["dave"]);
  await team.addMembers([await dave.keyPackage()]);
  const [welcome] = server.takeWelcomes("dave");
  await expectCode(dave.session.joinByWelcome(welcome!), "CONVERSATION_EXISTS");
  await daves.wipe();
  // Dave has known a later epoch, though of a history that nobody else has: going back takes his consent.
  await expectCode(dave.session.joinByWelcome(welcome!), "ROLLBACK_REFUSED");
  await dave.session.joinByWelcome(welcome!, { allowRollback: true });
  await dave.says("team", "back");
  expect(await alice.hears("team")).toEqual(["back"]);
});

it("a Welcome that comes while an external commit is on its way is enough: no other one is sent", async () => {
  const { server, alice, dave, team } = await openTeam();
  let hello: Uint8Array;
  server.nextFrom("dave", async () => {
    await team.addMembers([await dave.keyPackage()]);
    hello = await team.encrypt(bytes("welcome"));
    await dave.joins();
    return { status: "retry" };
  });
  await dave.joinsFromOutside("team");
  expect(server.sends.filter(({ from }) => from === "dave")).toHaveLength(1);
  expect(await dave.session.conversation("team").epoch()).toBe(await team.epoch());
  expect(await dave.session.receive(hello!)).toMatchObject([{ type: "message", plaintext: bytes("welcome") }]);
  expect(await alice.sees("team")).toEqual(["alice", "dave"]);
});

it.each([true, false])("an old Welcome is not enough; its removal read as well: %s", async (removalRead) => {
  const { server, alice, dave, team } = await openTeam();
  await team.addMembers([await dave.keyPackage()]);
  await team.removeMembers(["dave"]);
  const removal = server.log("team").at(-1)!;
  server.nextFrom("dave", async () => {
    await team.updateKeys();
    await dave.joins();
    if (removalRead) await dave.session.receive(removal);
    return { status: "retry" };
  });
  const conversation = await dave.joinsFromOutside("team");
  await alice.reads("team");
  expect(await alice.sees("team")).toEqual(["alice", "dave"]);
  expect(await conversation.epochAuthenticator()).toEqual(await team.epochAuthenticator());
});

it("a Welcome while an external commit is on its way is enough, whatever the server answers then", async () => {
  const { server, alice, dave, team } = await openTeam();
  server.nextFrom("dave", async () => {
    await team.addMembers([await dave.keyPackage()]);
    await dave.joins();
    return { status: "abort", reason: "a member already" };
  });
  await dave.joinsFromOutside("team");
  server.nextFrom("dave", async (sent) => {
    const answer = server.take(sent);
    await alice.reads("team");
    await team.removeMembers(["dave"]);
    await team.addMembers([await dave.keyPackage()]);
    await dave.session.receive(server.log("team").slice(-3));
    await dave.joins();
    return answer;
  });
  await dave.joinsFromOutside("team");
  expect(await dave.session.conversation("team").epochAuthenticator()).toEqual(await team.epochAuthenticator());
});

it.each([
  ["nothing", false],
  ["a former membership", true],
])("what waits for a Welcome goes on waiting when a creation in place of %s is refused", async (_what, before) => {
  const { server, alice, dave, team } = await openTeam();
  if (before) {
    await team.addMembers([await dave.keyPackage()]);
    await dave.joins();
    await team.removeMembers(["dave"]);
    await dave.reads("team");
  }
  await team.addMembers([await dave.keyPackage()]);
  const [welcome] = server.takeWelcomes("dave");
  const hello = await team.encrypt(bytes("hello"));
  await team.updateKeys();
  const early = await dave.session.receive([hello, server.log("team").at(-1)!]);
  expect(early).toMatchObject([{ for: "welcome" }, { for: "welcome" }]);
  server.nextFrom("dave", sayAbort);
  const members = [await alice.keyPackage()];
  await expectCode(
    dave.session.createConversation("team", { credential: dave.credential, members }),
    "COMMIT_REJECTED",
  );
  const { received, conversation } = await dave.session.joinByWelcome(welcome!);
  expect(received.map(({ type }) => type)).toEqual(["message", "commit"]);
  expect(await conversation.epochAuthenticator()).toEqual(await team.epochAuthenticator());
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
