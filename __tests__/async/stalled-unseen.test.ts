import type { MlsConversation, Received } from "conclave-mls";
import type { Proposal } from "ts-mls";
import { addition } from "../support/foreign-messages.js";
import { Foreigner } from "../support/foreigner.js";
import { Mallory } from "../support/mallory.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { sayAbort, Server } from "../support/server.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

const refused = { stalled: { why: "refused", epoch: 1n }, can: { encrypt: false } };
const removing = (removed: number): Proposal => ({ proposalType: "remove", remove: { removed } });

interface Team {
  server: Server;
  alice: Person;
  bob: Person;
  mallory: Mallory;
  team: MlsConversation;
}

/** Alice, bob and mallory, in "team". */
async function withMallory(): Promise<Team> {
  const server = new Server();
  const [alice, bob] = [await Person.comes("alice", server), await Person.comes("bob", server)];
  const mallory = await Mallory.comes();
  const members = [await bob.keyPackage(), await mallory.keyPackage()];
  const team = await alice.session.createConversation("team", { credential: alice.credential, members });
  await bob.joins();
  await mallory.joins(server);
  return { server, alice, bob, mallory, team };
}

describe("a commit that others may have applied stalls", () => {
  it("when it names a proposal that was refused and for which there was no room", async () => {
    const { frank, alice, server, team } = await Trio.meets();
    const stranger = await Foreigner.comes("bob", server);
    for (let count = 0; count < 9; count++) await frank.proposes(addition(await stranger.keyPackage()));
    await frank.commits();
    expect((await alice.reads("team")).at(-1)).toMatchObject({ type: "waiting", for: "proposal" });
    expect(await team.state()).toMatchObject(refused);
  });

  it("when it names a proposal whose key was used for another one", async () => {
    const { alice, mallory, team } = await withMallory();
    await alice.session.receive(await mallory.proposes(removing(1)));
    expect(await alice.session.receive(await mallory.proposes(removing(0)))).toMatchObject([{ type: "rejected" }]);
    expect((await team.state()).stalled).toBeUndefined();
  });

  it("when its key was used for another message", async () => {
    const { alice, bob, mallory, team } = await withMallory();
    await alice.session.receive(await mallory.proposes(removing(1)));
    const commit = await mallory.commits(removing(1));
    expect(await bob.session.receive(commit)).toMatchObject([{ type: "commit", active: false }]);
    expect(await alice.session.receive(commit)).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
    expect(await team.state()).toMatchObject(refused);
  });

  it("when it adds two with one init key, which RFC 9420 does not forbid", async () => {
    const { alice, mallory, team } = await withMallory();
    const adds = (await mallory.twins()).map((keyPackage): Proposal => ({ proposalType: "add", add: { keyPackage } }));
    expect(await alice.session.receive(await mallory.commits(...adds, removing(1)))).toMatchObject([
      { type: "rejected" },
    ]);
    expect(await team.state()).toMatchObject(refused);
  });

  it("when it is one's own, and the server had refused it for good", async () => {
    const { alice, bob, server, team } = await withMallory();
    server.nextFrom("alice", async (sent) => {
      server.take(sent);
      return sayAbort(sent, server);
    });
    await expect(team.updateKeys()).rejects.toMatchObject({ code: "COMMIT_REJECTED" });
    const commit = server.log("team").at(-1)!;
    expect(await bob.session.receive(commit)).toMatchObject([{ type: "commit" }]);
    expect(await alice.session.receive(commit)).toMatchObject([{ type: "rejected", code: "STATE_DIVERGED" }]);
    expect(await team.state()).toMatchObject(refused);
  });

  it("when it joins from outside with a secret that opens for some only", async () => {
    const server = new Server();
    const [alice, bob, carol] = [
      await Person.comes("alice", server),
      await Person.comes("bob", server),
      await Person.comes("carol", server),
    ];
    await alice.opens("team", bob, carol);
    const mallory = await Mallory.comes();
    const commit = await mallory.joinsFromOutside(server.groupInfo("team"), 2);
    expect(await carol.session.receive(commit)).toMatchObject([{ type: "commit", by: "external" }]);
    for (const { session } of [alice, bob]) {
      expect(await session.receive(commit)).toMatchObject([{ type: "rejected" }]);
      expect(await session.conversation("team").state()).toMatchObject(refused);
    }
  });
});

it("a message whose key was used for another one is no duplicate", async () => {
  const { alice, mallory } = await withMallory();
  const received: Received[] = await alice.session.receive([await mallory.says("one"), await mallory.says("two")]);
  expect(received).toMatchObject([{ type: "message" }, { type: "rejected", code: "MESSAGE_INVALID" }]);
});
