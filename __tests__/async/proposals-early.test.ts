import { inspectMessage, type Received } from "conclave-mls";
import { cleanUp } from "../support/files.js";
import { bytes, everybodyLeaves, text } from "../support/people.js";
import { expectCode } from "../support/expect.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

/** Frank proposes, commits that, and says something in the new epoch: three messages, none of which alice has got. */
async function threeMessages(setting = {}) {
  const trio = await Trio.meets(setting);
  const { server, frank } = trio;
  await frank.proposesToRemove("bob");
  await frank.commits();
  await frank.says("bob is gone");
  const [proposal, commit, message] = server.log("team").slice(-3) as [Uint8Array, Uint8Array, Uint8Array];
  expect(inspectMessage(proposal).kind).not.toBe("commit");
  return { trio, proposal, commit, message };
}

const framings = ["private", "public"] as const;

describe.each(framings)("a commit, framed as a %s message, whose proposal did not arrive yet", (framing) => {
  it("waits for it, and both are told in order", async () => {
    const { trio, proposal, commit, message } = await threeMessages({ framing });
    expect(await trio.aliceGets(commit)).toMatchObject([{ type: "waiting", for: "proposal", epoch: 1n, count: 1 }]);
    expect(await trio.aliceGets(message)).toMatchObject([{ type: "waiting", for: "commit", epoch: 2n, count: 2 }]);
    expect(await trio.team.epoch()).toBe(1n);
    const received = await trio.aliceGets(proposal);
    expect(received).toMatchObject([
      { type: "proposal", epoch: 1n, change: { removed: [{ clientId: "bob" }] } },
      { type: "commit", epoch: 1n, change: { removed: [{ clientId: "bob" }] } },
      { type: "message", epoch: 2n, sender: { clientId: "frank" } },
    ]);
    await trio.endsWell();
  });

  it("waits for it across a restart", async () => {
    const { trio, proposal, commit } = await threeMessages({ framing, onDisk: true });
    expect(await trio.aliceGets(commit)).toMatchObject([{ type: "waiting", for: "proposal" }]);
    await trio.aliceRestarts();
    expect(await trio.aliceGets(proposal)).toMatchObject([{ type: "proposal" }, { type: "commit", epoch: 1n }]);
    await trio.endsWell();
  });

  it("is received in the same batch, in whatever order", async () => {
    const { trio, proposal, commit, message } = await threeMessages({ framing });
    const received = await trio.aliceGets(message, commit, proposal);
    expect(received.map(({ type }) => type)).toEqual(["waiting", "waiting", "proposal", "commit", "message"]);
    await trio.endsWell();
  });

  it("keeps nobody from speaking", async () => {
    const { trio, commit } = await threeMessages({ framing });
    await trio.aliceGets(commit);
    await expect(trio.team.encrypt(bytes("who is there?"))).resolves.toBeInstanceOf(Uint8Array);
  });

  it("needs all of its proposals", async () => {
    const trio = await Trio.meets({ framing });
    const { frank, server } = trio;
    const first = await frank.proposesToRemove("bob");
    const carol = await trio.carol();
    const second = await frank.proposesToAdd(await carol.keyPackage());
    await frank.commits();
    const commit = server.log("team").at(-1)!;
    expect(await trio.aliceGets(second, commit)).toMatchObject([
      { type: "proposal" },
      { type: "waiting", for: "proposal" },
    ]);
    const change = { added: [{ clientId: "carol" }], removed: [{ clientId: "bob" }] };
    expect(await trio.aliceGets(first)).toMatchObject([{ type: "proposal" }, { type: "commit", change }]);
    await carol.joins();
    await trio.endsWell(carol);
  });

  it("does not keep alice from committing: catching up brings what was missing", async () => {
    const { trio, commit } = await threeMessages({ framing });
    await trio.aliceGets(commit);
    const result = await trio.clock.until(trio.team.removeMembers(["bob"]));
    expect(result).toMatchObject({ outcome: "already-applied", epoch: 2n, attempts: 1 });
    await trio.endsWell();
  });
});

describe("with deliver", () => {
  it("each is delivered once, in order, though one delivery fails and all is sent again", async () => {
    const delivered: string[] = [];
    let fails = true;
    const deliver = (received: readonly Received[]): void => {
      if (fails && received.some(({ type }) => type === "proposal")) throw new Error("disk full");
      delivered.push(...received.filter(({ type }) => type !== "ignored").map(told));
    };
    const { trio, proposal, commit, message } = await threeMessages({ onDisk: true, deliver });
    delivered.length = 0;
    await trio.aliceGets(commit, message);
    await expectCode(trio.aliceGets(proposal), "DELIVER_FAILED");
    expect(await trio.team.epoch()).toBe(1n);
    await trio.aliceRestarts();
    fails = false;
    await trio.aliceGets(proposal, commit, message);
    await trio.aliceGets(message, commit, proposal);
    expect(delivered).toEqual(["waiting", "waiting", "proposal", "commit", "bob is gone"]);
    await trio.endsWell();
  });

  it("what a retry has read is delivered too", async () => {
    const delivered: string[] = [];
    const deliver = (received: readonly Received[]): void => void delivered.push(...received.map(told));
    const { trio } = await threeMessages({ deliver });
    delivered.length = 0;
    expect(await trio.clock.until(trio.team.updateKeys())).toMatchObject({ outcome: "merged", epoch: 3n });
    const own = "commit";
    expect(delivered.filter((one) => one !== "ignored")).toEqual(["proposal", "commit", "bob is gone", own]);
    await trio.endsWell();
  });
});

function told(one: Received): string {
  return one.type === "message" ? text(one.plaintext) : one.type;
}
