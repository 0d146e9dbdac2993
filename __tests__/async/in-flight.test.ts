import { type CommitResult, inspectMessage } from "conclave-mls";
import { FakeClock } from "../support/clock.js";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { breakDown, sayAbort, Server, type Whim } from "../support/server.js";
import { aliceAndBob } from "../support/teams.js";

afterEach(everybodyLeaves);

/** A whim that holds the answer back until the test lets go. */
function held(way: Whim = (sent, server) => server.take(sent)) {
  let go!: () => void;
  let sent!: () => void;
  const going = new Promise<void>((resolve) => (go = resolve));
  const underWay = new Promise<void>((resolve) => (sent = resolve));
  const whim: Whim = async (commit, server) => {
    sent();
    await going;
    return way(commit, server);
  };
  return { whim, underWay, go };
}

describe.each(kinds)("while $name is on its way", (kind) => {
  it("another conversation notices nothing: its commits and messages pass", async () => {
    const story = await Story.begin(kind);
    const { alice, bob } = story;
    const choir = await alice.creates("choir", bob);
    const { whim, underWay, go } = held();
    story.next(whim);
    const committing = story.committing();
    await underWay;
    expect(await choir.updateKeys()).toMatchObject({ outcome: "merged" });
    await alice.says("choir", "la");
    expect(await bob.hears("choir")).toEqual(["la"]);
    await bob.session.conversation("choir").updateKeys();
    await bob.says("choir", "lala");
    expect(await alice.hears("choir")).toEqual(["lala"]);
    await alice.session.transaction((tx) => tx.setData("song", bytes("la")));
    go();
    await committing;
    await story.endsWell();
  });

  it("it is not listed as unsettled, and settle() leaves it alone", async () => {
    const story = await Story.begin(kind);
    const { whim, underWay, go } = held();
    story.next(whim);
    const committing = story.committing();
    await underWay;
    expect(await story.alice.session.unsettledCommits()).toEqual([]);
    expect(await story.alice.session.settle()).toEqual([]);
    expect(story.sends).toHaveLength(1);
    go();
    await committing;
    await story.endsWell();
    expect(story.settled).toEqual([]);
  });

  it("the next commits of the conversation wait, in the order of the calls", async () => {
    const story = await Story.begin(kind);
    const { whim, underWay, go } = held();
    story.next(whim);
    const done: string[] = [];
    const first = story.committing().then(() => done.push("first"));
    const others = ["second", "third"].map((name) => story.team.updateKeys().then(() => done.push(name)));
    await underWay;
    await story.alice.session.conversations();
    expect(story.sends).toHaveLength(1);
    go();
    await Promise.all([first, ...others]);
    expect(done).toEqual(["first", "second", "third"]);
    expect(story.sent).toEqual(["A", "B", "C"].map((name, at) => `${name} epoch ${kind.epoch + BigInt(at)} attempt 1`));
    await story.endsWell();
  });

  if (kind.founding !== true && kind.fromOutside !== true)
    it("messages of the conversation go in and out, in the epoch before", async () => {
      const story = await Story.begin(kind);
      const { alice, bob, team } = story;
      const before = await team.epochAuthenticator();
      const { whim, underWay, go } = held();
      story.next(whim);
      const committing = story.committing();
      await underWay;
      await alice.says("team", "meanwhile");
      await bob.says("team", "me too");
      expect(await alice.hears("team")).toEqual(["me too"]);
      expect(await bob.hears("team")).toEqual(["meanwhile"]);
      expect(await team.epochAuthenticator()).toEqual(before);
      go();
      await committing;
      await story.endsWell();
    });
});

describe("commits of one conversation", () => {
  it("go one after the other, in the order of the calls", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const others = await Promise.all(["carol", "dave", "erin"].map((name) => Person.comes(name, server)));
    const keyPackages = await Promise.all(others.map((other) => other.keyPackage()));
    const results = await Promise.all(keyPackages.map((keyPackage) => team.addMembers([keyPackage])));
    expect(results.map(({ epoch }: CommitResult) => epoch)).toEqual([2n, 3n, 4n]);
    const order = server.sends.slice(1).map(({ context }) => context.change.added[0]!.clientId);
    expect(order).toEqual(["carol", "dave", "erin"]);
    await bob.reads("team");
    expect(await bob.sees("team")).toEqual(await alice.sees("team"));
  });

  it("go on after one that was refused", async () => {
    const { server, team } = await aliceAndBob();
    server.next(sayAbort);
    const [refused, next] = [expectCode(team.updateKeys(), "COMMIT_REJECTED"), team.updateKeys()];
    await refused;
    expect(await next).toMatchObject({ outcome: "merged", epoch: 2n });
  });

  it("settle one that stayed open before they are built", async () => {
    const { server, team } = await aliceAndBob();
    server.next(breakDown);
    const [open, next] = [expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN"), team.updateKeys()];
    await open;
    expect(await next).toMatchObject({ outcome: "merged", epoch: 3n });
    const [first, again, last] = server.sends.slice(-3).map(({ context }) => context);
    expect(again).toMatchObject({ commitId: first!.commitId, epoch: 1n, attempt: 2 });
    expect(last).toMatchObject({ epoch: 2n, attempt: 1 });
  });

  it("give up their place when their signal is aborted while they wait", async () => {
    const { server, alice, team } = await aliceAndBob();
    const { whim, underWay, go } = held();
    server.next(whim);
    const first = team.updateKeys();
    await underWay;
    const abort = new AbortController();
    const second = team.updateKeys({ signal: abort.signal });
    const third = team.updateKeys();
    abort.abort();
    await expectCode(second, "ABORTED");
    go();
    expect([await first, await third]).toMatchObject([{ epoch: 2n }, { epoch: 3n }]);
    expect(server.sends).toHaveLength(3);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });
});

/**
 * A clock through which a session hears late of what it has staged, as if that answer had been
 * slower on its way than later ones.
 */
class SlowToHear extends FakeClock {
  #isStaged!: () => void;
  /** Resolves when something is staged, and nobody has heard of it yet. */
  readonly staged = new Promise<void>((resolve) => (this.#isStaged = resolve));

  override through<T extends object>(native: T): T {
    return new Proxy(native, {
      get: (target, name): unknown => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
        if (name !== "stageCommit") return call;
        return async (...args: unknown[]) => {
          const staged = await call(...args);
          this.#isStaged();
          await new Promise((resolve) => setTimeout(resolve, 50));
          return staged;
        };
      },
    });
  }
}

it("a commit that is overtaken while nobody has heard yet that it is staged is built again", async () => {
  const server = new Server();
  const clock = new SlowToHear();
  const alice = await Person.comes("alice", server, { clock });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  await bob.session.conversation("team").updateKeys();
  const updating = team.updateKeys();
  await clock.staged;
  await alice.reads("team");
  expect(await updating).toMatchObject({ outcome: "merged", epoch: 3n });
  expect(await alice.session.unsettledCommits()).toEqual([]);
});

/**
 * A clock whose sessions find a proposal pending as long as the test says so. No call of this package makes proposals, so the
 * native half, which a session asks through its clock, is made to answer as if another make of client had sent one.
 */
class ProposalPending extends FakeClock {
  pending = true;

  override through<T extends object>(native: T): T {
    const refuse = (): Promise<never> =>
      Promise.reject(Object.assign(new Error("pending"), { code: "PENDING_PROPOSALS" }));
    return new Proxy(super.through(native), {
      get: (target, name): unknown => (name === "encrypt" && this.pending ? refuse : Reflect.get(target, name)),
    });
  }
}

describe("encrypting where a proposal is pending", () => {
  async function scene() {
    const server = new Server();
    const clock = new ProposalPending();
    const alice = await Person.comes("alice", server, { clock });
    const bob = await Person.comes("bob", server);
    const team = await alice.creates("team", bob);
    return { server, clock, alice, bob, team };
  }

  it("is PENDING_PROPOSALS where no commit is on its way", async () => {
    const { team } = await scene();
    await expectCode(team.encrypt(bytes("x")), "PENDING_PROPOSALS");
  });

  it("waits for the commit that is on its way, and goes out in the next epoch", async () => {
    const { server, clock, bob, team } = await scene();
    const { whim, underWay, go } = held((sent) => {
      clock.pending = false;
      return server.take(sent);
    });
    server.next(whim);
    const committing = team.updateKeys();
    await underWay;
    let resolved = false;
    const encrypting = Promise.all([team.encrypt(bytes("one")), team.encrypt(bytes("two"))]);
    void encrypting.then(() => (resolved = true));
    await clock.rest();
    expect(resolved).toBe(false);
    go();
    await committing;
    for (const message of await encrypting) server.post(message);
    expect(
      server
        .log("team")
        .slice(-2)
        .map((message) => inspectMessage(message).epoch),
    ).toEqual([2n, 2n]);
    expect(await bob.hears("team")).toEqual(["one", "two"]);
  });

  it("is PENDING_PROPOSALS when that commit did not end it", async () => {
    const { server, team } = await scene();
    const { whim, underWay, go } = held(sayAbort);
    server.next(whim);
    const committing = expectCode(team.updateKeys(), "COMMIT_REJECTED");
    await underWay;
    const encrypting = expectCode(team.encrypt(bytes("x")), "PENDING_PROPOSALS");
    go();
    await Promise.all([committing, encrypting]);
  });

  it("does not wait in a transaction, whose turn the commit may need", async () => {
    const { server, alice, team } = await scene();
    const { whim, underWay, go } = held();
    server.next(whim);
    const committing = team.updateKeys();
    await underWay;
    const inside = alice.session.transaction((tx) => tx.conversation("team").encrypt(bytes("x")));
    await expectCode(inside, "PENDING_PROPOSALS");
    go();
    expect(await committing).toMatchObject({ outcome: "merged" });
  });
});
