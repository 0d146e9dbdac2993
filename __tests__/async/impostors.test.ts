import { Foreigner } from "../support/foreigner.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

describe("a stranger who bears the name of a member", () => {
  it("does not take its place by a commit from outside", async () => {
    const server = new Server();
    const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => Person.comes(name, server)));
    const team = await alice!.opens("team", bob!, carol!);
    const before = await team.members();

    const stranger = await Foreigner.comes("bob", server);
    const commit = await stranger.takesThePlaceOf("bob", "team");
    for (const { session } of [alice!, bob!, carol!]) {
      const [told] = await session.receive(commit);
      expect(told).toMatchObject({
        type: "rejected",
        code: "EXTERNAL_JOIN_REFUSED",
        conversationId: "team",
        epoch: 1n,
      });
    }
    expect(await team.members()).toEqual(before);
    // Anybody can make such a commit: it stalls nothing.
    expect((await team.state()).stalled).toBeUndefined();
    server.post(await team.encrypt(bytes("to those who are here")));
    expect(await bob!.hears("team")).toEqual(["to those who are here"]);
  });

  it("is neither kept as a proposal nor merged with a commit", async () => {
    const { frank, alice, bob, team, server } = await Trio.meets();
    const stranger = await Foreigner.comes("bob", server);
    await frank.proposesToAdd(await stranger.keyPackage());
    expect(await alice.reads("team")).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
    await team.encrypt(bytes("it keeps nobody from sending"));

    await frank.commits();
    for (const member of [alice, bob]) {
      const told = await member.reads("team");
      expect(told.at(-1)).toMatchObject({
        type: "rejected",
        code: "MESSAGE_INVALID",
        conversationId: "team",
        epoch: 1n,
      });
      expect(await member.session.conversation("team").state()).toMatchObject({
        epoch: 1n,
        membership: "member",
        stalled: { why: "refused", epoch: 1n },
        can: { encrypt: false, commit: false, decrypt: true },
      });
    }
    expect(await alice.sees("team")).toEqual(["alice", "bob", "frank"]);
  });
});

describe("removing a leaf", () => {
  it("goes by the key of a member, as members() gives it, or by a name alone", async () => {
    const server = new Server();
    const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => Person.comes(name, server)));
    const team = await alice!.creates("team", bob!, carol!);
    const members = await team.members();
    const [bobs, carols] = ["bob", "carol"].map((name) => members.find(({ clientId }) => clientId === name)!);

    const mixed = { clientId: "bob", signatureKey: carols!.signatureKey };
    await expect(team.removeMembers([mixed])).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    await expect(team.removeMembers([bobs!, "bob"])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const { change } = await team.removeMembers([bobs!]);
    expect(change.removed).toEqual([bobs]);
    await team.removeMembers(["carol"]);
    expect(await alice!.sees("team")).toEqual(["alice"]);
  });

  it.each([
    ["no key", { clientId: "bob" }],
    ["a key that is no bytes", { clientId: "bob", signatureKey: "abc" }],
    ["an empty key", { clientId: "bob", signatureKey: new Uint8Array() }],
    ["no name", { signatureKey: new Uint8Array(32) }],
    ["nothing", undefined],
  ])("with %s is INVALID_ARGUMENT", async (_, leaf) => {
    const server = new Server();
    const alice = await Person.comes("alice", server);
    const team = await alice.creates("team");
    await expect(team.removeMembers([leaf as never])).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("joinByWelcome", () => {
  it("says who has invited", async () => {
    const server = new Server();
    const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => Person.comes(name, server)));
    await alice!.creates("team", bob!);
    await bob!.session.conversation("team").addMembers([await carol!.keyPackage()]);
    const [welcome] = server.takeWelcomes("carol");
    const joined = await carol!.session.joinByWelcome(welcome!);
    const bobs = joined.members.find(({ clientId }) => clientId === "bob");
    expect(joined.inviter).toEqual(bobs);
    const again = await carol!.session.joinByWelcome(welcome!);
    expect(again.inviter).toEqual(bobs);
  });

  it("in a transaction that throws leaves all as it was, after a look at who is there", async () => {
    const server = new Server();
    const [alice, bob] = await Promise.all(["alice", "bob"].map((name) => Person.comes(name, server)));
    const created = alice!.session.createConversation("team", {
      credential: alice!.credential,
      members: [await bob!.keyPackage()],
    });
    await created;
    const [welcome] = server.takeWelcomes("bob");
    const before = await bob!.session.keyPackages();
    const seen: string[] = [];
    const looking = bob!.session.transaction(async (tx) => {
      const { inviter, members } = await tx.joinByWelcome(welcome!);
      seen.push(inviter.clientId, ...members.map(({ clientId }) => clientId));
      throw new Error("rather not");
    });
    await expect(looking).rejects.toThrow("rather not");
    expect(seen).toEqual(["alice", "alice", "bob"]);
    expect(await bob!.session.conversations()).toEqual([]);
    expect(await bob!.session.keyPackages()).toEqual(before);
    await bob!.session.joinByWelcome(welcome!);
    expect(await bob!.sees("team")).toEqual(["alice", "bob"]);
  });
});
