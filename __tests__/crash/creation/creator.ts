/** Opens a keystore for the first time and stores some values, and says after each that it is stored. Arguments: path, key. */
import { Database, DatabaseKey, Session } from "conclave-mls";

const [path = "", key = ""] = process.argv.slice(2);
const session = await Session.open(await Database.open(path, DatabaseKey.from(Buffer.from(key, "hex"))), {
  clientId: "alice",
});
for (let number = 1; number <= 3; number++) {
  await session.setData("number", Buffer.from(String(number)));
  process.stdout.write(`stored ${number}\n`);
}
await session.close();
process.stdout.write("closed\n");
