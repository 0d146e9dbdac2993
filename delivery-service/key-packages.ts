import type { Id } from "../lib/index.js";
import type { Database } from "./database.js";
import { DeliveryError } from "./errors.js";
import { framingOf, keyPackageRefOf } from "./framing.js";
import type { Request } from "./requests.js";
import type { PublishedKeyPackage } from "./service.js";

/**
 * The key-package directory. Each call runs inside a transaction of the service, so that no two clients get the same one.
 */
export function keyPackageDirectory(database: Database) {
  const insert = database.prepare(`
    INSERT INTO key_packages (ref, client, suite, last_resort, not_after, bytes)
    VALUES (@ref, @clientId, @cipherSuite, @lastResort, @notAfter, @bytes)`);
  const owner = database.prepare<[string], Id>("SELECT client FROM key_packages WHERE ref = ?").pluck();
  const retireLastResort = database.prepare(`
    UPDATE key_packages SET bytes = NULL
    WHERE client = @clientId AND suite = @cipherSuite AND last_resort = 1 AND bytes IS NOT NULL`);
  // False sorts before true: the last resort is what is left when the others are used up.
  const next = database.prepare<object, Row>(`
    SELECT published, ref, last_resort, not_after, bytes FROM key_packages
    WHERE client = @ofClientId AND suite = @cipherSuite AND bytes IS NOT NULL AND not_after > @now
    ORDER BY last_resort, published LIMIT 1`);
  const consume = database.prepare("UPDATE key_packages SET bytes = NULL WHERE published = ?");
  const count = database
    .prepare<object, number>(
      `
    SELECT count(*) FROM key_packages
    WHERE client = @clientId AND suite = @cipherSuite AND last_resort = 0 AND bytes IS NOT NULL AND not_after > @now`,
    )
    .pluck();

  const withdraw = database.prepare(
    "UPDATE key_packages SET bytes = NULL WHERE client = @clientId AND bytes IS NOT NULL",
  );

  return {
    publish({ clientId, keyPackages }: Request<"publishKeyPackages">): void {
      for (const keyPackage of keyPackages) {
        assertGenuine(keyPackage);
        const { bytes, ref, cipherSuite } = keyPackage;
        const publisher = owner.get(ref);
        // Somebody else's key package under one's own name would draw the Welcomes for it to the wrong queue.
        if (publisher !== undefined && publisher !== clientId) {
          throw new DeliveryError("KEY_PACKAGE_TAKEN", "Another client has published this key package.");
        }
        if (publisher === clientId) continue;
        if (keyPackage.lastResort) retireLastResort.run({ clientId, cipherSuite });
        insert.run({
          ref,
          clientId,
          cipherSuite,
          lastResort: Number(keyPackage.lastResort),
          notAfter: keyPackage.notAfter.getTime(),
          bytes,
        });
      }
    },

    claim({ ofClientId, cipherSuite }: Request<"claimKeyPackage">): PublishedKeyPackage | undefined {
      const row = next.get({ ofClientId, cipherSuite, now: Date.now() });
      if (row === undefined) return undefined;
      if (row.last_resort === 0) consume.run(row.published);
      return {
        bytes: new Uint8Array(row.bytes),
        ref: row.ref,
        cipherSuite,
        notAfter: new Date(row.not_after),
        lastResort: row.last_resort === 1,
      };
    },

    count({ clientId, cipherSuite }: Request<"countKeyPackages">): number {
      return count.get({ clientId, cipherSuite, now: Date.now() }) ?? 0;
    },

    /** Their refs stay: publishing them once more does not bring them back. */
    withdraw({ clientId }: Request<"withdrawKeyPackages">): void {
      withdraw.run({ clientId });
    },

    /** Who published it; `undefined` for a key package that reached its user by another way. */
    publisherOf(ref: string): Id | undefined {
      return owner.get(ref);
    },
  };
}
export type KeyPackageDirectory = ReturnType<typeof keyPackageDirectory>;

interface Row {
  published: number;
  ref: string;
  last_resort: number;
  not_after: number;
  bytes: Buffer;
}

/** Kind, cipher suite and ref are read from the bytes; the end of the lifetime and "last resort" are the client's word, at its own risk. */
function assertGenuine({ bytes, ref, cipherSuite, notAfter }: PublishedKeyPackage): void {
  const framing = framingOf(bytes);
  if (framing.kind !== "key-package" || framing.cipherSuite !== cipherSuite) {
    throw new DeliveryError("INVALID_REQUEST", `These bytes are not a key package of ${cipherSuite}.`);
  }
  if (keyPackageRefOf(bytes) !== ref) {
    throw new DeliveryError("INVALID_REQUEST", "ref is not the KeyPackageRef of these bytes.");
  }
  if (notAfter.getTime() <= Date.now()) {
    throw new DeliveryError("INVALID_REQUEST", "This key package has expired; generate new ones.");
  }
}
