import type { Id } from "../../lib/index.js";
import { DeliveryError } from "../errors.js";
import type { Frame } from "../framing.js";
import type { PublishedKeyPackage } from "../service.js";
import type { Decision, Effect } from "./decision.js";

/** Key packages that a client publishes together. */
export interface Publication {
  readonly clientId: Id;
  readonly keyPackages: readonly ReadKeyPackage[];
  readonly now: number;
}

/** A key package as its client describes it, and what its bytes say. */
export interface ReadKeyPackage {
  readonly keyPackage: PublishedKeyPackage;
  readonly frame: Frame;
  /** The KeyPackageRef of the bytes. */
  readonly ref: Id;
}

/**
 * By KeyPackageRef: the client that has published this key package, also if it is no longer in the
 * supply.
 */
export type Publishers = ReadonlyMap<Id, Id>;

/** What can be handed out of a client's key packages of one cipher suite. */
export interface Supply {
  /** The oldest key package that has not expired, the last resort aside. */
  readonly oldest: PublishedKeyPackage | undefined;
  /** The last resort, unless it has expired. */
  readonly lastResort: PublishedKeyPackage | undefined;
}

/**
 * All are published or none. A key package that the same client published before changes nothing.
 */
export function decidePublication(
  { clientId, keyPackages, now }: Publication,
  publishers: Publishers,
): Decision<undefined> {
  const known = new Map(publishers);
  const effects: Effect[] = [];
  for (const read of keyPackages) {
    assertGenuine(read, now);
    const { keyPackage } = read;
    const publisher = known.get(keyPackage.ref);
    // Welcomes for this key package would go to the queue of a client that cannot open them.
    if (publisher !== undefined && publisher !== clientId) {
      throw new DeliveryError("KEY_PACKAGE_TAKEN", "Another client has published this key package.");
    }
    if (publisher === clientId) continue;
    known.set(keyPackage.ref, clientId);
    const { cipherSuite } = keyPackage;
    if (keyPackage.lastResort) effects.push({ type: "retireLastResort", clientId, cipherSuite });
    effects.push({ type: "publishKeyPackage", clientId, keyPackage });
  }
  return { answer: undefined, effects };
}

/** Each key package is handed out once; the last resort when no other one is left, and it stays. */
export function decideClaim({ oldest, lastResort }: Supply): Decision<PublishedKeyPackage | undefined> {
  if (oldest === undefined) return { answer: lastResort, effects: [] };
  return { answer: oldest, effects: [{ type: "spendKeyPackage", ref: oldest.ref }] };
}

/**
 * Kind, cipher suite and ref are read from the bytes; the end of the lifetime and "last resort" are
 * the client's word, at its own risk.
 */
function assertGenuine({ keyPackage, frame, ref }: ReadKeyPackage, now: number): void {
  if (frame.kind !== "key-package" || frame.cipherSuite !== keyPackage.cipherSuite) {
    throw new DeliveryError("INVALID_REQUEST", `These bytes are not a key package of ${keyPackage.cipherSuite}.`);
  }
  if (ref !== keyPackage.ref) {
    throw new DeliveryError("INVALID_REQUEST", "ref is not the KeyPackageRef of these bytes.");
  }
  if (keyPackage.notAfter.getTime() <= now) {
    throw new DeliveryError("INVALID_REQUEST", "This key package has expired; generate new ones.");
  }
}
