import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Credential, Database, DatabaseKey, Session } from "conclave-mls";
import { EmbeddedDeliveryService, transportOf } from "conclave-mls/delivery-service";
import { suite } from "../kills/client.js";
import { WITNESS } from "../kills/actions.js";
import { Witness } from "../kills/witness.js";
import { ALICE, ARCHIVE, ASIDE, TEAM } from "./alice.js";
import { Bob } from "./bob.js";
import { Plot } from "./plot.js";

/** Everything that one play happens in: a service, bob, the witness, and the files of alice, who is a member and not started yet. */
export class World implements AsyncDisposable {
  /** Her keystore. */
  readonly path: string;
  readonly key: Uint8Array;
  readonly bob: Bob;
  readonly witness: Witness;
  readonly plot: Plot;
  readonly #folder: string;
  readonly #service: EmbeddedDeliveryService;

  private constructor(folder: string, key: Uint8Array, service: EmbeddedDeliveryService, bob: Bob, witness: Witness) {
    this.path = keystoreIn(folder);
    this.key = key;
    this.bob = bob;
    this.witness = witness;
    this.plot = new Plot(service, bob);
    this.#folder = folder;
    this.#service = service;
  }

  /** With its files in a folder of its own inside this one. */
  static async set(within: string): Promise<World> {
    const folder = mkdtempSync(join(within, "world-"));
    const key = new Uint8Array(randomBytes(32));
    const service = await EmbeddedDeliveryService.inMemory();
    const [bob, witness] = [await Bob.comes(service), await Witness.comes(WITNESS, service)];
    await aliceJoins(keystoreIn(folder), key, service, bob);
    const world = new World(folder, key, service, bob, witness);
    await world.plot.begins();
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.witness.leaves();
    await this.bob[Symbol.asyncDispose]();
    await this.#service.close();
    rmSync(this.#folder, { recursive: true });
  }
}

const keystoreIn = (folder: string): string => join(folder, "alice.db");

/** She becomes a member of all conversations but the last, for which she leaves a key package. */
async function aliceJoins(path: string, key: Uint8Array, service: EmbeddedDeliveryService, bob: Bob): Promise<void> {
  const ids = [TEAM, ASIDE, ARCHIVE];
  using databaseKey = DatabaseKey.from(key);
  const transport = transportOf(service, ALICE);
  await using session = await Session.open(await Database.open(path, databaseKey), { clientId: ALICE, transport });
  const credential = await session.addCredential(Credential.basic(ALICE, { cipherSuite: suite }));
  const keyPackages = await session.generateKeyPackages(credential, { count: ids.length + 1 });
  await service.publishKeyPackages(ALICE, keyPackages);
  for (const id of ids) await bob.founds(id, [ALICE, WITNESS]);
  const welcomes = await service.pull(ALICE);
  for (const { bytes } of welcomes) await session.joinByWelcome(bytes);
  await service.acknowledge(ALICE, welcomes.at(-1)!.cursor);
}
