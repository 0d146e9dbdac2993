import type { Received } from "conclave-mls";
import { Mallory } from "../support/mallory.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

const MEBIBYTE = 1024 * 1024;

it("commits that wait for a proposal, however large, make way for those of the same member only", async () => {
  const server = new Server();
  const [alice, bob] = [await Person.comes("alice", server), await Person.comes("bob", server)];
  const mallory = await Mallory.comes();
  const members = [await bob.keyPackage(), await mallory.keyPackage()];
  await alice.session.createConversation("team", { credential: alice.credential, members });
  await bob.joins();
  await mallory.joins(server);
  const commitsWhatNobodyHas = async (size: number): Promise<Received[]> =>
    alice.session.receive(await mallory.commitsWhatNobodyHas(size));
  expect(await commitsWhatNobodyHas(1.5 * MEBIBYTE)).toMatchObject([{ type: "waiting", for: "proposal" }]);
  expect(await commitsWhatNobodyHas(9 * MEBIBYTE)).toMatchObject([{ type: "unreadable", why: "evicted" }]);

  const bobs = bob.session.conversation("team");
  await bobs.updateKeys();
  const [commit] = server.log("team").slice(-1);
  const [one, two] = [
    await bobs.encrypt(new Uint8Array(5 * MEBIBYTE)),
    await bobs.encrypt(new Uint8Array(5 * MEBIBYTE)),
  ];
  expect(await alice.session.receive(one)).toMatchObject([{ type: "waiting", for: "commit", epoch: 2n }]);
  expect(await alice.session.receive(two)).toMatchObject([{ type: "waiting", for: "commit", epoch: 2n }]);
  expect(await commitsWhatNobodyHas(1 * MEBIBYTE)).toMatchObject([
    { type: "waiting", for: "proposal", count: 3 },
    { type: "unreadable", why: "evicted", epoch: 1n },
  ]);
  const read = await alice.session.receive(commit!);
  expect(read.map(({ type }) => type)).toEqual(["commit", "message", "message", "ignored"]);
});
