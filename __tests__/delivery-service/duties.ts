import { Credential, Database, inspectMessage, Session } from "conclave-mls";
import { type DeliveryService, transportOf } from "conclave-mls/delivery-service";
import { bundleIn, keyPackageOf, messageIn, proposalIn } from "./framed.js";
import { commit, hex, queueOf, textWith } from "./services.js";

const accepted = { status: "success" };

/**
 * The numbered duties of docs/server.md as tests of any service; to be called inside a `describe`.
 * `open` makes an empty service for each test, which closes it.
 */
export function testDuties(open: () => Promise<DeliveryService>): void {
  let service: DeliveryService;
  beforeEach(async () => (service = await open()));
  afterEach(() => service.close());

  test("1. accepts one commit per conversation and epoch", async () => {
    await commit(service, "alice", 0n, { adds: ["bob", "carol"] });
    const [first, second] = await Promise.all([commit(service, "bob", 1n), commit(service, "carol", 1n)]);
    expect(first).toEqual(accepted);
    expect(second).toEqual({ status: "retry" });
    expect(await commit(service, "carol", 0n)).toEqual({ status: "retry" }); // nor one of an older epoch
    expect(await commit(service, "carol", 2n)).toEqual(accepted);
    expect(await service.fetch("alice", "team", { fromEpoch: 0n })).toHaveLength(3);
  });

  test("2. answers the same commit with success again, whatever has happened since", async () => {
    const founding = bundleIn("team", 0n, { welcome: true });
    await commit(service, "alice", 0n, { adds: ["bob"], bundle: founding });
    expect(await commit(service, "alice", 0n, { adds: ["bob"], bundle: founding })).toEqual(accepted);

    await commit(service, "bob", 1n, { removes: ["alice"] });
    expect(await commit(service, "alice", 0n, { adds: ["bob"], bundle: founding })).toEqual(accepted);
    expect(await queueOf(service, "bob")).toHaveLength(2); // the Welcome and his own commit: nothing was stored again
  });

  test("3. stores the commit, its GroupInfo, its Welcome and everybody's copy together", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const bundle = bundleIn("team", 1n, { welcome: true });
    await commit(service, "alice", 1n, { adds: ["carol"], bundle });

    expect(await service.groupInfo("bob", "team")).toEqual({ epoch: 2n, groupInfo: bundle.groupInfo });
    expect((await queueOf(service, "bob")).at(-1)).toBe(hex(bundle.commit));
    expect(await queueOf(service, "carol")).toEqual([hex(bundle.welcome)]);

    const loser = bundleIn("team", 1n, { welcome: true });
    await commit(service, "bob", 1n, { adds: ["dave"], bundle: loser });
    expect(await service.groupInfo("bob", "team")).toEqual({ epoch: 2n, groupInfo: bundle.groupInfo });
  });

  test("4. has one order per conversation, and everybody gets it, the sender too", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const [fromAlice, fromBob, proposal] = [messageIn("team", 1n), messageIn("team", 1n), proposalIn("team", 1n)];
    const change = bundleIn("team", 1n);
    const afterwards = messageIn("team", 2n);
    expect(await service.sendMessage("alice", fromAlice)).toEqual({ sequence: 2 });
    expect(await service.sendMessage("bob", proposal)).toEqual({ sequence: 3 });
    expect(await service.sendMessage("bob", fromBob)).toEqual({ sequence: 4 });
    await commit(service, "alice", 1n, { bundle: change });
    expect(await service.sendMessage("bob", afterwards)).toEqual({ sequence: 6 });

    const order = [fromAlice, proposal, fromBob, change.commit, afterwards].map(hex);
    expect((await queueOf(service, "alice")).slice(1)).toEqual(order); // behind her founding commit
    expect((await queueOf(service, "bob")).slice(1)).toEqual(order); // behind his Welcome
  });

  test("5. hands out Welcomes of accepted commits only, and before anything later of the conversation", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const winner = bundleIn("team", 1n, { welcome: true });
    await commit(service, "alice", 1n, { adds: ["carol"], bundle: winner });
    expect(await commit(service, "bob", 1n, { adds: ["dave"] })).toEqual({ status: "retry" });
    const message = messageIn("team", 2n);
    await service.sendMessage("bob", message);

    expect(await queueOf(service, "carol")).toEqual([hex(winner.welcome), hex(message)]);
    expect(await queueOf(service, "dave")).toEqual([]);
  });

  test("6. delivers again until it is acknowledged, from any cursor", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    for (let i = 0; i < 3; i++) await service.sendMessage("alice", messageIn("team", 1n));
    const [welcome, one, two, three] = await service.pull("bob");
    expect(await service.pull("bob")).toEqual([welcome, one, two, three]);
    expect(await service.pull("bob", { after: one!.cursor })).toEqual([two, three]);

    await service.acknowledge("bob", two!.cursor);
    await service.acknowledge("bob", one!.cursor); // late, and no step back
    expect(await service.pull("bob")).toEqual([three]);
    expect(await service.pull("alice")).toHaveLength(4); // hers is another queue
  });

  test("7. serves members only: who is removed gets the commit that does it, and nothing after", async () => {
    await commit(service, "alice", 0n, { adds: ["bob", "carol"] });
    const removal = bundleIn("team", 1n);
    await commit(service, "alice", 1n, { removes: ["carol"], bundle: removal });
    await service.sendMessage("bob", messageIn("team", 1n)); // of an epoch carol was in
    await service.sendMessage("bob", messageIn("team", 2n));

    expect((await queueOf(service, "carol")).at(-1)).toBe(hex(removal.commit));
    expect((await service.fetch("carol", "team", { fromEpoch: 0n })).map((entry) => hex(entry.bytes))).toEqual([
      hex(removal.commit),
    ]);
    await expect(service.sendMessage("carol", messageIn("team", 1n))).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    await expect(service.groupInfo("carol", "team")).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    await expect(service.fetch("mallory", "team", { fromEpoch: 0n })).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    expect(await commit(service, "carol", 2n)).toMatchObject({
      status: "abort",
      reason: textWith("not a member"),
    });
  });

  test("8. never accepts what it has answered with abort", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const tooEarly = bundleIn("team", 2n);
    const answer = await commit(service, "bob", 2n, { bundle: tooEarly });
    expect(answer).toMatchObject({ status: "abort" });

    await commit(service, "alice", 1n);
    expect(await commit(service, "bob", 2n, { bundle: tooEarly })).toEqual(answer); // now its epoch has come
    expect(await commit(service, "bob", 2n)).toEqual(accepted);
  });

  test("9. stores a message once, however often it is sent", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const message = messageIn("team", 1n);
    const sent = await service.sendMessage("alice", message);
    await commit(service, "bob", 1n, { removes: ["alice"] });
    expect(await service.sendMessage("alice", message)).toEqual(sent); // its answer was lost, and much has happened since
    expect((await queueOf(service, "bob")).filter((bytes) => bytes === hex(message))).toHaveLength(1);
  });

  test("10. takes a message only of an epoch that its members can be in", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    await expect(service.sendMessage("bob", messageIn("team", 2n))).rejects.toMatchObject({ code: "EPOCH_AHEAD" });
    await expect(service.sendMessage("bob", messageIn("unheard-of", 0n))).rejects.toMatchObject({
      code: "CONVERSATION_UNKNOWN",
    });
    for (let epoch = 1n; epoch < 6n; epoch++) await commit(service, "alice", epoch);

    await service.sendMessage("bob", messageIn("team", 1n)); // five epochs ago: clients can still read it
    await commit(service, "alice", 6n, { adds: ["carol"] });
    await expect(service.sendMessage("bob", messageIn("team", 1n))).rejects.toMatchObject({ code: "EPOCH_TOO_OLD" });
    await expect(service.sendMessage("bob", proposalIn("team", 6n))).rejects.toMatchObject({ code: "EPOCH_TOO_OLD" });
    await service.sendMessage("bob", messageIn("team", 6n));
    expect(await queueOf(service, "carol")).toHaveLength(1); // her Welcome: she was not in epoch 6
  });

  test("11. lets the log be read again from an epoch on", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const [early, late] = [messageIn("team", 1n), messageIn("team", 1n)];
    const [first, second] = [bundleIn("team", 1n), bundleIn("team", 2n)];
    await service.sendMessage("alice", early);
    await commit(service, "alice", 1n, { bundle: first });
    await service.sendMessage("bob", late);
    await commit(service, "alice", 2n, { bundle: second });

    const from = async (fromEpoch: bigint) =>
      (await service.fetch("bob", "team", { fromEpoch })).map((entry) => hex(entry.bytes));
    expect(await from(0n)).toEqual([early, first.commit, late, second.commit].map(hex)); // nothing from before he joined
    expect(await from(2n)).toEqual([hex(second.commit)]);
    expect(await from(3n)).toEqual([]);
    expect(await from(2n ** 64n - 1n)).toEqual([]);
  });

  test("12. hands out each key package once, the oldest first, and the last resort when none is left", async () => {
    const [one, two] = [keyPackageOf("bob"), keyPackageOf("bob")];
    const lastResort = keyPackageOf("bob", { lastResort: true });
    await service.publishKeyPackages("bob", [one, lastResort, two]);
    const suite = one.cipherSuite;
    expect(await service.countKeyPackages("bob", suite)).toBe(2);

    expect(await service.claimKeyPackage("bob", suite)).toEqual(one);
    expect(await service.claimKeyPackage("bob", suite)).toEqual(two);
    expect(await service.claimKeyPackage("bob", suite)).toEqual(lastResort);
    expect(await service.claimKeyPackage("bob", suite)).toEqual(lastResort);
    expect(await service.countKeyPackages("bob", suite)).toBe(0);
    expect(await service.claimKeyPackage("carol", suite)).toBeUndefined();
  });

  test("13. lets join from outside whom the conversation lets join", async () => {
    const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
    const open = async (clientId: string) => {
      const session = await Session.open(await Database.inMemory(), {
        clientId,
        transport: transportOf(service, clientId),
      });
      return { session, credential: await session.addCredential(Credential.basic(clientId, { cipherSuite })) };
    };
    const [alice, bob, dave] = [await open("alice"), await open("bob"), await open("dave")];
    for (const externalJoin of [true, false]) {
      const [keyPackage] = await bob.session.generateKeyPackages(bob.credential, { count: 1 });
      const options = { credential: alice.credential, members: [keyPackage!.bytes], externalJoin };
      await alice.session.createConversation(externalJoin ? "open" : "closed", options);
    }
    const { credential } = dave;
    await dave.session.joinByExternalCommit("open", { credential });
    expect(await service.groupInfo("dave", "open")).toMatchObject({ epoch: 2n });
    await expect(service.groupInfo("dave", "closed")).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    const { bytes } = (await service.fetch("alice", "open", { fromEpoch: 1n }))[0]!;
    expect(inspectMessage(bytes)).toMatchObject({ kind: "commit", external: true });
    for (const { session } of [alice, bob, dave]) await session.close();
  });

  test("14. hands out no key package that its client has withdrawn", async () => {
    const [handedOut, kept, fresh] = [keyPackageOf("bob"), keyPackageOf("bob"), keyPackageOf("bob")];
    const lastResort = keyPackageOf("bob", { lastResort: true });
    const carols = keyPackageOf("carol");
    const suite = kept.cipherSuite;
    await service.publishKeyPackages("bob", [handedOut, kept, lastResort]);
    await service.publishKeyPackages("carol", [carols]);
    await service.claimKeyPackage("alice", suite);
    expect(await service.claimKeyPackage("bob", suite)).toEqual(handedOut);

    await service.withdrawKeyPackages("bob");
    await service.withdrawKeyPackages("bob");
    expect(await service.countKeyPackages("bob", suite)).toBe(0);
    expect(await service.claimKeyPackage("bob", suite)).toBeUndefined();
    await service.publishKeyPackages("bob", [kept, lastResort]); // A late copy of the publication.
    expect(await service.claimKeyPackage("bob", suite)).toBeUndefined();
    expect(await service.claimKeyPackage("carol", suite)).toEqual(carols);

    await service.publishKeyPackages("bob", [fresh]); // From his new device.
    expect(await service.claimKeyPackage("bob", suite)).toEqual(fresh);
    const bundle = bundleIn("team", 0n, { welcome: true });
    const welcomeTo = [{ clientId: "bob", keyPackageRef: handedOut.ref }];
    await service.sendCommit("alice", bundle, { welcomeTo, removed: [] });
    expect(await queueOf(service, "bob")).toEqual([hex(bundle.welcome)]);
  });
}
