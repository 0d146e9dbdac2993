import type { TransactionContext } from "conclave-mls";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { cleanUp } from "../support/files.js";
import { bytes, everybodyLeaves } from "../support/people.js";
import { loseAnswer, sayAbort, sayRetry } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const mine = new Error("mine");

describe.each(kinds)("$name in a transaction", (kind) => {
  const { epoch, founding = false, fromOutside = false } = kind;

  /** A transaction that keeps a value, does the work, keeps another, and throws. */
  async function andThrows(story: Story, work: (tx: TransactionContext) => Promise<unknown>): Promise<void> {
    const transaction = story.alice.session.transaction(async (tx) => {
      await tx.setData("before", bytes("1"));
      await work(tx);
      await tx.setData("after", bytes("1"));
      throw mine;
    });
    await expect(story.clock.until(transaction)).rejects.toBe(mine);
    expect(await story.alice.session.data("before")).toEqual(bytes("1"));
    expect(await story.alice.session.data("after")).toBeUndefined();
  }

  it("accepted: what was before it is stored, and a throw after it takes nothing of it back", async () => {
    const story = await Story.begin(kind);
    story.next(sayRetry);
    await andThrows(story, async (tx) => kind.commit(tx, story));
    expect(story.sent).toEqual([1, 2].map((attempt) => `A epoch ${epoch} attempt ${attempt}`));
    expect(story.changes).toMatchObject([{ epoch: epoch + 1n }]);
    await story.endsWell();
  });

  if (!founding)
    it("built again when another commit was faster", async () => {
      const story = await Story.begin(kind);
      story.next(async (sent, server) => {
        await story.rival();
        return server.take(sent);
      });
      await andThrows(story, async (tx) => kind.commit(tx, story));
      expect(story.sent).toEqual([`A epoch ${epoch} attempt 1`, `B epoch ${epoch + 1n} attempt 1`]);
      await story.endsWell();
    });

  it("refused: the transaction goes on, and the same call in it works", async () => {
    const story = await Story.begin(kind);
    story.next(sayAbort);
    await andThrows(story, async (tx) => {
      await expectCode(kind.commit(tx, story), "COMMIT_REJECTED");
      const there = (await tx.conversations()).includes("team");
      expect(there).toBe(!founding && !fromOutside);
      if (there) expect(await tx.conversation("team").epoch()).toBe(epoch);
      await kind.commit(tx, story);
    });
    await story.endsWell();
  });

  it("with an unknown outcome: the transaction goes on, and the commit stays open after it", async () => {
    const story = await Story.begin(kind);
    story.next(loseAnswer);
    await andThrows(story, (tx) => expectCode(kind.commit(tx, story), "COMMIT_OUTCOME_UNKNOWN"));
    expect(await story.alice.session.unsettledCommits()).toMatchObject([{ epoch, why: "unknown" }]);
    expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
    await story.endsWell();
  });

  it("closed while it is sent: what was before is stored, and the commit is found", async () => {
    const story = await Story.begin(kind, { onDisk: true });
    story.next(async () => {
      await story.alice.session.close();
      return new Promise(() => {});
    });
    const transaction = story.alice.session.transaction(async (tx) => {
      await tx.setData("before", bytes("1"));
      await kind.commit(tx, story);
    });
    await expectCode(transaction, "SESSION_CLOSED");
    await story.restarts();
    expect(await story.alice.session.data("before")).toEqual(bytes("1"));
    expect(await story.alice.session.unsettledCommits()).toMatchObject([{ epoch, why: "restart" }]);
    expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
    await story.endsWell();
  });

  it("gives up the turn while it is sent: others use the session, and its echo comes in", async () => {
    const story = await Story.begin(kind);
    const { alice, bob } = story;
    const choir = await alice.creates("choir", bob);
    story.next(async (sent, server) => {
      server.take(sent);
      await choir.updateKeys();
      await alice.session.transaction((tx) => tx.receive(sent.bundle.commit));
      return { status: "success" };
    });
    await andThrows(story, async (tx) => kind.commit(tx, story));
    expect(await choir.epoch()).toBe(2n);
    await story.endsWell();
  });
});
