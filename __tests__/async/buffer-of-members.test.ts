import { Mallory } from "../support/mallory.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

const MEBIBYTE = 1024 * 1024;

it("a commit that waits for a proposal, however large, leaves room for what others have sent", async () => {
  const server = new Server();
  const [alice, bob] = [await Person.comes("alice", server), await Person.comes("bob", server)];
  const mallory = await Mallory.comes();
  const members = [await bob.keyPackage(), await mallory.keyPackage()];
  await alice.session.createConversation("team", { credential: alice.credential, members });
  await bob.joins();
  await mallory.joins(server);
  expect(await alice.session.receive(await mallory.commitsWhatNobodyHas(9 * MEBIBYTE))).toMatchObject([
    { type: "waiting", for: "proposal" },
  ]);

  const bobs = bob.session.conversation("team");
  await bobs.updateKeys();
  const [commit] = server.log("team").slice(-1);
  const [one, two] = [
    await bobs.encrypt(new Uint8Array(5 * MEBIBYTE)),
    await bobs.encrypt(new Uint8Array(5 * MEBIBYTE)),
  ];
  expect(await alice.session.receive(one)).toMatchObject([{ type: "waiting", for: "commit", epoch: 2n }]);
  expect(await alice.session.receive(two)).toMatchObject([
    { type: "unreadable", why: "evicted", epoch: 1n },
    { type: "waiting", for: "commit", epoch: 2n },
  ]);
  const read = await alice.session.receive(commit!);
  expect(read.map(({ type }) => type)).toEqual(["commit", "message", "message"]);
});
