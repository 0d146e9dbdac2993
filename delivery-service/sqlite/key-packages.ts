import type { CipherSuite, Id } from "../../lib/index.js";
import type { Database } from "./database.js";
import type { PublishKeyPackage, RetireLastResort, SpendKeyPackage } from "../rules/decision.js";
import type { Publishers, Supply } from "../rules/key-package.js";
import type { PublishedKeyPackage } from "../service.js";

/** Key packages, those that can still be handed out and the refs of all others. */
export function keyPackageTable(database: Database) {
  const insert = database.prepare(`
    INSERT INTO key_packages (ref, client, suite, last_resort, not_after, bytes)
    VALUES (@ref, @clientId, @cipherSuite, @lastResort, @notAfter, @bytes)`);
  const publisher = database.prepare<[Id], Id>("SELECT client FROM key_packages WHERE ref = ?").pluck();
  const oldest = database.prepare<object, Row>(`
    SELECT ref, not_after AS notAfter, bytes FROM key_packages
    WHERE client = @clientId AND suite = @cipherSuite AND last_resort = @lastResort
      AND bytes IS NOT NULL AND not_after > @now
    ORDER BY published LIMIT 1`);
  const count = database
    .prepare<object, number>(
      `
    SELECT count(*) FROM key_packages
    WHERE client = @clientId AND suite = @cipherSuite AND last_resort = 0 AND bytes IS NOT NULL AND not_after > @now`,
    )
    .pluck();
  const retireLastResort = database.prepare(`
    UPDATE key_packages SET bytes = NULL
    WHERE client = @clientId AND suite = @cipherSuite AND last_resort = 1 AND bytes IS NOT NULL`);
  const spend = database.prepare("UPDATE key_packages SET bytes = NULL WHERE ref = ?");
  const withdraw = database.prepare("UPDATE key_packages SET bytes = NULL WHERE client = ? AND bytes IS NOT NULL");

  function find(of: { clientId: Id; cipherSuite: CipherSuite; now: number }, lastResort: boolean) {
    const row = oldest.get({ ...of, lastResort: Number(lastResort) });
    if (row === undefined) return undefined;
    const { ref, notAfter, bytes } = row;
    const keyPackage: PublishedKeyPackage = {
      bytes: new Uint8Array(bytes),
      ref,
      cipherSuite: of.cipherSuite,
      notAfter: new Date(notAfter),
      lastResort,
    };
    return keyPackage;
  }

  return {
    publishersOf(refs: readonly Id[]): Publishers {
      const publishers = new Map<Id, Id>();
      for (const ref of refs) {
        const clientId = publisher.get(ref);
        if (clientId !== undefined) publishers.set(ref, clientId);
      }
      return publishers;
    },

    supplyOf(of: { clientId: Id; cipherSuite: CipherSuite; now: number }): Supply {
      return { oldest: find(of, false), lastResort: find(of, true) };
    },

    count(of: { clientId: Id; cipherSuite: CipherSuite; now: number }): number {
      return count.get(of) ?? 0;
    },

    publish({ clientId, keyPackage }: PublishKeyPackage): void {
      const { bytes, ref, cipherSuite, lastResort, notAfter } = keyPackage;
      insert.run({
        ref,
        clientId,
        cipherSuite,
        lastResort: Number(lastResort),
        notAfter: notAfter.getTime(),
        bytes,
      });
    },

    retireLastResort({ clientId, cipherSuite }: RetireLastResort): void {
      retireLastResort.run({ clientId, cipherSuite });
    },

    spend({ ref }: SpendKeyPackage): void {
      spend.run(ref);
    },

    /** Their refs stay: publishing them once more does not bring them back. */
    withdraw(clientId: Id): void {
      withdraw.run(clientId);
    },
  };
}
export type KeyPackageTable = ReturnType<typeof keyPackageTable>;

interface Row {
  ref: Id;
  notAfter: number;
  bytes: Buffer;
}
