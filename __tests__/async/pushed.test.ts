import { FakeClock } from "../support/clock.js";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { breakDown, sayRetry, Server, takeAndSayRetry, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);

/** The first pauses of a clock that spreads nothing. */
const [FIRST, SECOND] = [125, 250];
/** How long a client waits for more commits, before it builds its own anew on the last one. */
const QUIET = 100;

describe.each(kinds)("$name, told to retry by a server that only pushes", (kind) => {
  const { epoch, founding = false, fromOutside = false } = kind;

  it("sends the same bytes after each pause, and no earlier", async () => {
    const story = await Story.begin(kind, { pushed: true });
    const { clock } = story;
    story.next(sayRetry, sayRetry);
    const committing = story.committing();
    await clock.waitedFor(FIRST);
    clock.advance(FIRST - 1);
    expect(story.sends).toHaveLength(1);
    clock.advance(1);
    await clock.pass(SECOND);
    await committing;
    expect(story.sent).toEqual([1, 2, 3].map((attempt) => `A epoch ${epoch} attempt ${attempt}`));
    await story.endsWell();
  });

  it("is woken by its own echo, and sends nothing more", async () => {
    const story = await Story.begin(kind, { pushed: true });
    const { alice, server, clock } = story;
    story.next(fromOutside ? sayRetry : takeAndSayRetry);
    const committing = story.committing();
    await clock.waitedFor(FIRST);
    // Where a GroupInfo can be fetched, an answer that was wrong is found out without waiting: here it becomes wrong later.
    if (fromOutside) server.take(story.sends[0]!);
    await alice.session.receive(server.log("team"));
    await committing;
    expect(clock.delays).toEqual([]);
    expect(story.sent).toEqual([`A epoch ${epoch} attempt 1`]);
    await story.endsWell();
  });

  if (!founding && !fromOutside)
    it("is woken by the commit that was faster, and builds anew when no other follows", async () => {
      const story = await Story.begin(kind, { pushed: true });
      const { alice, clock } = story;
      await story.rival();
      const committing = story.committing();
      await clock.waitedFor(FIRST);
      await alice.reads("team");
      await clock.pass(QUIET);
      await committing;
      expect(clock.delays).toEqual([]);
      expect(story.sent).toEqual([`A epoch ${epoch} attempt 1`, `B epoch ${epoch + 1n} attempt 1`]);
      await story.endsWell();
    });

  if (!founding && !fromOutside)
    it("sends the same bytes until the application has received the commit that was faster", async () => {
      const story = await Story.begin(kind, { pushed: true });
      const { alice, clock } = story;
      await story.rival();
      const committing = story.committing();
      await clock.pass(FIRST);
      await clock.waitedFor(SECOND);
      await alice.reads("team");
      await clock.pass(QUIET);
      await committing;
      expect(story.sent).toEqual([
        `A epoch ${epoch} attempt 1`,
        `A epoch ${epoch} attempt 2`,
        `B epoch ${epoch + 1n} attempt 1`,
      ]);
      await story.endsWell();
    });

  if (!founding && !fromOutside)
    it("once left open is lost to what the application receives while settle() waits", async () => {
      const story = await Story.begin(kind, { pushed: true });
      const { alice, clock } = story;
      await story.rival();
      await expectCode(story.commit(), "RETRY_EXHAUSTED");
      const settling = alice.session.settle();
      await clock.waitedFor(FIRST);
      await alice.reads("team");
      expect(await settling).toEqual([]);
      expect(story.settled).toMatchObject([{ outcome: "lost" }]);
      expect(story.sent.every((sent) => sent.startsWith("A"))).toBe(true);
      await story.commit();
      await story.endsWell();
    });
});

/** Alice, who has no fetchMessages, and bob in a conversation, with a clock that the test moves. */
async function aliceAndBob() {
  const server = new Server();
  const clock = new FakeClock();
  const alice = await Person.comes("alice", server, { clock, fetch: false });
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  return { server, clock, alice, bob, team };
}

describe("a pause", () => {
  it("is as long as the server says", async () => {
    const { server, clock, team } = await aliceAndBob();
    server.next(() => ({ status: "retry", afterMs: 7_000 }));
    const update = team.updateKeys();
    await clock.waitedFor(7_000);
    clock.advance(6_999);
    expect(server.sends).toHaveLength(2);
    clock.advance(1);
    expect(await update).toMatchObject({ attempts: 2 });
  });

  it("of an hour is the longest that a server can ask for: beyond it the commit stays open", async () => {
    const { server, clock, alice, team } = await aliceAndBob();
    const hour = 3_600_000;
    server.next(() => ({ status: "retry", afterMs: hour }));
    const update = team.updateKeys();
    await clock.pass(hour);
    expect(await update).toMatchObject({ attempts: 2 });
    for (const afterMs of [hour + 1, 10 * 24 * hour, Number.MAX_VALUE]) {
      server.next(() => ({ status: "retry", afterMs }));
      const error = await expectCode(team.updateKeys(), "RETRY_EXHAUSTED");
      expect(error.message).toContain("wait longer");
      expect(await alice.session.unsettledCommits()).toMatchObject([{ why: "exhausted" }]);
      expect(clock.delays).toEqual([]);
      expect(await alice.session.settle()).toEqual([]);
    }
  });

  it("and those before it last no longer than an hour together, whatever the call has to settle first", async () => {
    const { server, clock, alice, team } = await aliceAndBob();
    const minutes = 60_000;
    server.next(breakDown);
    await expectCode(team.updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    const later: Whim = () => ({ status: "retry", afterMs: 25 * minutes });
    server.next(later, (sent) => server.take(sent), later, later);
    const update = expectCode(team.updateKeys(), "RETRY_EXHAUSTED");
    await clock.pass(25 * minutes); // For the earlier one.
    await clock.pass(25 * minutes);
    expect((await update).message).toContain("wait longer");
    expect(await alice.session.unsettledCommits()).toMatchObject([{ epoch: 2n, why: "exhausted" }]);
  });

  it("goes on when messages come that are no commit of this conversation", async () => {
    const { server, clock, alice, bob, team } = await aliceAndBob();
    await alice.creates("choir", bob);
    server.nextFrom("alice", sayRetry);
    const update = team.updateKeys();
    await clock.waitedFor(FIRST);
    await bob.says("team", "hello");
    await bob.session.conversation("choir").updateKeys();
    expect(await alice.hears("team")).toEqual(["hello"]);
    await alice.reads("choir");
    expect(clock.delays).toEqual([FIRST]);
    clock.advance(FIRST);
    expect(await update).toMatchObject({ outcome: "merged", attempts: 2 });
  });

  it("doubles with each send up to 15 seconds, and begins anew with each commit", async () => {
    const { server, clock, bob, alice, team } = await aliceAndBob();
    server.nextFrom("alice", ...Array.from({ length: 9 }, () => sayRetry));
    const update = team.updateKeys({ attempts: 20 });
    for (const pause of [125, 250, 500, 1_000, 2_000, 4_000, 7_500, 7_500]) await clock.pass(pause);
    await clock.waitedFor(7_500);
    server.nextFrom("alice", sayRetry);
    await bob.session.conversation("team").updateKeys();
    await alice.reads("team");
    await clock.pass(QUIET);
    await clock.pass(FIRST);
    expect(await update).toMatchObject({ outcome: "merged", attempts: 11, epoch: 3n });
  });
});
