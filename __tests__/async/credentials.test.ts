import { Credential, type CredentialRef, Database, DatabaseKey, type Received } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person, suite } from "../support/people.js";
import { breakDown, loseAnswer, sayAbort, Server } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

/** A credential more. */
async function second({ session, name }: Person, cipherSuite = suite): Promise<CredentialRef> {
  return session.addCredential(Credential.basic(name, { cipherSuite }));
}

/** The signature key of a member, as this person sees it. */
async function keyOf(name: string, { session }: Person): Promise<string> {
  const members = await session.conversation("team").members();
  return Buffer.from(members.find(({ clientId }) => clientId === name)!.signatureKey).toString("hex");
}

/** The signature keys that were told with commits or messages. */
function keysTold(received: readonly Received[]): string[] {
  return received.flatMap((one) => {
    const members = one.type === "message" ? [one.sender] : one.type === "commit" ? one.change.updated : [];
    return members.map(({ signatureKey }) => Buffer.from(signatureKey).toString("hex"));
  });
}

async function aliceAndBob() {
  const server = new Server();
  const path = await freshPath("alice.db");
  const key = DatabaseKey.generate();
  const comes = async (): Promise<Person> =>
    Person.comes("alice", server, { database: await Database.open(path, key) });
  const alice = await comes();
  const bob = await Person.comes("bob", server);
  const team = await alice.opens("team", bob);
  return { server, alice, bob, team, comesAgain: comes };
}

describe("updateKeys with a credential", () => {
  it("gives alice another signature key, in everybody's eyes, and the old one can go", async () => {
    const { alice, bob, team } = await aliceAndBob();
    const before = await keyOf("alice", alice);
    await alice.says("team", "as before");
    const credential = await second(alice);
    const { outcome, change } = await team.updateKeys({ credential });
    expect(outcome).toBe("merged");
    const after = await keyOf("alice", alice);
    expect(after).not.toBe(before);
    expect(change.updated.map(({ clientId }) => clientId)).toEqual(["alice"]);

    await alice.session.removeCredential(alice.credential);
    expect(await alice.session.credentials()).toEqual([credential]);
    await alice.says("team", "anew");
    expect(keysTold(await bob.reads("team"))).toEqual([before, after, after]);
    expect(await keyOf("alice", bob)).toBe(after);
  });

  it("is known by the old one until the commit is accepted", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const before = await keyOf("alice", alice);
    server.next(async (sent) => {
      await alice.says("team", "while it is on its way");
      return server.take(sent);
    });
    await team.updateKeys({ credential: await second(alice) });
    const [message, commit] = keysTold(await bob.reads("team"));
    expect(message).toBe(before);
    expect(commit).toBe(await keyOf("alice", alice));
  });

  it("refused by the server changes nothing", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const before = await keyOf("alice", alice);
    const credential = await second(alice);
    server.next(sayAbort);
    await expectCode(team.updateKeys({ credential }), "COMMIT_REJECTED");
    expect(await keyOf("alice", alice)).toBe(before);
    await alice.session.removeCredential(credential);
    await team.updateKeys();
    await alice.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it("beaten by another commit is built again, with the same signature key", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    await bob.session.conversation("team").updateKeys();
    const credential = await second(alice);
    expect(await team.updateKeys({ credential })).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
    const [lost, won] = server.sends.slice(-2).map(({ context }) => context.change.updated[0]!.signatureKey);
    expect(won).toEqual(lost);
    await alice.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it.each([
    ["accepted, but the answer was lost", loseAnswer],
    ["not accepted", breakDown],
  ])("whose outcome is unknown is settled after a restart with the identical bytes: %s", async (_, whim) => {
    const { server, alice, bob, team, comesAgain } = await aliceAndBob();
    const before = await keyOf("alice", alice);
    const credential = await second(alice);
    server.next(whim);
    await expectCode(team.updateKeys({ credential }), "COMMIT_OUTCOME_UNKNOWN");
    await alice.session.close();

    const again = await comesAgain();
    expect(await keyOf("alice", again)).toBe(before);
    const [open] = await again.session.unsettledCommits();
    expect(open!.intent.updated.map(({ clientId }) => clientId)).toEqual(["alice"]);
    await expectCode(again.session.removeCredential(credential), "CREDENTIAL_IN_USE");
    expect(await again.session.settle()).toEqual([]);
    const [sent, sentAgain] = server.sends.slice(-2);
    expect(sentAgain!.bundle).toEqual(sent!.bundle);
    expect(await keyOf("alice", again)).not.toBe(before);
    await again.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
    await again.session.removeCredential(alice.credential);
    expect(await again.session.credentials()).toEqual([credential]);
  });

  it("in a transaction that throws stays: it was sent in the open", async () => {
    const { alice, bob } = await aliceAndBob();
    const before = await keyOf("alice", alice);
    const credential = await second(alice);
    const work = alice.session.transaction(async (tx) => {
      await tx.conversation("team").updateKeys({ credential });
      throw new Error("changed my mind");
    });
    await expect(work).rejects.toThrow("changed my mind");
    expect(await keyOf("alice", alice)).not.toBe(before);
    await alice.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it("is also what heals by an external commit later: with the old credential alice would be somebody else", async () => {
    const { alice, bob, team } = await aliceAndBob();
    const credential = await second(alice);
    await team.updateKeys({ credential });
    await bob.reads("team");
    const join = (with_: CredentialRef) => alice.session.joinByExternalCommit("team", { credential: with_ });
    await expectCode(join(alice.credential), "ALREADY_MEMBER");
    await join(credential);
    await bob.reads("team");
    expect(await bob.sees("team")).toEqual(["alice", "bob"]);
    await alice.says("team", "hello");
    expect(await bob.hears("team")).toEqual(["hello"]);
  });

  it("that cannot be used here is refused before anything happens", async () => {
    const { server, alice, bob, team } = await aliceAndBob();
    const sends = server.sends.length;
    const foreign = await second(alice, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256");
    await expectCode(team.updateKeys({ credential: foreign }), "CIPHER_SUITE_UNSUPPORTED");
    await expectCode(team.updateKeys({ credential: bob.credential }), "CREDENTIAL_NOT_FOUND");
    await expectCode(team.updateKeys({ credential: { ...alice.credential, ref: "not hex" } }), "CREDENTIAL_NOT_FOUND");
    await expectCode(team.updateKeys({ credential: "alice" as never }), "INVALID_ARGUMENT");
    expect(server.sends).toHaveLength(sends);
    expect(await team.updateKeys()).toMatchObject({ outcome: "merged", epoch: 2n });
  });
});

describe("removeCredential", () => {
  it("takes its key packages along, and no others", async () => {
    const { server, alice, bob } = await aliceAndBob();
    const credential = await second(alice);
    const [gone] = await alice.session.generateKeyPackages(credential, { count: 2 });
    const [kept] = await alice.session.generateKeyPackages(alice.credential, { count: 1 });
    await alice.session.removeCredential(credential);
    expect((await alice.session.keyPackages()).map(({ ref }) => ref)).toEqual([kept!.ref]);

    await bob.session.createConversation("other", { credential: bob.credential, members: [gone!.bytes] });
    const [welcome] = server.takeWelcomes("alice");
    await expectCode(alice.session.joinByWelcome(welcome!), "WELCOME_WITHOUT_KEY_PACKAGE");
  });

  it("is refused while a conversation needs it, and not any more when that is left", async () => {
    const { alice, team } = await aliceAndBob();
    await expectCode(alice.session.removeCredential(alice.credential), "CREDENTIAL_IN_USE");
    expect(await alice.session.credentials()).toEqual([alice.credential]);
    await team.wipe();
    await alice.session.removeCredential(alice.credential);
    expect(await alice.session.credentials()).toEqual([]);
    await expectCode(alice.session.removeCredential(alice.credential), "CREDENTIAL_NOT_FOUND");
  });

  it("is refused while an external join by it is open", async () => {
    const { server, alice, bob } = await aliceAndBob();
    await alice.session.conversation("team").updateKeys();
    const carol = await Person.comes("carol", server);
    server.next(breakDown);
    await expectCode(carol.joinsFromOutside("team"), "COMMIT_OUTCOME_UNKNOWN");
    await expectCode(carol.session.removeCredential(carol.credential), "CREDENTIAL_IN_USE");
    expect(await carol.session.settle()).toEqual([]);
    await bob.reads("team");
    expect(await bob.sees("team")).toEqual(["alice", "bob", "carol"]);
  });

  it("in a transaction that throws is taken back, with the key packages", async () => {
    const { alice } = await aliceAndBob();
    const credential = await second(alice);
    await alice.session.generateKeyPackages(credential, { count: 1 });
    const work = alice.session.transaction(async (tx) => {
      await tx.removeCredential(credential);
      expect(await tx.credentials()).toEqual([alice.credential]);
      throw new Error("changed my mind");
    });
    await expect(work).rejects.toThrow("changed my mind");
    expect(await alice.session.credentials()).toHaveLength(2);
    expect(await alice.session.keyPackages()).toHaveLength(1);
    const conversation = await alice.session.createConversation("notes", { credential });
    expect((await conversation.encrypt(bytes("a note"))).length).toBeGreaterThan(0);
  });
});
