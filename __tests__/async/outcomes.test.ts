import { expectCode } from "../support/expect.js";
import { kinds, Story } from "../support/commits.js";
import { everybodyLeaves } from "../support/people.js";
import { sayAbort, sayRetry, takeAndSayRetry, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);

/** Not taken, because another member's commit was first. */
const rivalIsFaster =
  (story: Story): Whim =>
  async (sent, server) => {
    await story.rival();
    return server.take(sent);
  };

const settings = [
  { how: "with deliver", deliver: true },
  { how: "without deliver", deliver: false },
];
const cells = kinds.flatMap((kind) => settings.map(({ how, deliver }) => ({ name: kind.name, kind, how, deliver })));

describe.each(cells)("$name, $how", ({ kind, deliver }) => {
  const { epoch, founding = false } = kind;
  const first = `A epoch ${epoch} attempt 1`;

  it("success: merged, and told once", async () => {
    const story = await Story.begin(kind, { deliver });
    await story.commit();
    expect(story.sent).toEqual([first]);
    expect(await story.epoch()).toBe(epoch + 1n);
    expect(story.changes).toMatchObject([{ conversationId: "team", epoch: epoch + 1n, active: true }]);
    await story.endsWell();
    expect(story.changes).toHaveLength(1);
  });

  it("retry: the very same bytes again while the epoch is what it was", async () => {
    const story = await Story.begin(kind, { deliver });
    story.next(sayRetry, sayRetry);
    await story.commit();
    expect(story.sent).toEqual([first, `A epoch ${epoch} attempt 2`, `A epoch ${epoch} attempt 3`]);
    await story.endsWell();
  });

  it("retry although it was accepted: found in the log, and sent once", async () => {
    const story = await Story.begin(kind, { deliver });
    story.next(takeAndSayRetry);
    await story.commit();
    expect(story.sent).toEqual([first]);
    expect(await story.epoch()).toBe(epoch + 1n);
    await story.endsWell();
  });

  if (!founding)
    it("retry after another commit: built again from the intent, for the next epoch", async () => {
      const story = await Story.begin(kind, { deliver });
      story.next(rivalIsFaster(story));
      await story.commit();
      expect(story.sent).toEqual([first, `B epoch ${epoch + 1n} attempt 1`]);
      const [lost, won] = story.sends;
      expect(won!.context.commitId).not.toBe(lost!.context.commitId);
      expect(await story.epoch()).toBe(epoch + 2n);
      await story.endsWell();
    });

  if (!founding)
    it("retry and the same bytes, then another commit, then its own", async () => {
      const story = await Story.begin(kind, { deliver });
      story.next(sayRetry, rivalIsFaster(story));
      await story.commit();
      expect(story.sent).toEqual([first, `A epoch ${epoch} attempt 2`, `B epoch ${epoch + 1n} attempt 1`]);
      await story.endsWell();
    });

  if (kind.same !== undefined)
    it("retry after somebody else did the same: already-applied", async () => {
      const story = await Story.begin(kind, { deliver });
      story.next(async (sent, server) => {
        await kind.same!(story);
        return server.take(sent);
      });
      expect(await story.commit()).toEqual({
        outcome: "already-applied",
        epoch: epoch + 1n,
        attempts: 1,
        change: { added: [], removed: [], updated: [], other: [] },
      });
      expect(story.sent).toEqual([first]);
      await story.endsWell();
    });

  it("abort: rejected with the reason, everything as before, and the same call works then", async () => {
    const story = await Story.begin(kind, { deliver });
    story.next(sayAbort);
    const { message } = await expectCode(story.commit(), "COMMIT_REJECTED");
    expect(message).toContain("not on my watch");
    await story.isUndone();
    await story.commit();
    expect(story.sent).toEqual([first, `B epoch ${epoch} attempt 1`]);
    await story.endsWell();
  });

  it("retry, then abort: the same", async () => {
    const story = await Story.begin(kind, { deliver });
    story.next(sayRetry, sayAbort);
    await expectCode(story.commit(), "COMMIT_REJECTED");
    await story.isUndone();
    await story.commit();
    await story.endsWell();
  });

  if (!founding)
    it("a signal aborted before the first send: nothing has happened", async () => {
      const story = await Story.begin(kind, { deliver });
      await expectCode(story.commit({ signal: AbortSignal.abort() }), "ABORTED");
      expect(story.sends).toEqual([]);
      await story.isUndone();
      await story.commit();
      await story.endsWell();
    });

  if (!founding)
    it("others faster in every attempt: lost, and nothing is left open", async () => {
      const story = await Story.begin(kind, { deliver });
      story.next(rivalIsFaster(story), rivalIsFaster(story));
      await expectCode(story.commit({ attempts: 2 }), "COMMIT_LOST");
      expect(story.sent).toEqual([first, `B epoch ${epoch + 1n} attempt 1`]);
      expect(await story.alice.session.unsettledCommits()).toEqual([]);
      expect(story.unsettled).toEqual([]);
      await story.commit();
      await story.endsWell();
    });
});
