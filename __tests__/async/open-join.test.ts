import type { SessionEvents } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { breakDown, Server } from "../support/server.js";

afterEach(everybodyLeaves);

describe("an external commit that is open when another commit of its epoch comes", () => {
  /** Alice's, which the server has never got; carol is removed meanwhile. */
  async function overtaken(): Promise<{ server: Server; alice: Person; carol: Person }> {
    const server = new Server();
    const [alice, bob, carol] = [
      await Person.comes("alice", server),
      await Person.comes("bob", server),
      await Person.comes("carol", server),
    ];
    const team = await bob.opens("team", alice, carol);
    server.nextFrom("alice", breakDown);
    await expectCode(alice.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
    await team.removeMembers(["carol"]);
    await team.updateKeys();
    return { server, alice, carol };
  }

  it("is lost, and the server cannot lead back by it", async () => {
    const { server, alice, carol } = await overtaken();
    const told: SessionEvents["commitSettled"][] = [];
    alice.session.on("commitSettled", (event) => told.push(event));
    await alice.session.receive(server.log("team"));
    expect(told).toMatchObject([{ conversationId: "team", outcome: "lost" }]);
    expect(await alice.session.unsettledCommits()).toEqual([]);

    const { commit } = server.sends.find(({ from }) => from === "alice")!.bundle;
    expect(await alice.session.receive(commit)).toMatchObject([{ type: "ignored", why: "stale-handshake" }]);
    expect(await alice.session.settle()).toEqual([]);
    expect(await alice.session.conversation("team").epoch()).toBe(3n);
    await carol.session.receive(commit);
    const message = await alice.session.conversation("team").encrypt(bytes("not for carol"));
    expect(await carol.session.receive(message)).toMatchObject([{ type: "waiting" }]);
  });

  it("while it is sent, contradicts a server that says that it was accepted", async () => {
    const { server, alice } = await overtaken();
    server.nextFrom("alice", async () => {
      await alice.session.receive(server.log("team"));
      return { status: "success" };
    });
    await expectCode(alice.session.settle(), "STATE_DIVERGED");
    expect(await alice.session.conversation("team").epoch()).toBe(3n);
  });
});
