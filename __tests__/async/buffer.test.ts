import { Database, DatabaseKey, type Received } from "conclave-mls";
import { commitIn, messageIn } from "../delivery-service/framed.js";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { everybodyLeaves, Person, text } from "../support/people.js";
import { loseAnswer, Server } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

/** What each of these turned out to be, in short. */
const told = (received: readonly Received[]): string[] =>
  received.map((one) => {
    if (one.type === "message") return text(one.plaintext);
    if (one.type === "waiting") return `waiting for ${one.for}`;
    return one.type === "ignored" || one.type === "unreadable" ? `${one.type}: ${one.why}` : one.type;
  });

/**
 * Alice and bob in "team", whose keystore is a file. Bob's deliver keeps what it gets across his restarts, and throws while it is
 * told to.
 */
async function scene({ invited = true } = {}) {
  const server = new Server();
  const [path, key] = [await freshPath(), DatabaseKey.generate()];
  const delivered: string[] = [];
  const fail = { now: false };
  const deliver = (received: readonly Received[]): void => {
    if (fail.now) throw new Error("the disk of my own store is full");
    delivered.push(...told(received));
  };
  const comes = async () => Person.comes("bob", server, { database: await Database.open(path, key), deliver });
  const alice = await Person.comes("alice", server);
  const story = {
    server,
    alice,
    bob: await comes(),
    team: alice.session.conversation("team"),
    delivered,
    fail,
    restarts,
  };
  async function restarts(): Promise<void> {
    await story.bob.session.close();
    story.bob = await comes();
  }
  const members = [await story.bob.keyPackage()];
  await alice.session.createConversation("team", { credential: alice.credential, members });
  if (invited) await story.bob.joins();
  return story;
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Alice commits, and then says this. Answers the commit and the messages. */
async function next({ alice, team, server }: Scene, ...words: string[]): Promise<Uint8Array[]> {
  await team.updateKeys();
  for (const word of words) await alice.says("team", word);
  return server.log("team").slice(-1 - words.length);
}

describe("messages that come too early", () => {
  it("wait over restarts, and come in the order of their epochs after the commit, each once", async () => {
    const story = await scene();
    const [first, ...second] = await next(story, "two a", "two b");
    const [third, ...fourth] = await next(story, "three a", "three b");
    const early = [fourth[1]!, second[0]!, third!, fourth[0]!, second[1]!];
    for (const message of early) {
      expect(told(await story.bob.session.receive(message))).toEqual(["waiting for commit"]);
      await story.restarts();
    }
    expect(story.delivered.splice(0)).toEqual(early.map(() => "waiting for commit"));

    const expected = ["commit", "two a", "two b", "commit", "three b", "three a"];
    expect(told(await story.bob.session.receive(first!))).toEqual(expected);
    expect(story.delivered.splice(0)).toEqual(expected);
    await story.restarts();
    await story.bob.session.receive(story.server.log("team"));
    expect(new Set(story.delivered)).toEqual(new Set(["ignored: stale-handshake", "ignored: duplicate"]));
    expect(await story.bob.session.conversation("team").epochAuthenticator()).toEqual(
      await story.team.epochAuthenticator(),
    );
  });

  it("wait once, however often they come, and say how many do and since when", async () => {
    const story = await scene();
    const [commit, one, two] = await next(story, "one", "two");
    const first = (await story.bob.session.receive(one!))[0]!;
    const others = await story.bob.session.receive([one!, two!, one!]);
    expect(others).toMatchObject([{ count: 1 }, { count: 2 }, { count: 2 }]);
    expect(others[0]).toEqual(first);
    expect(first).toMatchObject({ type: "waiting", for: "commit", epoch: 2n, since: expect.any(Date) as Date });
    expect(told(await story.bob.session.receive(commit!))).toEqual(["commit", "one", "two"]);
  });

  it("are received when the whole log comes backwards", async () => {
    const story = await scene();
    for (let epoch = 2; epoch <= 6; epoch += 1) await next(story, `in ${epoch}`);
    const backwards = story.server.log("team").slice(1).reverse();
    const received: string[] = [];
    for (const message of backwards) received.push(...told(await story.bob.session.receive(message)));
    const heard = received.filter((what) => what !== "waiting for commit");
    expect(heard).toEqual([2, 3, 4, 5, 6].flatMap((epoch) => ["commit", `in ${epoch}`]));
    expect(story.delivered).toEqual(received);
  });

  it("go on waiting when deliver throws as they are released, and then come once", async () => {
    const story = await scene();
    const [commit, one] = await next(story, "one");
    await story.bob.session.receive(one!);
    story.delivered.length = 0;
    story.fail.now = true;
    await expectCode(story.bob.session.receive(commit!), "DELIVER_FAILED");
    await story.restarts();
    await expectCode(story.bob.session.receive(commit!), "DELIVER_FAILED");
    story.fail.now = false;
    expect(told(await story.bob.session.receive(commit!))).toEqual(["commit", "one"]);
    expect(story.delivered).toEqual(["commit", "one"]);
  });

  it("go on waiting when a transaction that released them is taken back", async () => {
    const story = await scene();
    const [commit, one] = await next(story, "one");
    await story.bob.session.receive(one!);
    const taken = story.bob.session.transaction(async (tx) => {
      expect(told(await tx.receive(commit!))).toEqual(["commit", "one"]);
      throw new Error("mine");
    });
    await expect(taken).rejects.toThrow("mine");
    expect(told(await story.bob.session.receive(commit!))).toEqual(["commit", "one"]);
  });

  it("are released by one's own commit, once settle() after a restart finds that it was accepted", async () => {
    const story = await scene();
    story.server.nextFrom("bob", loseAnswer);
    await expectCode(story.bob.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
    await story.alice.reads("team");
    await story.alice.says("team", "one");
    const [later, two] = await next(story, "two");
    await story.bob.session.receive([two!, later!, story.server.log("team").at(-3)!]);
    await story.restarts();
    story.delivered.length = 0;
    expect(await story.bob.session.settle()).toEqual([]);
    expect(story.delivered).toEqual(["commit", "one", "commit", "two"]);
  });
});

describe("poison among what waits", () => {
  /** The same message with its last bit changed. */
  const damaged = (message: Uint8Array): Uint8Array => {
    const copy = message.slice();
    copy[copy.length - 1]! ^= 1;
    return copy;
  };

  it("does not keep the good ones away, wherever it stands among them", async () => {
    const story = await scene();
    const [first, one] = await next(story, "one");
    const [second, two] = await next(story, "two");
    const poison = (good: Uint8Array) => [messageIn("team", 2n), damaged(good), commitIn("team", 2n)];
    const batch = [
      ...poison(one!),
      ...poison(second!),
      second!,
      one!,
      commitIn("team", 3n),
      two!,
      messageIn("team", 3n),
    ];
    expect(new Set(told(await story.bob.session.receive(batch)))).toEqual(new Set(["waiting for commit"]));
    await story.restarts();
    story.delivered.length = 0;
    await story.bob.session.receive(first!);
    const good = story.delivered.filter((what) => what !== "rejected");
    expect(good).toEqual(["commit", "one", "commit", "two"]);
    expect(story.delivered.filter((what) => what === "rejected")).toHaveLength(8);
    expect(told(await story.bob.session.receive([...poison(one!), ...poison(second!)]))).not.toContain(
      "waiting for commit",
    );
  });

  it("for an epoch that never comes waits without end, and harms nobody", async () => {
    const story = await scene();
    await story.bob.session.receive([commitIn("team", 2n ** 64n - 1n), messageIn("team", 1_000n)]);
    expect(told(await story.bob.session.receive(await next(story, "one")))).toEqual(["commit", "one"]);
    expect(await story.bob.session.conversation("team").updateKeys()).toMatchObject({ outcome: "merged" });
    await story.alice.reads("team");
    await story.alice.says("team", "two");
    expect(told(await story.bob.session.receive(story.server.log("team").at(-1)!))).toEqual(["two"]);
  });
});

describe("the room for what waits", () => {
  it("is 1,000 messages of a conversation: the oldest make way, which is told, and may come again", async () => {
    const story = await scene();
    const [commit, one] = await next(story, "one");
    await story.bob.session.receive(one!);
    const others = Array.from({ length: 1_000 }, () => messageIn("team", 2n));
    const received = await story.bob.session.receive(others);
    const evicted = received.filter(({ type }) => type === "unreadable");
    expect(evicted).toMatchObject([{ why: "evicted", conversationId: "team", epoch: 2n }]);
    expect(received.at(-2)).toMatchObject({ type: "waiting", count: 1_000 });
    expect(story.delivered.filter((what) => what === "unreadable: evicted")).toHaveLength(1);

    const released = told(await story.bob.session.receive(commit!));
    expect(released.filter((what) => what !== "rejected")).toEqual(["commit"]);
    expect(told(await story.bob.session.receive(one!))).toEqual(["one"]);
  });

  it("is 16 MiB of a conversation", async () => {
    const story = await scene();
    await next(story);
    const sixMebibytes = new Uint8Array(6 * 1024 * 1024);
    const large: Uint8Array[] = [];
    for (let count = 0; count < 3; count += 1) large.push(await story.team.encrypt(sixMebibytes));
    expect(told(await story.bob.session.receive(large.slice(0, 2)))).toHaveLength(2);
    const last = await story.bob.session.receive(large[2]!);
    expect(told(last)).toEqual(["waiting for commit", "unreadable: evicted"]);
    expect(last[0]).toMatchObject({ count: 2 });
  });

  it("is 100 conversations that this client is not in: the one that waits longest makes way", async () => {
    const story = await scene();
    const strangers = Array.from({ length: 100 }, (_, place) => messageIn(`stranger ${place}`, 1n));
    expect(new Set(told(await story.bob.session.receive(strangers)))).toEqual(new Set(["waiting for welcome"]));
    const last = await story.bob.session.receive(messageIn("one too many", 1n));
    expect(last).toMatchObject([
      { type: "waiting", for: "welcome", conversationId: "one too many" },
      { type: "unreadable", why: "evicted", conversationId: expect.stringMatching(/^stranger/) as string },
    ]);
  });

  it("is nothing for a message that is too large: it is told at once, and nothing makes way for it", async () => {
    const story = await scene();
    await story.bob.session.receive(messageIn("stranger", 1n));
    const large = await story.bob.session.receive(messageIn("stranger", 1n, 64 * 1024));
    expect(large).toMatchObject([{ type: "unreadable", why: "evicted", conversationId: "stranger" }]);
    expect(await story.bob.session.receive(messageIn("stranger", 1n))).toMatchObject([{ type: "waiting", count: 2 }]);
  });
});

describe("what comes before its Welcome", () => {
  it("waits over a restart, and comes with the join: messages, commits and what follows them", async () => {
    const story = await scene({ invited: false });
    await story.alice.says("team", "one");
    const one = story.server.log("team").at(-1)!;
    const [commit, two] = await next(story, "two");
    expect(told(await story.bob.session.receive([two!, commit!, one]))).toEqual(Array(3).fill("waiting for welcome"));
    await story.restarts();
    story.delivered.length = 0;
    const [welcome] = story.server.takeWelcomes("bob");
    const { received } = await story.bob.session.joinByWelcome(welcome!);
    expect(told(received)).toEqual(["one", "commit", "two"]);
    expect(story.delivered).toEqual(["one", "commit", "two"]);
    expect(await story.bob.session.conversation("team").epoch()).toBe(2n);
  });

  it("is not kept from coming by poison", async () => {
    const story = await scene({ invited: false });
    await story.alice.says("team", "one");
    const poison = [messageIn("team", 1n), commitIn("team", 1n), messageIn("team", 0n), commitIn("team", 7n)];
    await story.bob.session.receive([...poison, story.server.log("team").at(-1)!]);
    const { received } = await story.bob.session.joinByWelcome(story.server.takeWelcomes("bob")[0]!);
    expect(told(received).filter((what) => what === "one")).toEqual(["one"]);
    expect(told(await story.bob.session.receive(await next(story, "two")))).toEqual(["commit", "two"]);
  });
});
