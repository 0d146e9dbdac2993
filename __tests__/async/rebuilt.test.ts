import { Credential } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person, suite } from "../support/people.js";
import { breakDown, Server, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);

/** Alice, bob and carol in a conversation, with dave and erin outside. */
async function scene() {
  const server = new Server();
  const [alice, bob, carol, dave, erin] = await Promise.all(
    ["alice", "bob", "carol", "dave", "erin"].map((name) => Person.comes(name, server)),
  );
  const team = await alice!.creates("team", bob!, carol!);
  const bobs = bob!.session.conversation("team");
  /** Alice's next commit comes after all of this. */
  const first = (work: () => Promise<unknown>): void => {
    const whim: Whim = async (sent) => {
      await work();
      return server.take(sent);
    };
    server.nextFrom("alice", whim);
  };
  return { server, alice: alice!, bob: bob!, carol: carol!, dave: dave!, erin: erin!, team, bobs, first };
}

const alreadyApplied = { outcome: "already-applied", change: { added: [], removed: [], updated: [], other: [] } };
const names = (members: readonly { clientId: string }[]): string[] => members.map(({ clientId }) => clientId);

describe("a removal that lost", () => {
  it("does not throw out again who was removed and invited anew", async () => {
    const { server, alice, bob, carol, team, bobs, first } = await scene();
    first(async () => {
      await bobs.removeMembers(["carol"]);
      await bobs.addMembers([await carol.keyPackage()]);
    });
    expect(await team.removeMembers(["carol"])).toMatchObject({ ...alreadyApplied, epoch: 3n, attempts: 1 });
    expect(await alice.sees("team")).toEqual(["alice", "bob", "carol"]);
    await carol.session.receive(server.log("team"));
    await carol.joins();
    await carol.says("team", "still here");
    expect(await bob.hears("team")).toContain("still here");
  });

  it("does not throw out again who had another signature key when it was removed", async () => {
    const { alice, carol, team, bob, bobs, first } = await scene();
    first(async () => {
      const credential = await carol.session.addCredential(Credential.basic("carol", { cipherSuite: suite }));
      await carol.session.conversation("team").updateKeys({ credential });
      await bob.reads("team");
      await bobs.removeMembers(["carol"]);
      await bobs.addMembers([await carol.keyPackage()]);
    });
    expect(await team.removeMembers(["carol"])).toMatchObject({ ...alreadyApplied, epoch: 4n });
    expect(await alice.sees("team")).toEqual(["alice", "bob", "carol"]);
  });

  it("does not throw out who came back under the same name with another key", async () => {
    const { server, alice, team, bobs, first } = await scene();
    const anew = await Person.comes("carol", server);
    first(async () => {
      await bobs.removeMembers(["carol"]);
      await bobs.addMembers([await anew.keyPackage()]);
    });
    expect(await team.removeMembers(["carol"])).toMatchObject(alreadyApplied);
    expect(await alice.sees("team")).toEqual(["alice", "bob", "carol"]);
  });

  it("does not hit a new member at the leaf of the removed one", async () => {
    const { alice, dave, team, bobs, first } = await scene();
    const place = (await team.members()).find(({ clientId }) => clientId === "carol")!.leafIndex;
    first(async () => {
      await bobs.removeMembers(["carol"]);
      await bobs.addMembers([await dave.keyPackage()]);
    });
    expect(await team.removeMembers(["carol"])).toMatchObject(alreadyApplied);
    expect(await alice.sees("team")).toEqual(["alice", "bob", "dave"]);
    expect((await team.members()).find(({ clientId }) => clientId === "dave")!.leafIndex).toBe(place);
  });

  it("removes whoever is left of those it names", async () => {
    const { server, alice, dave, team, bobs, first } = await scene();
    await bobs.addMembers([await dave.keyPackage()]);
    await alice.reads("team");
    first(() => bobs.removeMembers(["carol"]));
    const { outcome, change } = await team.removeMembers(["carol", "dave"]);
    expect([outcome, names(change.removed)]).toEqual(["merged", ["dave"]]);
    expect(names(server.sends.at(-1)!.context.change.removed)).toEqual(["dave"]);
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  });

  it("removes who has joined anew from outside, on his own: nobody has invited him", async () => {
    const { server, alice, bob, carol, first } = await scene();
    const open = await alice.opens("open", bob, carol);
    first(() => carol.joinsFromOutside("open"));
    const { outcome, change } = await open.removeMembers(["carol"]);
    expect([outcome, names(change.removed)]).toEqual(["merged", ["carol"]]);
    expect(await alice.sees("open")).toEqual(["alice", "bob"]);
    expect(server.sends.at(-1)!.context.epoch).toBe(2n);
  });

  it("removes who has fresh keys by now", async () => {
    const { alice, carol, team, first } = await scene();
    first(() => carol.session.conversation("team").updateKeys());
    expect(await team.removeMembers(["carol"])).toMatchObject({ outcome: "merged", epoch: 3n });
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
  });
});

describe("an invitation that lost", () => {
  it("invites only the rest when somebody else has invited some of them", async () => {
    const { server, alice, dave, erin, team, bobs, first } = await scene();
    const both = [await dave.keyPackage(), await erin.keyPackage()];
    first(() => bobs.addMembers([both[0]!]));
    const { outcome, change } = await team.addMembers(both);
    expect([outcome, names(change.added)]).toEqual(["merged", ["erin"]]);
    expect(names(server.sends.at(-1)!.context.welcomeTo)).toEqual(["erin"]);
    await dave.session.joinByWelcome(server.takeWelcomes("dave")[0]!);
    await dave.session.receive(server.log("team"));
    await erin.joins();
    for (const { session } of [dave, erin, alice])
      expect(await session.conversation("team").epochAuthenticator()).toEqual(await team.epochAuthenticator());
  });

  it("has nothing to do when they were invited by other key packages", async () => {
    const { server, dave, team, bobs, first } = await scene();
    const [one, other] = [await dave.keyPackage(), await dave.keyPackage()];
    first(() => bobs.addMembers([one]));
    expect(await team.addMembers([other])).toMatchObject({ ...alreadyApplied, epoch: 2n, attempts: 1 });
    expect(server.takeWelcomes("dave")).toHaveLength(1);
  });

  it("is ALREADY_MEMBER when the name belongs to another key by now, and nothing stays open", async () => {
    const { server, alice, dave, team, bobs, first } = await scene();
    const other = await Person.comes("dave", server);
    first(async () => bobs.addMembers([await other.keyPackage()]));
    await expectCode(team.addMembers([await dave.keyPackage()]), "ALREADY_MEMBER");
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 3n });
  });

  it("invites again who was invited and removed meanwhile", async () => {
    const { alice, dave, team, bobs, first } = await scene();
    first(async () => {
      await bobs.addMembers([await dave.keyPackage()]);
      await bobs.removeMembers(["dave"]);
    });
    expect(await team.addMembers([await dave.keyPackage()])).toMatchObject({ outcome: "merged", epoch: 4n });
    expect(await alice.sees("team")).toEqual(["alice", "bob", "carol", "dave"]);
  });
});

describe("an update that lost", () => {
  it("is never already applied", async () => {
    const { server, alice, carol, team, bobs, first } = await scene();
    for (let lost = 0; lost < 3; lost += 1)
      first(async () => {
        await carol.reads("team");
        await carol.session.conversation("team").updateKeys();
      });
    const { outcome, attempts, change } = await team.updateKeys();
    expect([outcome, attempts, names(change.updated)]).toEqual(["merged", 4, ["alice"]]);
    const tried = server.sends.filter(({ from }) => from === "alice").slice(1);
    expect(new Set(tried.map(({ context }) => context.commitId)).size).toBe(4);
    expect(tried.map(({ context }) => context.epoch)).toEqual([1n, 2n, 3n, 4n]);
    await carol.session.receive(server.log("team"));
    expect(await carol.session.conversation("team").epochAuthenticator()).toEqual(await team.epochAuthenticator());
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(await bobs.epoch()).toBe(1n);
  });
});

describe("a commit that lost to one that removed its maker", () => {
  it("is not built again: the conversation is over for this client", async () => {
    const { alice, team, bobs, first } = await scene();
    first(() => bobs.removeMembers(["alice"]));
    await expectCode(team.removeMembers(["carol"]), "CONVERSATION_INACTIVE");
    expect(await team.active()).toBe(false);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("is not built again either when it was invited anew meanwhile: whom it meant may have been, too", async () => {
    const { server, alice, carol, team, bobs, first } = await scene();
    first(async () => {
      await bobs.removeMembers(["carol", "alice"]);
      await bobs.addMembers([await alice.keyPackage(), await carol.keyPackage()]);
      await alice.session.receive(server.log("team").slice(0, 2));
      await alice.joins();
    });
    await expectCode(team.removeMembers(["carol"]), "CONVERSATION_INACTIVE");
    expect(await alice.sees("team")).toEqual(["alice", "bob", "carol"]);
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 4n });
  });

  it("is told to be lost when it had been left open", async () => {
    const { server, alice, team, bobs } = await scene();
    const settled: unknown[] = [];
    alice.session.on("commitSettled", ({ outcome, intent }) => settled.push([outcome, names(intent.removed)]));
    server.nextFrom("alice", breakDown);
    await expectCode(team.removeMembers(["carol"]), "COMMIT_OUTCOME_UNKNOWN");
    await bobs.removeMembers(["alice"]);
    await alice.reads("team");
    expect(settled).toEqual([["lost", ["carol"]]]);
    expect(await alice.session.settle()).toEqual([]);
  });
});

it("an addition that lost leaves out who came by another one and has another signature key by now", async () => {
  const { alice, bobs, dave, erin, team, first } = await scene();
  const invitees = [await dave.keyPackage(), await erin.keyPackage()];
  const other = await dave.keyPackage();
  first(async () => {
    await bobs.addMembers([other]);
    await dave.joins();
    const credential = await dave.session.addCredential(Credential.basic("dave", { cipherSuite: suite }));
    await dave.session.conversation("team").updateKeys({ credential });
  });
  const { outcome, change } = await team.addMembers(invitees);
  expect([outcome, names(change.added)]).toEqual(["merged", ["erin"]]);
  expect(await alice.sees("team")).toEqual(["alice", "bob", "carol", "dave", "erin"]);
});
