import type { Received } from "conclave-mls";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves } from "../support/people.js";
import { loseAnswer, takeAndSayRetry, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);

const names = (members: readonly { clientId: string }[]): string[] => members.map(({ clientId }) => clientId).sort();

describe.each(kinds)("$name, with deliver", (kind) => {
  const { epoch, intent, fromOutside = false, founding = false } = kind;

  /** The own commit has been delivered once, and told once. */
  function isDelivered(story: Story): void {
    const { commitId } = story.sends[0]!.context;
    const commits = story.delivered.filter((one) => one.type === "commit");
    const by = fromOutside ? "external" : { clientId: "alice" };
    expect(commits).toMatchObject([
      { messageId: commitId, conversationId: "team", epoch, by, own: true, active: true },
    ]);
    const [{ change }] = commits as [Received & { type: "commit" }];
    // To who comes from outside all are new.
    expect(names(change.added)).toEqual(fromOutside ? kind.members : intent.added);
    expect(names(change.removed)).toEqual(intent.removed);
    expect(names(change.updated)).toEqual(intent.updated);
    expect(story.changes).toHaveLength(1);
  }

  /** What comes back of it is known already, and told as that. */
  async function echoIsIgnored(story: Story): Promise<void> {
    const { commitId } = story.sends[0]!.context;
    const received = await story.alice.session.receive(story.server.log("team"));
    expect(received.filter(({ messageId }) => messageId === commitId)).toMatchObject([{ type: "ignored", why: "own" }]);
    isDelivered(story);
  }

  const accepted: [string, Whim, () => "created" | "joined" | "own"][] = [
    ["when it is accepted", (sent, server) => server.take(sent), cause],
    ["when it comes back before the answer", takeAndSayRetry, cause],
  ];
  function cause(): "created" | "joined" | "own" {
    if (founding) return "created";
    return fromOutside ? "joined" : "own";
  }

  it.each(accepted)("is delivered %s, once", async (_, whim, cause) => {
    const story = await Story.begin(kind, { deliver: true });
    story.delivered.length = 0;
    story.next(whim);
    await story.commit();
    isDelivered(story);
    expect(story.changes).toMatchObject([{ cause: cause(), epoch: epoch + 1n, active: true }]);
    expect(names(story.changes[0]!.change.added)).toEqual(fromOutside || founding ? kind.members : intent.added);
    await echoIsIgnored(story);
    await story.endsWell();
  });

  it("is delivered when it is settled after the answer was lost", async () => {
    const story = await Story.begin(kind, { deliver: true });
    story.delivered.length = 0;
    story.next(loseAnswer);
    await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
    expect(story.delivered).toEqual([]);
    expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
    isDelivered(story);
    await echoIsIgnored(story);
    await story.endsWell();
  });

  it("stays open when deliver throws, and is delivered when it is settled: what is accepted is not undone", async () => {
    const story = await Story.begin(kind, { deliver: true });
    story.delivered.length = 0;
    const broken = new Error("disk full");
    story.fail = broken;
    const error = await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ code: "DELIVER_FAILED", cause: broken });
    expect(await story.alice.session.unsettledCommits()).toMatchObject([{ epoch, why: "unknown" }]);
    expect(story.unsettled).toHaveLength(1);
    expect(story.changes).toEqual([]);
    expect(await story.epoch()).toBe(fromOutside ? undefined : epoch);
    const again = await expectCode(story.clock.until(story.alice.session.settle()), "DELIVER_FAILED");
    expect(again.cause).toBe(broken);
    story.fail = undefined;
    expect(await story.clock.until(story.alice.session.settle())).toEqual([]);
    expect(story.settled).toMatchObject([{ outcome: "merged" }]);
    isDelivered(story);
    await echoIsIgnored(story);
    await story.endsWell();
  });
});
