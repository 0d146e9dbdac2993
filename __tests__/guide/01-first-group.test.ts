/** The scenario of docs/01-first-group.md: its regions are what the page shows. */
import { dirname, join } from "node:path";
// snippet: imports
import { type CipherSuite, Credential, Database, DatabaseKey, type Invitee, Session } from "conclave-mls";
import { EmbeddedDeliveryService, transportOf } from "conclave-mls/delivery-service";

const cipherSuite: CipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const encoder = new TextEncoder();
const decoder = new TextDecoder();
// end
import { cleanUp, freshPath } from "../support/files.js";

afterEach(cleanUp);

test("alice founds a group, bob and carol come, carol goes, and bob finds it again after a restart", async () => {
  const folder = dirname(await freshPath());
  const keys = new Map<string, DatabaseKey>();

  // snippet: server
  const server = await EmbeddedDeliveryService.inMemory(); // Stands for your own server.
  // end

  /** Stands for where an application keeps its key. */
  function keyOf(clientId: string): DatabaseKey {
    const key = keys.get(clientId) ?? DatabaseKey.generate();
    keys.set(clientId, key);
    return key;
  }

  // snippet: open
  async function open(clientId: string): Promise<Session> {
    const database = await Database.open(join(folder, `${clientId}.db`), keyOf(clientId));
    return Session.open(database, { clientId, transport: transportOf(server, clientId) });
  }
  // end

  // snippet: introduce
  async function introduce(session: Session): Promise<void> {
    const { clientId } = session;
    const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
    const keyPackages = await session.generateKeyPackages(credential, { count: 20 });
    const forTheDayTheyRunOut = await session.generateKeyPackages(credential, { count: 1, lastResort: true });
    await server.publishKeyPackages(clientId, [...keyPackages, ...forTheDayTheyRunOut]);
  }
  // end

  // snippet: invite
  async function invite(clientId: string): Promise<Invitee> {
    const claimed = await server.claimKeyPackage(clientId, cipherSuite);
    if (claimed === undefined) throw new Error(`${clientId} has published no key package.`);
    return { keyPackage: claimed.bytes, clientId };
  }
  // end

  // snippet: create
  const [alice, bob, carol] = [await open("alice"), await open("bob"), await open("carol")];
  for (const session of [alice, bob, carol]) await introduce(session);

  const [credential] = await alice.credentials();
  if (credential === undefined) throw new Error("Alice has no credential.");
  const team = await alice.createConversation("team", { credential, members: [await invite("bob")] });
  await server.sendMessage("alice", await team.encrypt(encoder.encode("Hello, Bob!")));
  // end
  expect(await team.epoch()).toBe(1n);

  // snippet: read
  async function read(session: Session): Promise<string[]> {
    const lines: string[] = [];
    for (const { bytes, cursor } of await server.pull(session.clientId)) {
      for (const received of await session.receive(bytes)) {
        if (received.type === "welcome") await session.joinByWelcome(bytes);
        if (received.type === "message") {
          lines.push(`${received.sender.clientId}: ${decoder.decode(received.plaintext)}`);
        }
      }
      await server.acknowledge(session.clientId, cursor);
    }
    return lines;
  }

  console.log(await read(bob)); // [ "alice: Hello, Bob!" ]
  // end
  expect(printed.splice(0)).toEqual([["alice: Hello, Bob!"]]);

  // snippet: change
  const { epoch, change } = await team.addMembers([await invite("carol")]);
  console.log(epoch, change.added.length); // 2n 1
  await server.sendMessage("alice", await team.encrypt(encoder.encode("Welcome, Carol.")));
  console.log(await read(carol)); // [ "alice: Welcome, Carol." ]

  await team.removeMembers(["carol"]);
  await server.sendMessage("alice", await team.encrypt(encoder.encode("Carol is gone.")));
  console.log(await read(carol), await carol.conversation("team").active()); // [] false
  // end
  expect(printed.splice(0)).toEqual([2n, 1, ["alice: Welcome, Carol."], [], false]);

  // snippet: reopen
  await bob.close();
  const bobAgain = await open("bob");
  console.log(await bobAgain.conversations()); // [ "team" ]
  console.log(await read(bobAgain)); // [ "alice: Welcome, Carol.", "alice: Carol is gone." ]
  // end
  expect(printed.splice(0)).toEqual([["team"], ["alice: Welcome, Carol.", "alice: Carol is gone."]]);
  const names = (await bobAgain.conversation("team").members()).map(({ clientId }) => clientId);
  expect(names).toEqual(["alice", "bob"]);
  expect((await bobAgain.keyPackages()).filter(({ lastResort }) => lastResort)).toHaveLength(1);

  await Promise.all([alice, bobAgain, carol].map((session) => session.close()));
  await server.close();
});

/** What the snippets print. */
const printed: unknown[] = [];
jest.spyOn(console, "log").mockImplementation((...values: unknown[]) => void printed.push(...values));
