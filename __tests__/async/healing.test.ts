import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { breakDown, loseAnswer, sayAbort, sayRetry } from "../support/server.js";
import { openTeam, settled } from "../support/teams.js";

afterEach(everybodyLeaves);

describe("a conversation that is broken is healed", () => {
  it("when it is behind for good", async () => {
    const { server, alice, bob } = await openTeam();
    for (let lost = 0; lost < 3; lost += 1) await alice.session.conversation("team").updateKeys();
    await alice.says("team", "lost");
    const unreachable = server.log("team").slice(0, -1);
    expect(await bob.session.receive(server.log("team").at(-1)!)).toMatchObject([{ type: "waiting" }]);
    const team = await bob.joinsFromOutside("team");
    expect(await team.epoch()).toBe(5n);
    expect(await alice.reads("team")).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ type: "commit", by: "external" })]) as object,
    );
    expect(await alice.sees("team")).toEqual(["alice", "bob"]);
    await bob.says("team", "back again");
    expect(await alice.hears("team")).toEqual(["back again"]);
    for (const old of unreachable)
      expect(["ignored", "unreadable"]).toContain((await bob.session.receive(old))[0]!.type);
  });

  it("when this client was removed", async () => {
    const { alice, bob } = await openTeam();
    await alice.session.conversation("team").removeMembers(["bob"]);
    await bob.reads("team");
    expect(await bob.session.conversation("team").active()).toBe(false);
    await bob.joinsFromOutside("team");
    await alice.reads("team");
    await bob.says("team", "let me in");
    expect(await alice.hears("team")).toEqual(["let me in"]);
  });

  it("and lives as it was until then, with its commit beyond help told to be lost after it", async () => {
    const { server, alice } = await openTeam();
    const transport = {
      ...server.transport("erin"),
      fetchMessages: () => Promise.reject(new Error("the log is lost")),
    };
    const erin = await Person.comes("erin", server, { transport });
    await alice.session.conversation("team").addMembers([await erin.keyPackage()]);
    await erin.joins();
    const outcomes = settled(erin);
    server.nextFrom("erin", breakDown);
    await expectCode(erin.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await alice.session.conversation("team").updateKeys();
    server.nextFrom("erin", sayRetry, sayAbort);
    await expectCode(erin.joinsFromOutside("team"), "COMMIT_REJECTED");
    expect(await erin.session.conversation("team").epoch()).toBe(2n);
    expect(await erin.session.unsettledCommits()).toHaveLength(1);
    expect(outcomes).toEqual([]);
    await erin.joinsFromOutside("team");
    expect(outcomes).toMatchObject([{ outcome: "lost", conversationId: "team" }]);
    expect(await erin.session.unsettledCommits()).toEqual([]);
    expect(await erin.session.conversation("team").epoch()).toBe(4n);
  });

  it("after its open commit was settled: the server gets no second one for that epoch", async () => {
    const { server, alice, bob } = await openTeam();
    const outcomes = settled(bob);
    server.nextFrom("bob", breakDown);
    await expectCode(bob.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await bob.joinsFromOutside("team");
    expect(outcomes).toMatchObject([{ outcome: "merged" }]);
    const sends = server.sends.filter(({ from }) => from === "bob").map(({ context }) => context);
    expect(sends.map(({ epoch, attempt }) => [epoch, attempt])).toEqual([
      [1n, 1],
      [1n, 2],
      [2n, 1],
    ]);
    await alice.reads("team");
    await bob.says("team", "back again");
    expect(await alice.hears("team")).toEqual(["back again"]);
  });

  it("only when its open commit of the present epoch can be settled", async () => {
    const { server, bob } = await openTeam();
    server.nextFrom("bob", breakDown, breakDown);
    await expectCode(bob.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    const { message } = await expectCode(bob.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
    expect(message).toContain("earlier commit");
    expect(await bob.session.unsettledCommits()).toHaveLength(1);
    await bob.joinsFromOutside("team");
    expect(await bob.session.conversation("team").epoch()).toBe(3n);
  });

  it("and what it had committed is told to be merged when the server has accepted it", async () => {
    const { server, alice, bob } = await openTeam();
    const outcomes = settled(bob);
    server.nextFrom("bob", loseAnswer);
    await expectCode(bob.session.conversation("team").removeMembers(["alice"]), "COMMIT_OUTCOME_UNKNOWN");
    await bob.joinsFromOutside("team");
    expect(outcomes).toMatchObject([{ outcome: "merged", intent: { removed: [{ clientId: "alice" }] } }]);
    expect(await bob.sees("team")).toEqual(["bob"]);
    await alice.reads("team");
    expect(await alice.session.conversation("team").active()).toBe(false);
  });

  it("and what became of its open commit is seen in the leaf that the join takes the place of; its echo is no contradiction", async () => {
    const { server, bob } = await openTeam();
    const outcomes = settled(bob);
    server.nextFrom("bob", loseAnswer, breakDown);
    await expectCode(bob.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    const commit = server.log("team").at(-1)!;
    await bob.joinsFromOutside("team");
    expect(outcomes).toMatchObject([{ outcome: "merged" }]);
    expect(await bob.session.receive(commit)).toMatchObject([{ type: "ignored", why: "own" }]);
  });

  it("although the server contradicts itself about its open commit", async () => {
    const { server, alice, bob } = await openTeam();
    server.nextFrom("bob", breakDown);
    await expectCode(bob.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await alice.session.conversation("team").updateKeys();
    server.nextFrom("bob", async () => {
      await bob.session.receive(server.log("team"));
      return { status: "success" };
    });
    await bob.joinsFromOutside("team");
    await alice.reads("team");
    await bob.says("team", "healed");
    expect(await alice.hears("team")).toEqual(["healed"]);
  });

  it("and commits in it wait for the join in doubt", async () => {
    const { server, alice, bob } = await openTeam();
    server.next(loseAnswer);
    await expectCode(bob.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
    expect(await bob.session.conversation("team").updateKeys()).toMatchObject({ outcome: "merged", epoch: 3n });
    await alice.reads("team");
    expect(await alice.session.conversation("team").epochAuthenticator()).toEqual(
      await bob.session.conversation("team").epochAuthenticator(),
    );
  });
});

it("a conversation that is wiped while its open commit is settled before a join stays away", async () => {
  const { server, alice, bob } = await openTeam();
  server.nextFrom("bob", breakDown);
  await expectCode(bob.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
  await alice.session.conversation("team").updateKeys();
  server.nextFrom("bob", async () => {
    await bob.session.conversation("team").wipe();
    return { status: "retry" };
  });
  await expectCode(bob.joinsFromOutside("team"), "CONVERSATION_NOT_FOUND");
  expect(await bob.session.conversations()).toEqual([]);
});
