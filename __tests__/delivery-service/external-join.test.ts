/** Joining from outside, by real sessions on the embedded service. */
import { Credential, type CommitBundle, Database, inspectMessage, type SendContext, Session } from "conclave-mls";
import { type DeliveryService, transportOf } from "conclave-mls/delivery-service";
import { textWith, ways } from "./services.js";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

describe.each(ways)("Joining from outside by a delivery service %s", (_way, open) => {
  let service: DeliveryService;
  const sessions: Session[] = [];
  beforeEach(async () => (service = await open()));
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.close();
    await service.close();
  });

  async function arrive(clientId: string) {
    const session = await Session.open(await Database.inMemory(), {
      clientId,
      transport: transportOf(service, clientId),
    });
    sessions.push(session);
    const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
    return { session, credential };
  }

  async function founded(externalJoin: boolean) {
    const [alice, bob] = [await arrive("alice"), await arrive("bob")];
    const [keyPackage] = await bob.session.generateKeyPackages(bob.credential, { count: 1 });
    const members = [keyPackage!.bytes];
    const team = await alice.session.createConversation("team", {
      credential: alice.credential,
      members,
      externalJoin,
    });
    await hears(bob.session);
    return { alice, bob, team };
  }

  /** Receives all that waits for this client; answers the texts. */
  async function hears(session: Session): Promise<string[]> {
    const texts: string[] = [];
    for (const { bytes, cursor } of await service.pull(session.clientId)) {
      for (const received of await session.receive(bytes)) {
        if (received.type === "welcome") await session.joinByWelcome(bytes);
        if (received.type === "message") texts.push(Buffer.from(received.plaintext).toString());
      }
      await service.acknowledge(session.clientId, cursor);
    }
    return texts;
  }

  test("dave joins, and is a member for the service too", async () => {
    const { alice, bob, team } = await founded(true);
    const dave = await arrive("dave");
    const joined = await dave.session.joinByExternalCommit("team", { credential: dave.credential });
    await hears(alice.session);
    await service.sendMessage("alice", await team.encrypt(Buffer.from("welcome, dave")));
    await service.sendMessage("dave", await joined.encrypt(Buffer.from("thanks")));
    expect(await hears(bob.session)).toEqual(["welcome, dave", "thanks"]);
    expect(await hears(dave.session)).toEqual(["welcome, dave"]);
    await joined.updateKeys();
    await hears(alice.session);
    expect(await team.epochAuthenticator()).toEqual(await joined.epochAuthenticator());
  });

  test("who commits at the same moment is told to retry, and both take effect", async () => {
    const { alice, team } = await founded(true);
    const dave = await arrive("dave");
    const [joined, update] = await Promise.all([
      dave.session.joinByExternalCommit("team", { credential: dave.credential }),
      team.updateKeys(),
    ]);
    await hears(alice.session);
    await hears(dave.session);
    expect(update.outcome).toBe("merged");
    expect(await joined.epoch()).toBe(3n);
    expect(await team.epochAuthenticator()).toEqual(await joined.epochAuthenticator());
  });

  test("bob was removed, and comes back", async () => {
    const { alice, bob, team } = await founded(true);
    await team.removeMembers(["bob"]);
    await hears(bob.session);
    const back = await bob.session.joinByExternalCommit("team", { credential: bob.credential });
    await hears(alice.session);
    await service.sendMessage("bob", await back.encrypt(Buffer.from("back")));
    expect(await hears(alice.session)).toEqual(["back"]);
  });

  test("bob, who is a member, joins anew and stays one member", async () => {
    const { alice, bob, team } = await founded(true);
    const anew = await bob.session.joinByExternalCommit("team", { credential: bob.credential });
    await hears(alice.session);
    expect(await team.members()).toHaveLength(2);
    await service.sendMessage("bob", await anew.encrypt(Buffer.from("fresh")));
    expect(await hears(alice.session)).toEqual(["fresh"]);
    await team.removeMembers(["bob"]);
    await expect(service.sendMessage("bob", await team.encrypt(Buffer.from("x")))).rejects.toMatchObject({
      code: "NOT_A_MEMBER",
    });
  });

  test("of a closed conversation nobody else gets the GroupInfo, and an external commit is aborted", async () => {
    const { bob, team } = await founded(false);
    const dave = await arrive("dave");
    await expect(dave.session.joinByExternalCommit("team", { credential: dave.credential })).rejects.toMatchObject({
      code: "GROUP_INFO_UNAVAILABLE",
      cause: { code: "NOT_A_MEMBER" },
    });
    await expect(bob.session.joinByExternalCommit("team", { credential: bob.credential })).rejects.toMatchObject({
      code: "EXTERNAL_JOIN_REFUSED",
    });
    expect(inspectMessage(await team.groupInfo())).toMatchObject({ kind: "group-info", externalJoin: false });
  });

  test("a joiner that claims to remove another, or to add one, is aborted", async () => {
    const { team } = await founded(true);
    const caught: { bundle: CommitBundle; context: SendContext }[] = [];
    const transport = {
      ...transportOf(service, "mallory"),
      sendCommitBundle: async (bundle: CommitBundle, context: SendContext) => {
        caught.push({ bundle, context });
        return { status: "abort", reason: "caught" } as const;
      },
    };
    const session = await Session.open(await Database.inMemory(), { clientId: "mallory", transport });
    sessions.push(session);
    const credential = await session.addCredential(Credential.basic("mallory", { cipherSuite }));
    await expect(session.joinByExternalCommit("team", { credential })).rejects.toMatchObject({
      code: "COMMIT_REJECTED",
    });
    const { bundle } = caught[0]!;
    expect(inspectMessage(bundle.commit)).toMatchObject({ kind: "commit", encrypted: false, external: true });
    const claims = { welcomeTo: [], removed: ["alice"] };
    expect(await service.sendCommit("mallory", bundle, claims)).toMatchObject({
      status: "abort",
      reason: textWith("former leaf of its own"),
    });
    expect(await team.members()).toHaveLength(2);
  });
});
