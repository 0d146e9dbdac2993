import type { Member, MlsTransportResponse } from "conclave-mls";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { cleanUp } from "../support/files.js";
import { everybodyLeaves } from "../support/people.js";
import { sayNothing, sayRetry, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

/** Ways in which the answer gets lost. */
const ways: [string, Whim][] = [
  ["an error", () => Promise.reject(new Error("connection reset"))],
  ["silence", sayNothing],
  ["nonsense", () => ({ status: "maybe" }) as unknown as MlsTransportResponse],
];
const taken =
  (way: Whim): Whim =>
  (sent, server) => {
    server.take(sent);
    return way(sent, server);
  };

/** What alice does to learn what became of her commit, and what she has sent then, beside the first send. */
const learning: Record<string, { settle(story: Story): Promise<unknown>; sends(story: Story): string[] }> = {
  "its echo": {
    settle: ({ alice, server }) => alice.session.receive(server.log("team")),
    sends: () => [],
  },
  "settle()": {
    settle: async ({ alice, clock }) => expect(await clock.until(alice.session.settle())).toEqual([]),
    sends: ({ kind }) => [`A epoch ${kind.epoch} attempt 2`],
  },
  "the next commit": {
    settle: (story) => story.clock.until(story.kind.next(story)),
    sends: ({ kind }) => [
      `A epoch ${kind.epoch} attempt 2`,
      ...(kind.nextMakes === 1 ? [`B epoch ${kind.epoch + 1n} attempt 1`] : []),
    ],
  },
};

describe.each(kinds)("$name", (kind) => {
  const { epoch, intent, founding = false, fromOutside = false } = kind;
  const first = `A epoch ${epoch} attempt 1`;

  /** Alice's commit stays open, told to her listeners, and the conversation is where it was. */
  async function staysOpen(story: Story, why: "unknown" | "exhausted" | "restart"): Promise<void> {
    const open = await story.alice.session.unsettledCommits();
    const { commitId, change } = story.sends[0]!.context;
    expect(open).toMatchObject([{ conversationId: "team", epoch, commitId, why, intent: change }]);
    const names = (members: Member[]) => members.map(({ clientId }) => clientId);
    expect(names(change.added)).toEqual(intent.added);
    expect(names(change.removed)).toEqual(intent.removed);
    expect(names(change.updated)).toEqual(intent.updated);
    expect(story.unsettled).toEqual(why === "restart" ? [] : open);
    expect(story.settled).toEqual([]);
    expect(await story.epoch()).toBe(fromOutside ? undefined : epoch);
  }

  /** Told once what became of it, with what it was for. */
  function isTold(story: Story, outcome: "merged" | "lost"): void {
    const { commitId, change } = story.sends[0]!.context;
    expect(story.settled).toEqual([{ conversationId: "team", commitId, outcome, intent: change }]);
  }

  describe.each(ways)("%s instead of an answer", (_, way) => {
    const cells = Object.entries(learning).flatMap(([name, { settle, sends }]) => [
      { name, accepted: true, settle, sends },
      ...(name === "its echo" ? [] : [{ name, accepted: false, settle, sends }]),
    ]);
    it.each(cells)("settles as merged by $name (accepted: $accepted)", async ({ accepted, settle, sends }) => {
      const story = await Story.begin(kind);
      story.next(accepted ? taken(way) : way);
      await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
      await staysOpen(story, "unknown");
      await settle(story);
      isTold(story, "merged");
      expect(story.sent).toEqual([first, ...sends(story)]);
      await story.endsWell();
    });

    if (!founding)
      it("settles as lost by another commit of its epoch, and is built again only on request", async () => {
        const story = await Story.begin(kind);
        story.next(way);
        await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
        await story.rival();
        await staysOpen(story, "unknown");
        // A client outside cannot read what the others commit, and has to ask.
        if (fromOutside) expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
        else await story.alice.reads("team");
        isTold(story, "lost");
        expect(await story.alice.session.unsettledCommits()).toEqual([]);
        expect(story.sent.every((sent) => sent.startsWith(`A epoch ${epoch}`))).toBe(true);
        await story.commit();
        expect(story.sent.at(-1)).toBe(`B epoch ${epoch + 1n} attempt 1`);
        await story.endsWell();
      });
  });

  describe("retry without end", () => {
    it.each(Object.entries(learning).slice(1))("stays open, and settles by %s", async (_, { settle }) => {
      const story = await Story.begin(kind);
      story.next(sayRetry, sayRetry, sayRetry);
      const error = await expectCode(story.commit(), "RETRY_EXHAUSTED");
      expect(error.context).toEqual({ conversationId: "team", epoch: String(epoch), attempt: 3 });
      await staysOpen(story, "exhausted");
      await settle(story);
      isTold(story, "merged");
      const again = [1, 2, 3, 4].map((attempt) => `A epoch ${epoch} attempt ${attempt}`);
      expect(story.sent.slice(0, 4)).toEqual(again);
      await story.endsWell();
    });
  });

  if (!founding)
    it.each([
      ["accepted", true],
      ["not accepted", false],
    ])("a signal aborted after the first send, %s: open, and settles", async (_, accepted) => {
      const story = await Story.begin(kind);
      const abort = new AbortController();
      const way: Whim = () => {
        abort.abort(new Error("changed my mind"));
        return new Promise(() => {});
      };
      story.next(accepted ? taken(way) : way);
      const error = await expectCode(story.commit({ signal: abort.signal }), "COMMIT_OUTCOME_UNKNOWN");
      expect(error.cause).toBe(abort.signal.reason);
      expect(story.sends[0]!.context.signal.aborted).toBe(true);
      await staysOpen(story, "unknown");
      expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
      isTold(story, "merged");
      expect(story.sent).toEqual([first, `A epoch ${epoch} attempt 2`]);
      await story.endsWell();
    });

  describe("closed while it is sent", () => {
    const closing =
      (story: Story): Whim =>
      async () => {
        await story.alice.session.close();
        return new Promise<never>(() => {});
      };
    const cells = Object.entries(learning).map(([name, how]) => ({ name, ...how }));

    it.each(cells)("is found after the restart, and settles by $name", async ({ settle, sends }) => {
      const story = await Story.begin(kind, { onDisk: true });
      story.next(taken(closing(story)));
      await expectCode(story.commit(), "SESSION_CLOSED");
      expect(story.sends[0]!.context.signal.reason).toMatchObject({ code: "SESSION_CLOSED" });
      await story.restarts();
      await staysOpen(story, "restart");
      await settle(story);
      isTold(story, "merged");
      expect(story.sent).toEqual([first, ...sends(story)]);
      await story.endsWell();
    });

    it("counts on over several restarts, with the same bytes", async () => {
      const story = await Story.begin(kind, { onDisk: true });
      story.next(closing(story), closing(story));
      await expectCode(story.commit(), "SESSION_CLOSED");
      await story.restarts();
      await expectCode(story.alice.session.settle(), "SESSION_CLOSED");
      await story.restarts();
      await staysOpen(story, "restart");
      expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
      expect(story.sent).toEqual([1, 2, 3].map((attempt) => `A epoch ${epoch} attempt ${attempt}`));
      isTold(story, "merged");
      await story.endsWell();
    });

    if (!founding)
      it("is lost to another commit that came meanwhile, and is told so with its intent", async () => {
        const story = await Story.begin(kind, { onDisk: true });
        story.next(closing(story));
        await expectCode(story.commit(), "SESSION_CLOSED");
        await story.rival();
        await story.restarts();
        expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
        isTold(story, "lost");
        await story.commit();
        await story.endsWell();
      });
  });
});
