/** The scenario of docs/06-testing-your-app.md: its regions are what the page shows. */
// snippet: harness
import { Credential, Database, type MlsTransport, Session } from "conclave-mls";
import {
  type DeliveryService,
  deliveryServiceAt,
  EmbeddedDeliveryService,
  serveOnLoopback,
  transportOf,
} from "conclave-mls/delivery-service";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

let server: EmbeddedDeliveryService;
const sessions: Session[] = [];

beforeEach(async () => {
  server = await EmbeddedDeliveryService.inMemory();
});

afterEach(async () => {
  await Promise.all(sessions.splice(0).map((session) => session.close()));
  await server.close();
});

/** Somebody with a keystore in memory and two key packages at the server. Give a transport to make trouble. */
async function person(clientId: string, transport = transportOf(server, clientId)): Promise<Session> {
  const session = await Session.open(await Database.inMemory(), { clientId, transport });
  sessions.push(session);
  const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
  await server.publishKeyPackages(clientId, await session.generateKeyPackages(credential, { count: 2 }));
  return session;
}
// end

// snippet: helpers
async function invited(clientId: string) {
  const claimed = await server.claimKeyPackage(clientId, cipherSuite);
  if (claimed === undefined) throw new Error(`${clientId} has no key package left.`);
  return { keyPackage: claimed.bytes, clientId };
}

/** The founder's group with these, who have joined it. */
async function group(founder: Session, ...others: Session[]): Promise<void> {
  const [credential] = await founder.credentials();
  if (credential === undefined) throw new Error("The founder has no credential.");
  const members = await Promise.all(others.map(({ clientId }) => invited(clientId)));
  await founder.createConversation("team", { credential, members });
  for (const other of others) await reads(other);
}

async function says(session: Session, text: string, via: DeliveryService = server): Promise<void> {
  await via.sendMessage(session.clientId, await session.conversation("team").encrypt(bytesOf(text)));
}

/** Receives all that waits, and answers the texts in it. */
async function reads(session: Session, via: DeliveryService = server): Promise<string[]> {
  const texts: string[] = [];
  for (const { bytes, cursor } of await via.pull(session.clientId)) {
    for (const received of await session.receive(bytes)) {
      if (received.type === "welcome") await session.joinByWelcome(bytes);
      if (received.type === "message") texts.push(new TextDecoder().decode(received.plaintext));
    }
    await via.acknowledge(session.clientId, cursor);
  }
  return texts;
}
// end

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const namesOf = async (session: Session): Promise<string[]> =>
  (await session.conversation("team").members()).map(({ clientId }) => clientId).sort();

// snippet: first
test("bob reads what alice has said", async () => {
  const [alice, bob] = [await person("alice"), await person("bob")];
  await group(alice, bob);
  await says(alice, "Hello, Bob!");
  expect(await reads(bob)).toEqual(["Hello, Bob!"]);
});
// end

// snippet: loopback
test("the same over loopback, as a process of its own would do it", async () => {
  await using loopback = await serveOnLoopback(server);
  await using line = deliveryServiceAt(loopback.url); // What the other process gets is this url.
  const alice = await person("alice", transportOf(line, "alice"));
  const bob = await person("bob", transportOf(line, "bob"));
  await group(alice, bob);
  await says(alice, "Hello from afar!", line);
  expect(await reads(bob, line)).toEqual(["Hello from afar!"]);
});
// end

// snippet: lost
/** The server takes the commit, and its answer is lost: so many times. */
function losingAnswers(transport: MlsTransport, times: number): MlsTransport {
  return {
    ...transport,
    async sendCommitBundle(bundle, context) {
      const answer = await transport.sendCommitBundle(bundle, context);
      if (times-- > 0) throw new Error("connection reset");
      return answer;
    },
  };
}

test("an answer is lost: the change is open, and comes true", async () => {
  const transport = transportOf(server, "alice");
  let online = transport;
  const alice = await person("alice", {
    ...transport,
    sendCommitBundle: (...sent) => online.sendCommitBundle(...sent),
  });
  const bob = await person("bob");
  await group(alice, bob);
  await person("carol");

  online = losingAnswers(transport, 1);
  const inviting = alice.conversation("team").addMembers([await invited("carol")]);
  await expect(inviting).rejects.toMatchObject({ code: "COMMIT_OUTCOME_UNKNOWN" });
  expect(await alice.settle()).toEqual([]);
  expect(await namesOf(alice)).toEqual(["alice", "bob", "carol"]);
});
// end

// snippet: race
/** Lets nobody's commit through before so many have one ready: all of them for the same epoch. */
function startingLine(runners: number): (transport: MlsTransport) => MlsTransport {
  let start = (): void => {};
  const started = new Promise<void>((resolve) => (start = resolve));
  return (transport) => ({
    ...transport,
    async sendCommitBundle(bundle, context) {
      if (--runners === 0) start();
      await started;
      return transport.sendCommitBundle(bundle, context);
    },
  });
}

test("bob and carol invite somebody at the same moment, and both come", async () => {
  const race = startingLine(2);
  const bob = await person("bob", race(transportOf(server, "bob")));
  const carol = await person("carol", race(transportOf(server, "carol")));
  const alice = await person("alice");
  await group(alice, bob, carol);
  await Promise.all([person("dave"), person("erin")]);
  const [dave, erin] = [await invited("dave"), await invited("erin")];

  const results = await Promise.all([
    bob.conversation("team").addMembers([dave]),
    carol.conversation("team").addMembers([erin]),
  ]);
  expect(results.map(({ attempts }) => attempts).sort()).toEqual([1, 2]); // One of the two had to try again.
  for (const session of [alice, bob, carol]) {
    await reads(session);
    expect(await namesOf(session)).toEqual(["alice", "bob", "carol", "dave", "erin"]);
  }
});
// end

// snippet: trouble
test("what comes twice, too early or broken does no harm", async () => {
  const [alice, bob] = [await person("alice"), await person("bob")];
  await group(alice, bob);
  const team = alice.conversation("team");
  const first = await team.encrypt(bytesOf("first"));
  const { epoch } = await team.updateKeys(); // A commit that bob has not received yet.
  const early = await team.encrypt(bytesOf("early"));
  const broken = first.map((byte, place) => (place === first.length - 1 ? byte ^ 1 : byte));

  const kinds = (await bob.receive([broken, first, first, early])).map(({ type }) => type);
  expect(kinds).toEqual(["rejected", "message", "ignored", "waiting"]);
  expect(await reads(bob)).toEqual(["early"]); // It has come with the commit that it waited for.
  expect(await bob.conversation("team").epoch()).toBe(epoch);
});
// end
