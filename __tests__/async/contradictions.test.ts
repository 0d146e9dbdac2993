import type { MlsTransportResponse } from "conclave-mls";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { cleanUp } from "../support/files.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { breakDown, sayAbort, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

/** Those of a member: only a member can read what competes with its commit. */
const ofMembers = kinds.filter(({ founding, fromOutside }) => founding !== true && fromOutside !== true);

const success: MlsTransportResponse = { status: "success" };

describe.each(ofMembers)("$name", (kind) => {
  const { epoch } = kind;
  const diverged = [{ type: "rejected", code: "STATE_DIVERGED" }];

  /** Another commit of the epoch is received while alice's is on its way; then the server answers. */
  const overtaken =
    (story: Story, answer: Whim): Whim =>
    async (sent, server) => {
      await story.rival();
      await story.alice.reads("team");
      return answer(sent, server);
    };

  /** The same, with the answer at the moment at which the other commit is received. */
  const overtakenNow =
    (story: Story, answer: Whim): Whim =>
    async (sent, server) => {
      await story.rival();
      void story.alice.reads("team");
      return answer(sent, server);
    };

  it.each([
    ["before", overtaken],
    ["with", overtakenNow],
  ])(
    "success after a competing commit was applied, %s the answer, is STATE_DIVERGED, and nothing forks",
    async (_, way) => {
      const story = await Story.begin(kind);
      story.next(way(story, () => success));
      const error = await expectCode(story.commit(), "STATE_DIVERGED");
      expect(error.context).toMatchObject({ conversationId: "team", epoch: String(epoch) });
      expect(story.changes).toMatchObject([{ epoch: epoch + 1n, cause: "received" }]);
      expect(await story.alice.session.unsettledCommits()).toEqual([]);
      await story.commit();
      await story.endsWell();
    },
  );

  it.each<[string, (story: Story) => Promise<unknown>]>([
    ["settle()", (story) => story.alice.session.settle()],
    ["the next commit", (story) => story.kind.next(story)],
  ])("the same after a restart, by %s", async (_, learn) => {
    const story = await Story.begin(kind, { onDisk: true });
    story.next(breakDown);
    await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
    await story.restarts();
    story.next(overtaken(story, () => success));
    await expectCode(story.clock.until(learn(story)), "STATE_DIVERGED");
    expect(story.settled).toMatchObject([{ commitId: story.sends[0]!.context.commitId, outcome: "lost" }]);
    expect(await story.alice.session.unsettledCommits()).toEqual([]);
    await story.commit();
    await story.endsWell();
  });

  it.each<[string, Whim]>([
    ["retry", (sent, server) => server.take(sent)],
    ["an error", breakDown],
    ["nonsense", () => ({}) as MlsTransportResponse],
    ["silence", () => new Promise(() => {})],
  ])("%s after it is no contradiction: built again", async (_, answer) => {
    const story = await Story.begin(kind);
    story.next(overtaken(story, answer));
    await story.commit();
    expect(story.sent).toEqual([`A epoch ${epoch} attempt 1`, `B epoch ${epoch + 1n} attempt 1`]);
    await story.endsWell();
  });

  it("abort after it is no contradiction either: refused with the reason", async () => {
    const story = await Story.begin(kind);
    story.next(overtaken(story, sayAbort));
    const { message } = await expectCode(story.commit(), "COMMIT_REJECTED");
    expect(message).toContain("not on my watch");
    expect(await story.alice.session.unsettledCommits()).toEqual([]);
    await story.commit();
    await story.endsWell();
  });

  it("the echo of an aborted commit is STATE_DIVERGED, also after a restart, and nothing forks", async () => {
    const story = await Story.begin(kind, { onDisk: true });
    story.next(sayAbort);
    await expectCode(story.commit(), "COMMIT_REJECTED");
    const echo = story.sends[0]!.bundle.commit;
    expect(await story.alice.session.receive(echo)).toMatchObject(diverged);
    await story.restarts();
    expect(await story.alice.session.receive([echo, echo])).toMatchObject([...diverged, ...diverged]);
    await expectCode(story.team.decrypt(echo), "STATE_DIVERGED");
    await story.isUndone();
    // The others may have gone on with it: another commit of the epoch shows that they have not.
    await expectCode(story.commit(), "CONVERSATION_STALLED");
    await story.rival();
    await story.alice.reads("team");
    await story.commit();
    expect(await story.alice.session.receive(echo)).toMatchObject(diverged);
    await story.endsWell();
  });

  it("the echo of a lost commit is STATE_DIVERGED, also after a restart, and nothing forks", async () => {
    const story = await Story.begin(kind, { onDisk: true });
    story.next(overtaken(story, (sent, server) => server.take(sent)));
    await story.commit();
    const [lost, won] = story.sends.map(({ bundle }) => bundle.commit);
    expect(await story.alice.session.receive(lost!)).toMatchObject(diverged);
    await story.restarts();
    const received = await story.alice.session.receive([won!, lost!]);
    expect(received).toMatchObject([{ type: "ignored", why: "own" }, ...diverged]);
    expect(await story.epoch()).toBe(epoch + 2n);
    await story.endsWell();
  });

  it("accepted and yet told abort: what follows waits, and no second commit of the epoch is merged", async () => {
    const story = await Story.begin(kind);
    const { alice, bob, server } = story;
    story.next((sent) => {
      server.take(sent);
      return { status: "abort", reason: "a lie" };
    });
    await expectCode(story.commit(), "COMMIT_REJECTED");
    await bob.reads("team");
    await bob.says("team", "hello");
    expect((await alice.reads("team")).map((one) => (one.type === "rejected" ? one.code : one.type))).toEqual(
      expect.arrayContaining(["STATE_DIVERGED", "waiting"]),
    );
    await expectCode(story.clock.until(kind.next(story)), "CONVERSATION_STALLED");
    await expectCode(story.team.encrypt(bytes("for an epoch that bob has left")), "CONVERSATION_STALLED");
    expect(await story.epoch()).toBe(epoch);
  });

  it.each([true, false])(
    "the same where the competing commit removed alice (before the answer: %s)",
    async (before) => {
      const story = await Story.begin(kind);
      story.next(async () => {
        await story.bob.session.conversation("team").removeMembers(["alice"]);
        const reading = story.alice.reads("team");
        if (before) await reading;
        return success;
      });
      await expectCode(story.commit(), "STATE_DIVERGED");
      expect(await story.team.active()).toBe(false);
      expect(await story.alice.session.unsettledCommits()).toEqual([]);
    },
  );

  it("the same where alice was invited again before the answer came", async () => {
    const story = await Story.begin(kind);
    story.next(async (_sent, server) => {
      const bobs = story.bob.session.conversation("team");
      await bobs.removeMembers(["alice"]);
      await story.alice.reads("team");
      await bobs.addMembers([await story.alice.keyPackage()]);
      for (const welcome of server.takeWelcomes("alice")) await story.alice.session.joinByWelcome(welcome);
      return success;
    });
    await expectCode(story.commit(), "STATE_DIVERGED");
    expect(await story.team.active()).toBe(true);
  });
});
