import { type CipherSuite, Credential } from "conclave-mls";
import { Foreigner } from "../support/foreigner.js";
import { bytes, everybodyLeaves, Person, text } from "../support/people.js";
import { Server } from "../support/server.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

const suites: CipherSuite[] = [
  "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
  "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
  "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
];

it.each(suites)("a member with ts-mls reads, writes and commits, and both sides agree: %s", async (cipherSuite) => {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const credential = await alice.session.addCredential(Credential.basic("alice", { cipherSuite }));
  const frank = await Foreigner.comes("frank", server, { cipherSuite });
  const members = [await frank.keyPackage()];
  const team = await alice.session.createConversation("team", { credential, members });
  await frank.joins();
  const agreed = async () => expect(frank.epochAuthenticator).toEqual(await team.epochAuthenticator());
  await agreed();

  server.post(await team.encrypt(bytes("hello frank")));
  expect(await frank.hears()).toEqual(["hello frank"]);
  await frank.says("hello alice");
  expect(await alice.hears("team")).toEqual(["hello alice"]);

  await frank.commits();
  expect(await alice.reads("team")).toMatchObject([{ type: "commit", by: { clientId: "frank" } }]);
  await agreed();
  await team.updateKeys();
  await frank.hears();
  expect(frank.epoch).toBe(3n);
  await agreed();

  const received = [];
  await frank.says("still there?");
  for (const one of await alice.reads("team")) received.push(one.type === "message" ? text(one.plaintext) : one.type);
  expect(received).toEqual(["ignored", "still there?"]);
});

describe.each(["private", "public"] as const)("commits that ts-mls makes, framed as %s messages", (framing) => {
  it("add, remove and update, and ours go on from there", async () => {
    const trio = await Trio.meets({ framing });
    const { alice, frank, team } = trio;
    const dora = await Foreigner.comes("dora", trio.server, { framing });
    await frank.invites(dora);
    await dora.joins();
    expect(await alice.reads("team")).toMatchObject([{ type: "commit", change: { added: [{ clientId: "dora" }] } }]);
    await trio.endsWell(dora);

    await team.updateKeys();
    await trio.endsWell(dora);
    await frank.commits(frank.removal("dora"));
    await trio.endsWell();
    await frank.commits();
    await trio.endsWell();
  });

  it("can remove one of ours, who is told so", async () => {
    const trio = await Trio.meets({ framing });
    await trio.frank.commits(trio.frank.removal("bob"));
    expect(await trio.bob.reads("team")).toMatchObject([{ type: "commit", by: { clientId: "frank" }, active: false }]);
    await trio.endsWell();
  });
});

it("a commit of ours that removes the member with ts-mls tells it so", async () => {
  const trio = await Trio.meets();
  await trio.team.removeMembers(["frank"]);
  await trio.frank.hears();
  expect(trio.frank.active).toBe(false);
  await trio.endsWell();
});
