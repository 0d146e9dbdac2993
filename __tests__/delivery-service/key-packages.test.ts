import { EmbeddedDeliveryService } from "conclave-mls/delivery-service";
import { aWelcome, bundleIn, keyPackageOf } from "./framed.js";
import { hex, queueOf, textWith } from "./services.js";

const SUITE = keyPackageOf("bob").cipherSuite;
const OTHER_SUITE = "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519";

describe("The key-package directory", () => {
  let service: EmbeddedDeliveryService;
  beforeEach(async () => (service = await EmbeddedDeliveryService.inMemory()));
  afterEach(async () => {
    jest.restoreAllMocks();
    await service.close();
  });

  test("a hundred claims at once get a hundred different key packages", async () => {
    await service.publishKeyPackages(
      "bob",
      Array.from({ length: 100 }, () => keyPackageOf("bob")),
    );
    const claimed = await Promise.all(Array.from({ length: 101 }, () => service.claimKeyPackage("bob", SUITE)));
    expect(new Set(claimed.map((keyPackage) => keyPackage?.ref)).size).toBe(101);
    expect(claimed.at(-1)).toBeUndefined();
  });

  test("publishing one again, also after it was handed out, changes nothing", async () => {
    const keyPackage = keyPackageOf("bob");
    await service.publishKeyPackages("bob", [keyPackage]);
    await service.publishKeyPackages("bob", [keyPackage]);
    expect(await service.countKeyPackages("bob", SUITE)).toBe(1);
    await service.claimKeyPackage("bob", SUITE);
    await service.publishKeyPackages("bob", [keyPackage]);
    expect(await service.claimKeyPackage("bob", SUITE)).toBeUndefined();
  });

  test("a new last resort replaces the old one", async () => {
    const [old, young] = [keyPackageOf("bob", { lastResort: true }), keyPackageOf("bob", { lastResort: true })];
    await service.publishKeyPackages("bob", [old]);
    await service.publishKeyPackages("bob", [young]);
    expect(await service.claimKeyPackage("bob", SUITE)).toEqual(young);
    await service.publishKeyPackages("bob", [old]); // a replaced one does not come back
    expect(await service.claimKeyPackage("bob", SUITE)).toEqual(young);
  });

  test("each client and cipher suite has a supply of its own", async () => {
    await service.publishKeyPackages("bob", [keyPackageOf("bob")]);
    expect(await service.countKeyPackages("carol", SUITE)).toBe(0);
    expect(await service.countKeyPackages("bob", OTHER_SUITE)).toBe(0);
    expect(await service.claimKeyPackage("bob", OTHER_SUITE)).toBeUndefined();
  });

  test("expired ones are neither counted nor handed out, not even the last resort", async () => {
    const soon = Date.now() + 60_000;
    await service.publishKeyPackages("bob", [
      keyPackageOf("bob", { notAfter: soon }),
      keyPackageOf("bob", { notAfter: soon, lastResort: true }),
      keyPackageOf("bob", { notAfter: soon + 60_000 }),
    ]);
    jest.spyOn(Date, "now").mockReturnValue(soon);
    expect(await service.countKeyPackages("bob", SUITE)).toBe(1);
    expect(await service.claimKeyPackage("bob", SUITE)).toMatchObject({ notAfter: new Date(soon + 60_000) });
    expect(await service.claimKeyPackage("bob", SUITE)).toBeUndefined();
  });

  test("what is no key package, or not the one it says, is refused, and the whole batch with it", async () => {
    const good = keyPackageOf("bob");
    const wrong: [string, object][] = [
      ["not an MLS message", { bytes: Uint8Array.of(1, 2, 3) }],
      ["not a key package", { bytes: aWelcome() }],
      ["not a key package of", { cipherSuite: OTHER_SUITE }],
      ["KeyPackageRef", { ref: keyPackageOf("bob").ref }],
      ["expired", { notAfter: new Date(Date.now() - 1) }],
      ["keyPackages.1.notAfter", { notAfter: new Date(NaN) }],
      ["keyPackages.1.bytes: must be a Uint8Array", { bytes: "text" }],
      ["keyPackages.1.bytes: must not be empty", { bytes: new Uint8Array() }],
    ];
    for (const [reason, difference] of wrong) {
      const bad = { ...keyPackageOf("bob"), ...difference };
      await expect(service.publishKeyPackages("bob", [good, bad])).rejects.toMatchObject({
        code: "INVALID_REQUEST",
        message: textWith(reason),
      });
    }
    expect(await service.countKeyPackages("bob", SUITE)).toBe(0);
  });

  test("nobody publishes another client's key package, or draws its Welcomes to himself", async () => {
    const keyPackage = keyPackageOf("bob");
    await service.publishKeyPackages("bob", [keyPackage]);
    await expect(service.publishKeyPackages("mallory", [keyPackage])).rejects.toMatchObject({
      code: "KEY_PACKAGE_TAKEN",
    });

    const claim = (clientId: string) => ({ welcomeTo: [{ clientId, keyPackageRef: keyPackage.ref }], removed: [] });
    const misrouted = await service.sendCommit("alice", bundleIn("team", 0n, { welcome: true }), claim("mallory"));
    expect(misrouted).toMatchObject({ status: "abort", reason: textWith("another client") });
    const bundle = bundleIn("team", 0n, { welcome: true });
    await service.sendCommit("alice", bundle, claim("bob"));
    expect(await queueOf(service, "bob")).toEqual([hex(bundle.welcome)]);
    expect(await queueOf(service, "mallory")).toEqual([]);
  });

  test("the bytes are copied: changing them afterwards changes nothing", async () => {
    const keyPackage = keyPackageOf("bob");
    const genuine = hex(keyPackage.bytes);
    const published = service.publishKeyPackages("bob", [keyPackage]);
    keyPackage.bytes.fill(0);
    await published;
    const claimed = await service.claimKeyPackage("bob", SUITE);
    expect(hex(claimed?.bytes)).toBe(genuine);
    expect(claimed?.bytes.buffer.byteLength).toBe(claimed?.bytes.length); // memory of its own
  });
});
