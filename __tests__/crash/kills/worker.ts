/**
 * A client that is killed while it works, and goes on with the same keystore when it is started again. `live` never ends by
 * itself; `finish` brings everything to an end and commits once more; `attend` reads what is left and tells how things are.
 */
import { deliveryServiceAt } from "conclave-mls/delivery-service";
import { DatabaseKey } from "conclave-mls";
import { Random } from "../random.js";
import { act, sayEverywhere } from "./actions.js";
import { Client, type Settings } from "./client.js";
import { tell } from "./reports.js";

/** How a worker is started: one argument, in JSON. */
export interface Orders extends Settings {
  readonly key: string;
  readonly url: string;
  readonly seed: number;
  readonly task: "live" | "finish" | "attend";
}

const { key, url, seed, task, ...settings } = JSON.parse(process.argv[2] ?? "{}") as Orders;
process.on("uncaughtException", (error) => {
  tell({ about: "wrong", what: `uncaught: ${error.stack ?? String(error)}` });
  process.exit(1);
});

const service = deliveryServiceAt(url);
const client = new Client(settings, DatabaseKey.from(Buffer.from(key, "hex")), service);
await client.open();
tell({ about: "open" });

switch (task) {
  case "live": {
    const random = new Random(seed);
    // Before anything else can begin a new epoch: what the last life has used up must show now.
    await client.tolerate("sayEverywhere", () => sayEverywhere(client, random));
    // And before it commits, it reads: who commits six times and reads nothing cannot read what is six epochs old.
    await client.tolerate("catch up", () => client.receiveAll());
    await Promise.all([client.listen(), act(client, random)]);
    break;
  }
  case "finish":
    await client.settleAll();
    await client.updateEverywhere();
    break;
  case "attend":
    await client.settleAll();
    await client.tellState();
    break;
}
await client.close();
await service.close();
tell({ about: "done" });
