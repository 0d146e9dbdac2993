import type { MlsTransportResponse, Received } from "conclave-mls";
import { kinds, Story } from "../support/commits.js";
import { expectCode } from "../support/expect.js";
import { cleanUp } from "../support/files.js";
import { bytes, everybodyLeaves, text } from "../support/people.js";
import { loseAnswer, type Whim } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const updateKeys = kinds.find(({ name }) => name === "updateKeys")!;
const joinByExternalCommit = kinds.find(({ name }) => name === "joinByExternalCommit")!;

/** What each of these turned out to be, in short. */
const told = (received: readonly Received[]): string[] =>
  received.map((one) => {
    if (one.type === "message") return text(one.plaintext);
    if (one.type === "commit") return one.own ? "own commit" : "commit";
    return one.type === "ignored" || one.type === "unreadable" ? `${one.type}: ${one.why}` : one.type;
  });

const answers: [string, () => MlsTransportResponse | Promise<MlsTransportResponse>][] = [
  ["success", () => ({ status: "success" })],
  ["retry", () => ({ status: "retry" })],
  ["abort", () => ({ status: "abort", reason: "no" })],
  ["an error", () => Promise.reject(new Error("connection reset"))],
  ["nonsense", () => ({}) as MlsTransportResponse],
  ["silence", () => new Promise(() => {})],
];

describe.each(kinds)("the echo of $name", (kind) => {
  const before = (story: Story, answer: Whim): Whim => {
    return async (sent, server) => {
      server.take(sent);
      expect(told(await story.alice.session.receive(sent.bundle.commit))).toEqual(["own commit"]);
      return answer(sent, server);
    };
  };

  it.each(answers)("before the answer %s: it counts, and the answer does not", async (_, answer) => {
    const story = await Story.begin(kind);
    story.next(before(story, answer));
    await story.commit();
    expect(story.sent).toEqual([`A epoch ${kind.epoch} attempt 1`]);
    expect(story.changes).toMatchObject([{ epoch: kind.epoch + 1n }]);
    // The transport may still be handing out the Welcome, so it keeps its time.
    expect(story.sends[0]!.context.signal.aborted).toBe(false);
    story.clock.advance(30_000);
    await story.endsWell();
    expect([story.changes.length, story.settled, story.unsettled]).toEqual([1, [], []]);
  });

  it.each(answers.slice(0, -1))("at the same moment as the answer %s: it counts too", async (_, answer) => {
    const story = await Story.begin(kind);
    let receiving: Promise<Received[]> | undefined;
    story.next((sent, server) => {
      server.take(sent);
      receiving = story.alice.session.receive(sent.bundle.commit);
      return answer();
    });
    await story.commit();
    expect(told(await receiving!)).toEqual(["own commit"]);
    expect(story.sent).toEqual([`A epoch ${kind.epoch} attempt 1`]);
    await story.endsWell();
    expect([story.changes.length, story.settled, story.unsettled]).toEqual([1, [], []]);
  });

  it("in a transaction that is taken back: it does not count, and the answer does", async () => {
    const story = await Story.begin(kind);
    story.next(async (sent, server) => {
      const taken = story.alice.session.transaction(async (tx) => {
        expect(told(await tx.receive(sent.bundle.commit))).toEqual(["own commit"]);
        throw new Error("mine");
      });
      await taken.catch(() => {});
      return server.take(sent);
    });
    await story.commit();
    expect(story.changes).toMatchObject([{ epoch: kind.epoch + 1n }]);
    await story.endsWell();
    expect([story.changes.length, story.settled, story.unsettled]).toEqual([1, [], []]);
  });

  it("after the answer, again, twice in one batch, and after a restart: nothing happens", async () => {
    const story = await Story.begin(kind, { onDisk: true });
    await story.commit();
    const echo = story.sends[0]!.bundle.commit;
    for (const batch of [[echo], [echo], [echo, echo]])
      expect(told(await story.alice.session.receive(batch))).toEqual(batch.map(() => "ignored: own"));
    await story.restarts();
    expect(told(await story.alice.session.receive([echo, echo]))).toEqual(["ignored: own", "ignored: own"]);
    await story.endsWell();
    expect([story.changes.length, story.settled, story.unsettled]).toEqual([1, [], []]);
  });

  it("after a restart and before any answer: it settles, once", async () => {
    const story = await Story.begin(kind, { onDisk: true });
    story.next(loseAnswer);
    await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
    await story.restarts();
    const echo = story.sends[0]!.bundle.commit;
    expect(told(await story.alice.session.receive([echo, echo]))).toEqual(["own commit", "ignored: own"]);
    expect(story.settled).toMatchObject([{ outcome: "merged" }]);
    expect(story.changes).toMatchObject([{ epoch: kind.epoch + 1n }]);
    await story.endsWell();
  });

  it("with one bit changed is no echo: it settles nothing, and the genuine one does", async () => {
    const story = await Story.begin(kind);
    story.next(loseAnswer);
    await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
    const echo = story.sends[0]!.bundle.commit;
    const forged = echo.slice();
    forged[forged.length - 1]! ^= 1;
    // A client outside cannot judge it: it waits, and is rejected when it can be.
    expect(told(await story.alice.session.receive(forged))).toEqual([kind.fromOutside ? "waiting" : "rejected"]);
    expect(story.settled).toEqual([]);
    expect(await story.alice.session.unsettledCommits()).toHaveLength(1);
    expect(told(await story.alice.session.receive(echo)).at(0)).toBe("own commit");
    expect(story.settled).toMatchObject([{ outcome: "merged" }]);
    await story.endsWell();
  });
});

describe("own messages, echoes and those of others", () => {
  const orders = [0, 1, 2, 3].flatMap((a) =>
    [0, 1, 2, 3].flatMap((b) => [0, 1, 2, 3].flatMap((c) => [0, 1, 2, 3].map((d) => [a, b, c, d]))),
  );
  const permutations = orders.filter((order) => new Set(order).size === order.length).map((order) => ({ order }));

  it.each(permutations)("in the order $order, in one batch or one by one", async ({ order }) => {
    for (const together of [true, false]) {
      const story = await Story.begin(updateKeys);
      const { alice, bob, server } = story;
      const own = await story.team.encrypt(bytes("own"));
      story.next(loseAnswer);
      await expectCode(story.commit(), "COMMIT_OUTCOME_UNKNOWN");
      const echo = server.log("team").at(-1)!;
      await bob.reads("team");
      await bob.says("team", "hello");
      const hello = server.log("team").at(-1)!;
      await bob.session.conversation("team").updateKeys();
      const commit = server.log("team").at(-1)!;

      const messages = order.map((place) => [own, echo, hello, commit][place]!);
      const received: Received[] = [];
      for (const batch of together ? [messages] : messages.map((message) => [message]))
        received.push(...(await alice.session.receive(batch)));
      const results = told(received).filter((what) => what !== "waiting");
      expect(results.sort()).toEqual(["commit", "hello", "ignored: own", "own commit"]);
      expect(story.settled).toMatchObject([{ outcome: "merged" }]);
      expect(await story.epoch()).toBe(3n);
      await story.endsWell();
    }
  });
});

describe("the echo of an application message", () => {
  it("is known at once, again, in one batch with others, and after a restart", async () => {
    const story = await Story.begin(updateKeys, { onDisk: true });
    const own = await story.team.encrypt(bytes("own"));
    const hello = await story.bob.session.conversation("team").encrypt(bytes("hello"));
    expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
    const batch = await story.alice.session.receive([own, hello, own]);
    expect(told(batch)).toEqual(["ignored: own", "hello", "ignored: own"]);
    await story.restarts();
    expect(told(await story.alice.session.receive([own, own]))).toEqual(["ignored: own", "ignored: own"]);
    await story.endsWell();
  });

  it("is known while a commit is on its way, and in the epoch after", async () => {
    const story = await Story.begin(updateKeys);
    const own = await story.team.encrypt(bytes("own"));
    story.next(async (sent, server) => {
      expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
      return server.take(sent);
    });
    await story.commit();
    expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
    await story.endsWell();
  });

  it("is known as long as messages of its epoch can be read, five epochs on", async () => {
    const story = await Story.begin(updateKeys, { onDisk: true });
    const own = await story.team.encrypt(bytes("own"));
    for (let epochs = 0; epochs < 5; epochs += 1) await story.team.updateKeys();
    await story.restarts();
    expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
    await story.endsWell();
  });

  it("is known when its transaction was taken back", async () => {
    const story = await Story.begin(updateKeys);
    let own!: Uint8Array;
    const taken = story.alice.session.transaction(async (tx) => {
      own = await tx.conversation("team").encrypt(bytes("own"));
      throw new Error("mine");
    });
    await expect(taken).rejects.toThrow("mine");
    expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
    await story.endsWell();
  });

  it("with one bit changed is no echo", async () => {
    const story = await Story.begin(updateKeys);
    const own = await story.team.encrypt(bytes("own"));
    const forged = own.slice();
    forged[forged.length - 1]! ^= 1;
    expect(told(await story.alice.session.receive([forged, own]))).toEqual(["rejected", "ignored: own"]);
    await story.endsWell();
  });

  it("is known when the own removal was received before it", async () => {
    const story = await Story.begin(updateKeys);
    const own = await story.team.encrypt(bytes("own"));
    await story.bob.session.conversation("team").removeMembers(["alice"]);
    await story.alice.session.receive(story.server.log("team"));
    expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
  });

  it("is known when the conversation was joined anew from outside before it", async () => {
    const story = await Story.begin(joinByExternalCommit);
    await story.commit();
    const own = await story.team.encrypt(bytes("own"));
    await story.commit();
    expect(await story.epoch()).toBe(3n);
    expect(told(await story.alice.session.receive(own))).toEqual(["ignored: own"]);
    await story.endsWell();
  });
});
