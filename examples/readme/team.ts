import { Credential, Database, Session } from "conclave-mls";
import { EmbeddedDeliveryService, transportOf } from "conclave-mls/delivery-service";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const server = await EmbeddedDeliveryService.inMemory(); // Stands for your own server.
async function open(clientId: string) {
  const database = await Database.inMemory(); // In an application: Database.open("alice.db", key), an encrypted file.
  const session = await Session.open(database, { clientId, transport: transportOf(server, clientId) });
  const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
  await server.publishKeyPackages(clientId, await session.generateKeyPackages(credential, { count: 10 }));
  return { session, credential };
}
const [alice, bob] = [await open("alice"), await open("bob")];

const invited = await server.claimKeyPackage("bob", cipherSuite);
if (invited === undefined) throw new Error("Bob has published no key package.");
const { credential } = alice;
const team = await alice.session.createConversation("team", { credential, members: [invited.bytes] });
await server.sendMessage("alice", await team.encrypt(new TextEncoder().encode("Hello, Bob!")));

for (const { bytes, cursor } of await server.pull("bob")) {
  for (const received of await bob.session.receive(bytes)) {
    if (received.type === "welcome") await bob.session.joinByWelcome(bytes);
    if (received.type === "message") console.log("Bob reads:", Buffer.from(received.plaintext).toString());
  }
  await server.acknowledge("bob", cursor);
}
await Promise.all([alice.session.close(), bob.session.close(), server.close()]);
