import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { DeliveryError, EmbeddedDeliveryService } from "conclave-mls/delivery-service";
import { bundleIn, keyPackageOf, messageIn } from "./framed.js";
import { commit, hex, objectWith, queueOf } from "./services.js";

describe("The file of an embedded service", () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "delivery-"));
    file = join(folder, "delivery.db");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("keeps everything over a close and an open", async () => {
    const keyPackage = keyPackageOf("bob");
    const [founding, message] = [bundleIn("team", 0n, { welcome: true }), messageIn("team", 1n)];
    {
      await using service = await EmbeddedDeliveryService.open(file);
      await service.publishKeyPackages("bob", [keyPackage]);
      await commit(service, "alice", 0n, { adds: ["bob"], bundle: founding });
      await service.sendMessage("alice", message);
    }
    await using service = await EmbeddedDeliveryService.open(file);
    expect(await service.claimKeyPackage("bob", keyPackage.cipherSuite)).toEqual(keyPackage);
    expect(await queueOf(service, "bob")).toEqual([hex(founding.welcome), hex(message)]);
    expect(await commit(service, "alice", 0n, { adds: ["bob"], bundle: founding })).toEqual({ status: "success" });
    expect(await commit(service, "bob", 1n)).toEqual({ status: "success" });
  });

  test("has on the disk what was answered: its copy, taken in the middle, goes on from there", async () => {
    const message = messageIn("team", 1n);
    const copy = join(folder, "copy");
    await using service = await EmbeddedDeliveryService.open(file);
    await commit(service, "alice", 0n, { adds: ["bob"] });
    await service.sendMessage("alice", message);
    cpSync(file, join(folder, "copy"));
    cpSync(`${file}-wal`, `${copy}-wal`); // as a killed process leaves it
    await using survivor = await EmbeddedDeliveryService.open(copy);
    expect((await queueOf(survivor, "bob")).at(-1)).toBe(hex(message));
  });

  test("never uses a cursor twice, also when the queue was empty in between", async () => {
    let last: number;
    {
      await using service = await EmbeddedDeliveryService.open(file);
      await commit(service, "alice", 0n);
      last = (await service.pull("alice"))[0]!.cursor;
      await service.acknowledge("alice", last);
    }
    await using service = await EmbeddedDeliveryService.open(file);
    await service.sendMessage("alice", messageIn("team", 1n));
    expect(await service.pull("alice", { after: last })).toHaveLength(1);
  });

  test("is readable for its owner only, and nothing stays beside it after close", async () => {
    const service = await EmbeddedDeliveryService.open(file);
    await commit(service, "alice", 0n);
    const modes = readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o777]);
    expect(modes).toEqual([
      ["delivery.db", 0o600],
      ["delivery.db-wal", 0o600],
    ]);
    await service.close();
    expect(readdirSync(folder)).toEqual(["delivery.db"]);
  });

  test("has one owner: the second opener is refused at once, and may come when the first has gone", async () => {
    const first = await EmbeddedDeliveryService.open(file);
    await expect(EmbeddedDeliveryService.open(file)).rejects.toMatchObject({ code: "DATABASE_IN_USE" });
    await commit(first, "alice", 0n);
    await expect(EmbeddedDeliveryService.open(file)).rejects.toMatchObject({ code: "DATABASE_IN_USE" });
    await first.close();
    const second = await EmbeddedDeliveryService.open(file);
    expect(await queueOf(second, "alice")).toHaveLength(1);
    await second.close();
  });

  test("is left as it is when it is anything else", async () => {
    writeFileSync(file, randomBytes(8192)); // an encrypted keystore looks like this
    const strangers = new Sqlite(join(folder, "strangers.db"));
    strangers.exec("CREATE TABLE contacts (name TEXT)");
    strangers.close();
    const newer = new Sqlite(join(folder, "newer.db"));
    newer.exec("PRAGMA application_id = 0x436e4473; PRAGMA user_version = 2");
    newer.close();
    for (const name of ["delivery.db", "strangers.db", "newer.db"]) {
      const before = readFileSync(join(folder, name));
      await expect(EmbeddedDeliveryService.open(join(folder, name))).rejects.toMatchObject({
        code: "DATABASE_FOREIGN",
      });
      expect(readFileSync(join(folder, name)).equals(before)).toBe(true);
    }
    expect(readdirSync(folder).sort()).toEqual(["delivery.db", "newer.db", "strangers.db"]);
  });

  test("is written through to the disk before a call resolves, also on the second open", async () => {
    const opened: Sqlite.Database[] = [];
    jest.resetModules();
    jest.doMock("better-sqlite3", () => {
      const Actual = jest.requireActual<typeof Sqlite>("better-sqlite3");
      return class extends Actual {
        constructor(...args: ConstructorParameters<typeof Sqlite>) {
          super(...args);
          opened.push(this);
        }
      };
    });
    const { EmbeddedDeliveryService } = await import("conclave-mls/delivery-service");
    for (let time = 0; time < 2; time++) {
      const service = await EmbeddedDeliveryService.open(file);
      expect(opened.at(-1)!.pragma("synchronous", { simple: true })).toBe(2); // FULL
      expect(opened.at(-1)!.pragma("journal_mode", { simple: true })).toBe("wal");
      await service.close();
    }
    jest.dontMock("better-sqlite3");
  });

  test("needs a path that can be opened", async () => {
    await expect(EmbeddedDeliveryService.open("")).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await expect(EmbeddedDeliveryService.open(join(folder, "missing", "delivery.db"))).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      cause: objectWith({ code: "ENOENT" }),
    });
  });

  test("an error says who made it, across copies of the package", async () => {
    const error: unknown = await EmbeddedDeliveryService.open("").catch((reason: unknown) => reason);
    expect(String(error)).toMatch(/^DeliveryError: path: /);
    expect(DeliveryError.is(error)).toBe(true);
    expect(DeliveryError.is(error, "CLOSED", "INVALID_REQUEST")).toBe(true);
    expect(DeliveryError.is(error, "CLOSED")).toBe(false);
    expect(DeliveryError.is(new Error("other"))).toBe(false);
    jest.resetModules();
    const copy = await import("conclave-mls/delivery-service");
    expect(error).not.toBeInstanceOf(copy.DeliveryError);
    expect(copy.DeliveryError.is(error)).toBe(true);
  });
});

describe("better-sqlite3", () => {
  afterEach(() => {
    jest.resetModules();
    jest.dontMock("better-sqlite3");
  });

  test("is loaded when a service is opened, not before", async () => {
    let loaded = false;
    jest.resetModules();
    jest.doMock("better-sqlite3", () => {
      loaded = true;
      return jest.requireActual<object>("better-sqlite3");
    });
    await import("conclave-mls");
    const { EmbeddedDeliveryService } = await import("conclave-mls/delivery-service");
    expect(loaded).toBe(false);
    await (await EmbeddedDeliveryService.inMemory()).close();
    expect(loaded).toBe(true);
  });
});
