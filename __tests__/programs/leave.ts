/**
 * Leaves in the way that is named on the command line, with work under way in the keystore whose path and key follow. What the
 * test looks at is how the process ends, and what is in the keystore afterwards.
 */
import { Credential, Database, DatabaseKey, type MlsTransport, Session } from "conclave-mls";

const [how = "", path = "", hex = ""] = process.argv.slice(2);
const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const value = new Uint8Array([1]);

const transport: MlsTransport = {
  async sendCommitBundle() {
    if (how === "exit while sending") process.exit(7);
    return { status: "success" };
  },
};
const database = await Database.open(path, DatabaseKey.from(Buffer.from(hex, "hex")));
const session = await Session.open(database, { clientId: "alice", transport });
const credential = await session.addCredential(Credential.basic("alice", { cipherSuite }));
const team = await session.createConversation("team", { credential });
await session.setData("whole", value);

switch (how) {
  case "exit in a transaction":
    await session.transaction(async (tx) => {
      await tx.setData("half", value);
      void tx.conversation("team").encrypt(value);
      process.exit(7);
    });
    break;
  case "exit while sending":
    await team.updateKeys();
    break;
  case "exit with much under way":
    for (let count = 0; count < 500; count++) void team.encrypt(value);
    void session.transaction((tx) => tx.generateKeyPackages(credential, { count: 50 }));
    process.exit(7);
    break;
  case "exit while pages are written": {
    const stores = async (key: string): Promise<void> =>
      session.setData(key, new Uint8Array(1 << 18)).then(() => stores(key));
    for (const key of ["a", "b", "c", "d"]) void stores(key);
    for (let rounds = 0; rounds < 10; rounds++) await session.setData("round", value);
    process.exit(7);
    break;
  }
  case "leave it open":
    break;
  case "leave a transaction that was given up":
    await (await session.newTransaction()).abort();
    break;
  case "close":
    await team.updateKeys();
    await session.close();
    break;
  default:
    throw new Error(`There is no such way to leave: ${how}`);
}
