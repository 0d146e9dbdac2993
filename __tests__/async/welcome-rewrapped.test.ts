import { decoded, encoded } from "../support/foreign-messages.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

it("a Welcome used with a last-resort key package is known, in whatever order its secrets are", async () => {
  const server = new Server();
  const [alice, bob, carol] = [
    await Person.comes("alice", server),
    await Person.comes("bob", server),
    await Person.comes("carol", server),
  ];
  const [last] = await bob.session.generateKeyPackages(bob.credential, { count: 1, lastResort: true });
  const members = [last!.bytes, await carol.keyPackage()];
  await alice.session.createConversation("team", { credential: alice.credential, members });
  const [welcome] = server.takeWelcomes("bob");
  await bob.session.joinByWelcome(welcome!);
  await bob.session.conversation("team").wipe();
  const message = decoded(welcome!);
  if (message.wireformat !== "mls_welcome") throw new Error("This is no Welcome.");
  const secrets = [...message.welcome.secrets].reverse();
  const other = encoded({ ...message, welcome: { ...message.welcome, secrets } });
  for (const again of [welcome!, other]) {
    await expect(bob.session.joinByWelcome(again)).rejects.toMatchObject({ code: "ROLLBACK_REFUSED" });
  }
  await bob.session.joinByWelcome(other, { allowRollback: true });
});
