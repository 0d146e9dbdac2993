/**
 * Does a server keep the duties of docs/server.md? Asked with real clients, so that what they need is what is tested. The server
 * under test is in server.ts.
 */
import type { DeliveryService } from "conclave-mls/delivery-service";
import { agree, CIPHER_SUITE, Person, TEAM } from "./person.js";
import { openServer } from "./server.js";

let service: DeliveryService;
const present: Person[] = [];

beforeEach(async () => (service = await openServer()));
afterEach(async () => {
  for (const { session } of present.splice(0)) await session.close();
  await service.close();
});

async function comes(name: string): Promise<Person> {
  const person = await Person.comes(name, service);
  present.push(person);
  return person;
}

/** Alice, Bob and Carol, who share a team in epoch 1. */
async function teamOfThree(): Promise<[Person, Person, Person]> {
  const team: [Person, Person, Person] = [await comes("alice"), await comes("bob"), await comes("carol")];
  await team[0].createsTeam(team[1], team[2]);
  return team;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const accepted = { status: "success" };

test("1. accepts one commit per conversation and epoch", async () => {
  const [alice, bob, carol] = await teamOfThree();
  const changes = await Promise.all([alice, bob, carol].map(({ team }) => team.updateKeys()));
  expect(changes.map(({ epoch }) => epoch).sort()).toEqual([2n, 3n, 4n]);
  for (const person of [alice, bob, carol]) await person.catchesUp();
  expect(await agree(alice, bob, carol)).toBe(true);
});

test("2. answers the same commit with success again, whatever has happened since", async () => {
  const [alice, bob, carol] = await teamOfThree();
  const commit = await alice.losesAnswerOf(() => alice.team.updateKeys());
  expect(await alice.sends(commit)).toEqual(accepted);
  await bob.catchesUp();
  await bob.team.removeMembers(["alice"]);
  expect(await alice.sends(commit)).toEqual(accepted);
  expect(await alice.session.settle()).toEqual([]);
  expect(await alice.team.epoch()).toBe(2n);
  await carol.catchesUp();
  expect(await agree(bob, carol)).toBe(true);
});

test("3. stores the commit, its GroupInfo, its Welcome and everybody's copy together", async () => {
  const [alice, bob, carol] = await teamOfThree();
  const dave = await comes("dave");
  await alice.adds(dave);
  expect((await service.groupInfo("bob", TEAM)).epoch).toBe(2n);
  expect(await dave.catchesUp()).toMatchObject([{ type: "welcome" }]);
  expect(await bob.catchesUp()).toMatchObject([{ type: "commit", change: { added: [{ clientId: "dave" }] } }]);
  await carol.catchesUp();
  expect(await agree(alice, bob, carol, dave)).toBe(true);
});

test("4. has one order per conversation, and everybody gets it, the sender too", async () => {
  const [alice, bob, carol] = await teamOfThree();
  const speakers = [alice, bob, carol, alice, bob, carol];
  const sent = await Promise.all(speakers.map((person, n) => person.says(`message ${n}`)));
  const queues = await Promise.all(speakers.slice(0, 3).map(({ name }) => service.pull(name)));
  const orders = queues.map((queue) => queue.map(({ bytes }) => hex(bytes)));
  expect(orders[0]?.toSorted()).toEqual(sent.map(hex).sort());
  expect(orders[1]).toEqual(orders[0]);
  expect(orders[2]).toEqual(orders[0]);
});

test("5. hands out Welcomes of accepted commits only, and before anything later of the conversation", async () => {
  const [alice, bob] = await teamOfThree();
  const [dave, erin] = [await comes("dave"), await comes("erin")];
  await alice.adds(dave);
  await expect(bob.adds(erin, { attempts: 1 })).rejects.toMatchObject({ code: "COMMIT_LOST" });
  await alice.says("welcome");
  expect(await dave.catchesUp()).toMatchObject([{ type: "welcome" }, { type: "message" }]);
  expect(await service.pull("erin")).toEqual([]);
});

test("6. delivers again until it is acknowledged, from any cursor", async () => {
  const [alice, bob] = await teamOfThree();
  for (const text of ["one", "two", "three"]) await alice.says(text);
  const entries = await service.pull("bob");
  expect(await service.pull("bob")).toEqual(entries);
  const [first, second] = entries;
  expect(await service.pull("bob", { after: first!.cursor })).toEqual(entries.slice(1));
  await service.acknowledge("bob", second!.cursor);
  await service.acknowledge("bob", first!.cursor); // Late, and no step back.
  expect(await bob.reads()).toEqual(["three"]);
  expect(await service.pull("bob")).toEqual([]);
});

test("7. serves members only: who is removed gets the commit that does it, and nothing after", async () => {
  const [alice, , carol] = await teamOfThree();
  const late = await carol.encrypts("Can you still hear me?");
  await alice.team.removeMembers(["carol"]);
  await alice.says("among ourselves");
  await expect(service.sendMessage("carol", late)).rejects.toThrow();
  await expect(carol.team.updateKeys({ attempts: 1 })).rejects.toMatchObject({ code: "COMMIT_REJECTED" });
  expect(await carol.catchesUp()).toMatchObject([{ type: "commit", active: false }]);
  expect(await service.fetch("carol", TEAM, { fromEpoch: 2n })).toEqual([]);
});

test("8. never accepts what it has answered with abort", async () => {
  const [alice, bob] = await teamOfThree();
  const first = await alice.believesIn(() => alice.team.updateKeys());
  const second = await alice.believesIn(() => alice.team.updateKeys());
  const { status } = await alice.sends(second); // The server has not heard of the first one.
  expect(status).not.toBe("success");
  expect(await alice.sends(first)).toEqual(accepted);
  if (status !== "abort") return; // "retry" promises nothing.
  expect(await alice.sends(second)).not.toEqual(accepted);
  await bob.catchesUp();
  expect(await bob.team.epoch()).toBe(2n);
});

test("9. stores a message once, however often it is sent", async () => {
  const [alice, bob] = await teamOfThree();
  const message = await alice.encrypts("once");
  const sent = await service.sendMessage("alice", message);
  expect(await service.sendMessage("alice", message)).toEqual(sent);
  await bob.team.removeMembers(["alice"]);
  expect(await service.sendMessage("alice", message)).toEqual(sent); // The first answer may have been lost.
  const copies = (await service.pull("bob")).filter(({ bytes }) => hex(bytes) === hex(message));
  expect(copies).toHaveLength(1);
});

test("10. takes a message only of an epoch that its members can be in", async () => {
  const [alice, bob] = await teamOfThree();
  const old = await bob.encrypts("of epoch 1");
  const commit = await alice.believesIn(() => alice.team.updateKeys());
  const early = await alice.encrypts("of epoch 2");
  await expect(service.sendMessage("alice", early)).rejects.toThrow();
  expect(await alice.sends(commit)).toEqual(accepted);
  await service.sendMessage("alice", early);

  const dave = await comes("dave");
  await alice.adds(dave);
  await service.sendMessage("bob", await bob.encrypts("before dave"));
  expect(await dave.reads()).toEqual([]);
  for (let epoch = 3; epoch < 7; epoch++) await alice.team.updateKeys();
  await expect(service.sendMessage("bob", old)).rejects.toThrow();
});

test("11. lets the log be read again from an epoch on", async () => {
  const [alice, bob] = await teamOfThree();
  await alice.team.updateKeys();
  await alice.says("in between");
  await alice.team.updateKeys();
  expect(await bob.team.updateKeys({ attempts: 2 })).toMatchObject({ outcome: "merged", epoch: 4n, attempts: 2 });
  expect(await bob.reads()).toEqual(["in between"]);
  await alice.catchesUp();
  expect(await agree(alice, bob)).toBe(true);
});

test("12. hands out each key package once, the oldest first, and the last resort when none is left", async () => {
  const dave = await comes("dave");
  const claim = () => service.claimKeyPackage("dave", CIPHER_SUITE);
  const three = await Promise.all([claim(), claim(), claim()]); // Those he came with.
  expect(new Set(three.map((one) => one?.ref)).size).toBe(3);
  expect(await claim()).toBeUndefined();

  const [older, newer] = await dave.keyPackages(2);
  const [lastResort] = await dave.keyPackages(1, { lastResort: true });
  await service.publishKeyPackages("dave", [lastResort!, older!]);
  await service.publishKeyPackages("dave", [newer!]);
  expect(await service.countKeyPackages("dave", CIPHER_SUITE)).toBe(2);
  const claimed = [await claim(), await claim(), await claim(), await claim()];
  expect(claimed).toEqual([older, newer, lastResort, lastResort]);
});

test("13. lets join from outside whom the conversation lets join", async () => {
  const [alice, dave] = [await comes("alice"), await comes("dave")];
  const { credential } = dave;
  const options = { credential: alice.credential, members: [await alice.invitationOf(await comes("bob"))] };
  await alice.session.createConversation("closed", options);
  await expect(dave.session.joinByExternalCommit("closed", { credential })).rejects.toThrow();

  await alice.opensTeam(await comes("carol"));
  await dave.session.joinByExternalCommit(TEAM, { credential });
  await alice.catchesUp();
  await alice.says("welcome");
  expect(await dave.reads()).toEqual(["welcome"]);
  expect(await agree(alice, dave)).toBe(true);
});

test("14. hands out no key package that its client has withdrawn", async () => {
  const lost = await comes("dave");
  await service.publishKeyPackages("dave", await lost.keyPackages(1, { lastResort: true }));
  await service.withdrawKeyPackages("dave");
  expect(await service.countKeyPackages("dave", CIPHER_SUITE)).toBe(0);
  expect(await service.claimKeyPackage("dave", CIPHER_SUITE)).toBeUndefined();

  const [fresh] = await lost.keyPackages(1);
  await service.publishKeyPackages("dave", [fresh!]);
  expect(await service.claimKeyPackage("dave", CIPHER_SUITE)).toEqual(fresh);
});
