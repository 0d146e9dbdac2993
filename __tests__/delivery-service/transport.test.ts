/** The embedded service with real sessions on it, wired as docs/server.md shows. */
import { Credential, Database, type MlsTransport, type Received, Session } from "conclave-mls";
import { type DeliveryService, transportOf } from "conclave-mls/delivery-service";
import { bundleIn, messageIn } from "./framed.js";
import { commit, hex, textWith, ways } from "./services.js";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** All that a transport answers, in an array. */
async function all(answer: ReturnType<NonNullable<MlsTransport["fetchMessages"]>>): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = [];
  for await (const message of await answer) messages.push(message);
  return messages;
}

describe.each(ways)("Sessions on a delivery service %s", (_way, open) => {
  let service: DeliveryService;
  const sessions: Session[] = [];
  beforeEach(async () => (service = await open()));
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.close();
    await service.close();
  });

  async function arrive(clientId: string, transport: MlsTransport = transportOf(service, clientId)) {
    const session = await Session.open(await Database.inMemory(), { clientId, transport });
    sessions.push(session);
    const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
    await service.publishKeyPackages(clientId, await session.generateKeyPackages(credential, { count: 2 }));
    return { session, credential };
  }

  async function invite(clientId: string) {
    const claimed = await service.claimKeyPackage(clientId, cipherSuite);
    return { keyPackage: claimed!.bytes, clientId };
  }

  /** Takes in all that waits for this client, joining what it was invited to. */
  async function catchUp({ session }: { session: Session }): Promise<Received[]> {
    const all: Received[] = [];
    for (const { bytes, cursor } of await service.pull(session.clientId)) {
      const received = await session.receive(bytes);
      if (received.some(({ type }) => type === "welcome")) await session.joinByWelcome(bytes);
      all.push(...received);
      await service.acknowledge(session.clientId, cursor);
    }
    return all;
  }

  async function threeInATeam() {
    const [alice, bob, carol] = [await arrive("alice"), await arrive("bob"), await arrive("carol")];
    const members = [await invite("bob"), await invite("carol")];
    const team = await alice.session.createConversation("team", { credential: alice.credential, members });
    await catchUp(bob);
    await catchUp(carol);
    return { alice, bob, carol, team };
  }

  const texts = (received: Received[]) =>
    received.flatMap((one) => (one.type === "message" ? [Buffer.from(one.plaintext).toString()] : []));

  test("what one sends the others read, in the order of the service", async () => {
    const { alice, bob, carol, team } = await threeInATeam();
    await service.sendMessage("alice", await team.encrypt(Buffer.from("hello")));
    await service.sendMessage("bob", await bob.session.conversation("team").encrypt(Buffer.from("hi alice")));
    expect(texts(await catchUp(carol))).toEqual(["hello", "hi alice"]);
    expect(texts(await catchUp(bob))).toEqual(["hello"]);
    expect(texts(await catchUp(alice))).toEqual(["hi alice"]);
  });

  test("the largest message that a session encrypts arrives", async () => {
    const { bob, team } = await threeInATeam();
    const plaintext = new Uint8Array(16 * 1024 * 1024).fill(7);
    await service.sendMessage("alice", await team.encrypt(plaintext, { aad: new Uint8Array(64 * 1024) }));
    const [received] = await catchUp(bob);
    expect(received).toMatchObject({ type: "message" });
    expect(received?.type === "message" && Buffer.compare(received.plaintext, plaintext)).toBe(0);
  });

  test("two who commit at the same moment both have their way", async () => {
    const { alice, bob, carol } = await threeInATeam();
    await arrive("dave");
    await arrive("erin");
    const [daves, erins] = [await invite("dave"), await invite("erin")];
    const results = await Promise.all([
      bob.session.conversation("team").addMembers([daves]),
      carol.session.conversation("team").addMembers([erins]),
    ]);
    expect(results.map(({ epoch }) => epoch).sort()).toEqual([2n, 3n]);
    for (const person of [alice, bob, carol]) {
      await catchUp(person);
      expect(await person.session.conversation("team").epoch()).toBe(3n);
      expect(await person.session.conversation("team").members()).toHaveLength(5);
    }
  });

  test("who is removed learns it, and gets nothing after it", async () => {
    const { carol, bob, team } = await threeInATeam();
    await team.removeMembers(["carol"]);
    await service.sendMessage("alice", await team.encrypt(Buffer.from("among ourselves")));
    expect(await catchUp(carol)).toMatchObject([{ type: "commit", active: false }]);
    expect(await carol.session.conversation("team").active()).toBe(false);
    expect(texts(await catchUp(bob))).toEqual(["among ourselves"]);
  });

  test("a commit whose answer is lost settles by being sent again", async () => {
    await arrive("bob");
    const transport = transportOf(service, "alice");
    let online = false;
    const alice = await arrive("alice", {
      ...transport,
      async sendCommitBundle(bundle, context) {
        const answer = await transport.sendCommitBundle(bundle, context);
        if (online) return answer;
        throw new Error("the connection was lost before the answer came");
      },
    });
    const created = alice.session.createConversation("team", {
      credential: alice.credential,
      members: [await invite("bob")],
    });
    await expect(created).rejects.toMatchObject({ code: "COMMIT_OUTCOME_UNKNOWN" });
    online = true;
    expect(await alice.session.settle()).toEqual([]);
    expect(await alice.session.conversation("team").epoch()).toBe(1n);
    expect(await service.pull("bob")).toHaveLength(1); // one Welcome
  });

  test("a commit of a stranger is refused with the reason", async () => {
    await threeInATeam();
    const mallory = await arrive("mallory");
    await arrive("dave");
    const members = [await invite("dave")];
    const created = mallory.session.createConversation("team", { credential: mallory.credential, members });
    await expect(created).rejects.toMatchObject({
      code: "COMMIT_REJECTED",
      message: textWith("not a member"),
    });
    expect(await service.pull("dave")).toEqual([]);
  });
});

describe.each(ways)("The transport %s", (_way, open) => {
  test("fetches a log of many pieces as one", async () => {
    await using service = await open();
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const messages = Array.from({ length: 250 }, (_, i) => messageIn("team", 1n, i < 3 ? 5_000_000 : 32));
    for (const message of messages) await service.sendMessage("alice", message);
    const { fetchMessages } = transportOf(service, "bob");
    const fetched = await all(fetchMessages!("team", 1n, new AbortController().signal));
    expect(fetched.map((bytes) => hex(bytes.subarray(0, 200)))).toEqual(
      messages.map((bytes) => hex(bytes.subarray(0, 200))),
    );
  });

  test("stops at the signal of the session", async () => {
    await using service = await open();
    const { sendCommitBundle, fetchMessages } = transportOf(service, "alice");
    const signal = AbortSignal.abort(new Error("the session is closing"));
    await expect(all(fetchMessages!("team", 0n, signal))).rejects.toThrow("the session is closing");
    const context = {
      conversationId: "team",
      epoch: 0n,
      commitId: "",
      attempt: 1,
      change: { added: [], removed: [], updated: [], other: [] },
      welcomeTo: [],
      signal,
    };
    await expect(sendCommitBundle(bundleIn("team", 0n), context)).rejects.toThrow("the session is closing");
  });
});
