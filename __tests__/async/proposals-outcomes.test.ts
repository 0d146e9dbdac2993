import { expectCode } from "../support/expect.js";
import { cleanUp } from "../support/files.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { breakDown, loseAnswer, sayAbort, sayNothing, sayRetry } from "../support/server.js";
import { namesOf, Trio } from "../support/trio.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const bobIsRemoved = { added: [], removed: ["bob"], updated: [] };

/** Frank has proposed to remove bob, and alice knows. */
async function bobIsToGo(setting = {}): Promise<Trio> {
  const trio = await Trio.meets(setting);
  await trio.frank.proposesToRemove("bob");
  expect(await trio.alice.reads("team")).toMatchObject([{ type: "proposal" }]);
  return trio;
}

describe("the commit of pending proposals", () => {
  it("told to retry is sent again as it is", async () => {
    const trio = await bobIsToGo();
    const { server, clock, team } = trio;
    server.next(sayRetry, sayRetry);
    const result = await clock.until(team.commitPendingProposals());
    expect(result).toMatchObject({ outcome: "merged", epoch: 2n, attempts: 3 });
    expect(namesOf(result)).toEqual(bobIsRemoved);
    expect(new Set(server.sends.slice(-3).map(({ context }) => context.commitId)).size).toBe(1);
    await trio.endsWell();
  });

  it("is already-applied when another member's commit of the same was faster", async () => {
    const trio = await Trio.meets();
    await trio.frank.proposesUpdate();
    await trio.alice.reads("team");
    await trio.bob.reads("team");
    await trio.bob.session.conversation("team").commitPendingProposals();
    const result = await trio.clock.until(trio.team.commitPendingProposals());
    expect(result).toMatchObject({ outcome: "already-applied", epoch: 2n, attempts: 1 });
    expect(result.change).toEqual({ added: [], removed: [], updated: [], other: [] });
    await trio.endsWell();
  });

  it("is already-applied also when the faster one did something else: what was pending ended with its epoch", async () => {
    const trio = await bobIsToGo();
    await trio.bob.session.conversation("team").updateKeys();
    const result = await trio.clock.until(trio.team.commitPendingProposals());
    expect(result).toMatchObject({ outcome: "already-applied", epoch: 2n, attempts: 1 });
    expect(await trio.alice.sees("team")).toContain("bob");
    await trio.endsWell();
  });

  it("is built again of what was proposed since, when a faster one had ended what was pending", async () => {
    const trio = await bobIsToGo();
    const { bob, frank, server, clock, team } = trio;
    await bob.session.conversation("team").updateKeys();
    await frank.hears();
    await frank.proposesUpdate();
    const result = await clock.until(team.commitPendingProposals());
    expect(result).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
    expect(namesOf(result)).toEqual({ added: [], removed: [], updated: ["frank"] });
    expect(server.sends.slice(-2).map(({ context }) => context.epoch)).toEqual([1n, 2n]);
    await trio.endsWell();
  });

  it("refused leaves the proposals pending, for the next attempt", async () => {
    const trio = await bobIsToGo();
    const { server, team } = trio;
    server.next(sayAbort);
    await expectCode(team.commitPendingProposals(), "COMMIT_REJECTED");
    expect(await trio.alice.session.unsettledCommits()).toEqual([]);
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(namesOf(await team.commitPendingProposals())).toEqual(bobIsRemoved);
    await trio.endsWell();
  });

  it.each([
    ["was accepted", loseAnswer],
    ["was not accepted", breakDown],
  ])("of unknown outcome is settled by sending it again: it %s", async (_, whim) => {
    const trio = await bobIsToGo();
    const { server, alice, team } = trio;
    server.next(whim);
    await expectCode(team.commitPendingProposals(), "COMMIT_OUTCOME_UNKNOWN");
    const [open] = await alice.session.unsettledCommits();
    expect(open).toMatchObject({ epoch: 1n, why: "unknown", intent: { removed: [{ clientId: "bob" }] } });
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(await alice.session.settle()).toEqual([]);
    expect(new Set(server.sends.slice(-2).map(({ context }) => context.commitId)).size).toBe(1);
    await trio.endsWell();
  });

  it("of unknown outcome is settled by its echo", async () => {
    const trio = await bobIsToGo();
    trio.server.next(loseAnswer);
    await expectCode(trio.team.commitPendingProposals(), "COMMIT_OUTCOME_UNKNOWN");
    expect(await trio.alice.reads("team")).toMatchObject([{ type: "commit", own: true, change: { removed: [{}] } }]);
    await trio.endsWell();
  });

  it("of unknown outcome is lost to another one", async () => {
    const trio = await bobIsToGo();
    trio.server.next(breakDown);
    await expectCode(trio.team.commitPendingProposals(), "COMMIT_OUTCOME_UNKNOWN");
    await trio.frank.commits();
    expect(await trio.alice.reads("team")).toMatchObject([{ type: "commit", own: false, change: { removed: [{}] } }]);
    await trio.endsWell();
  });

  it("that is told to retry too often stays open, and is settled later", async () => {
    const trio = await bobIsToGo();
    const { server, clock, alice, team } = trio;
    server.next(sayRetry, sayRetry, sayRetry);
    await expectCode(clock.until(team.commitPendingProposals({ attempts: 3 })), "RETRY_EXHAUSTED");
    expect(await alice.session.unsettledCommits()).toMatchObject([{ why: "exhausted" }]);
    expect(await alice.session.settle()).toEqual([]);
    await trio.endsWell();
  });

  it.each([
    ["was accepted", loseAnswer],
    ["never arrived", sayNothing],
  ])("is found and settled after a restart: it %s", async (_, whim) => {
    const trio = await bobIsToGo({ onDisk: true });
    const { server } = trio;
    server.next(whim);
    const commit = trio.team.commitPendingProposals();
    const ended = expect(commit).rejects.toMatchObject({ code: expect.any(String) as string });
    await server.sent(2);
    await trio.aliceRestarts();
    await ended;
    const { alice, team } = trio;
    expect(await alice.session.unsettledCommits()).toMatchObject([
      { epoch: 1n, intent: { removed: [{ clientId: "bob" }] } },
    ]);
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(await alice.session.settle()).toEqual([]);
    expect(await alice.sees("team")).toEqual(["alice", "frank"]);
    await trio.endsWell();
  });
});

it("proposals are still pending after a restart", async () => {
  const trio = await bobIsToGo({ onDisk: true });
  await trio.aliceRestarts();
  await expectCode(trio.team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
  expect(namesOf(await trio.team.commitPendingProposals())).toEqual(bobIsRemoved);
  await trio.endsWell();
});

it("what goes along with a commit of something else goes along again when that one is built again", async () => {
  const trio = await bobIsToGo();
  const { bob, frank, clock, team } = trio;
  await bob.session.conversation("team").updateKeys();
  await frank.hears();
  await frank.proposesUpdate();
  const result = await clock.until(team.removeMembers(["bob"]));
  expect(result).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
  expect(namesOf(result)).toEqual({ added: [], removed: ["bob"], updated: ["frank"] });
  await trio.endsWell();
});

describe("encrypt", () => {
  it("waits for the commit that is on its way with what is pending", async () => {
    const trio = await bobIsToGo();
    const { server, alice, frank, team } = trio;
    let answer = (): void => {};
    const held = new Promise<void>((resolve) => (answer = resolve));
    server.next(async (sent) => {
      await held;
      return server.take(sent);
    });
    const commit = team.commitPendingProposals();
    await server.sent(2);
    let sealed = false;
    const message = team.encrypt(bytes("at last")).finally(() => (sealed = true));
    await alice.session.transaction(async (tx) => {
      await expectCode(tx.conversation("team").encrypt(bytes("too early")), "PENDING_PROPOSALS");
    });
    await team.members();
    expect(sealed).toBe(false);
    answer();
    expect(await commit).toMatchObject({ outcome: "merged" });
    server.post(await message);
    expect(await frank.hears()).toEqual(["at last"]);
  });

  it("waits for nothing when nothing is pending", async () => {
    const trio = await Trio.meets();
    const { server, bob, frank, team } = trio;
    let answer = (): void => {};
    const held = new Promise<void>((resolve) => (answer = resolve));
    server.next(async (sent) => {
      await held;
      return server.take(sent);
    });
    const commit = team.updateKeys();
    await server.sent(2);
    server.post(await team.encrypt(bytes("meanwhile")));
    expect(await frank.hears()).toEqual(["meanwhile"]);
    expect(await bob.hears("team")).toEqual(["meanwhile"]);
    answer();
    expect(await commit).toMatchObject({ outcome: "merged" });
    await trio.endsWell();
  });

  it("rejects when the commit that it waited for was refused, and proposals are still pending", async () => {
    const trio = await bobIsToGo();
    const { server, team } = trio;
    let answer = (): void => {};
    const held = new Promise<void>((resolve) => (answer = resolve));
    server.next(async () => {
      await held;
      return { status: "abort", reason: "not now" };
    });
    const commit = expectCode(team.commitPendingProposals(), "COMMIT_REJECTED");
    await server.sent(2);
    const message = expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    answer();
    await Promise.all([commit, message]);
    await team.commitPendingProposals();
    await trio.endsWell();
  });

  it("rejects when a proposal arrives beside a commit that is open; that one, once accepted, ends it", async () => {
    const trio = await Trio.meets();
    const { server, alice, frank, team } = trio;
    server.next(breakDown);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await frank.proposesToRemove("bob");
    await alice.reads("team");
    await expectCode(team.encrypt(bytes("too early")), "PENDING_PROPOSALS");
    expect(await alice.session.settle()).toEqual([]);
    await trio.endsWell();
  });
});
