import type { Received } from "conclave-mls";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

/** Alice and bob in a conversation, and what bob makes of messages of hers. */
async function aliceAndBob() {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  const hears = async (...messages: Uint8Array[]) => (await bob.session.receive(messages)).map(told);
  return { server, alice, bob, team, hears };
}

function told(one: Received): string {
  if (one.type === "message") return text(one.plaintext);
  return one.type === "ignored" || one.type === "unreadable" ? `${one.type}: ${one.why}` : one.type;
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, place) => String(place));

describe("a message that comes late", () => {
  it("is read up to five epochs later, once, and is told to be lost in the sixth", async () => {
    const { server, team, hears } = await aliceAndBob();
    const [early, late, again] = await Promise.all(
      ["early", "late", "again"].map((words) => team.encrypt(bytes(words))),
    );
    for (let epochs = 0; epochs < 5; epochs += 1) await team.updateKeys();
    expect(await hears(...server.log("team"))).toHaveLength(6);
    expect(await hears(early!, again!, again!)).toEqual(["early", "again", "ignored: duplicate"]);
    await team.updateKeys();
    await hears(server.log("team").at(-1)!);
    expect(await hears(late!)).toEqual(["unreadable: epoch-too-old"]);
  });

  it("is read up to 1,000 messages out of order, and beyond is told to be lost, not to be a duplicate", async () => {
    const { team, hears } = await aliceAndBob();
    const sent = await Promise.all(numbers(1_003).map((words) => team.encrypt(bytes(words))));
    expect(await hears(...sent.slice(3, 1_002))).toEqual(numbers(1_002).slice(3));
    expect(await hears(sent[2]!, sent[1_002]!)).toEqual(["2", "1002"]);
    expect(await hears(sent[1]!, sent[1]!)).toEqual(["unreadable: outside-window", "unreadable: outside-window"]);
    expect(await hears(await team.encrypt(bytes("next")))).toEqual(["next"]);
  });
});

describe("a message before which others are missing", () => {
  it("is read when up to 2,000 are, and beyond is told to be lost until some of them have come", async () => {
    const { team, hears } = await aliceAndBob();
    const sent = await Promise.all(numbers(2_003).map((words) => team.encrypt(bytes(words))));
    expect(await hears(sent[2_002]!)).toEqual(["unreadable: outside-window"]);
    expect(await hears(sent[1_500]!)).toEqual(["1500"]);
    expect(await hears(sent[2_002]!, sent[1_499]!)).toEqual(["2002", "1499"]);
  });
});
