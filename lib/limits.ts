/** A range, both ends included. Where `min` and `max` are the same, it cannot be chosen in this version. */
export interface Limit {
  /** The least. */
  readonly min: number;
  /** The most. */
  readonly max: number;
  /** What is taken where nothing is said. */
  readonly default?: number;
}

/** How large things may be, how many and how long. Sizes are in bytes, times in milliseconds. */
export interface Limits {
  /** Application messages are padded to a multiple of so many bytes before they are encrypted. */
  readonly padding: Limit;
  /** How many epochs back application messages can still be read. */
  readonly pastEpochs: Limit;
  /** How many messages of one sender in one epoch may arrive out of order. */
  readonly outOfOrder: Limit;
  /** How many messages of one sender in one epoch may be missing before a later one. */
  readonly forwardDistance: Limit;
  /** The length of an exported secret: 255 hashes (RFC 5869 section 2.3), which all suites of this version have of 32 bytes. */
  readonly secretBytes: Limit;
  /** A message, commit or Welcome: the largest plaintext and `aad`, and what encryption adds. */
  readonly messageBytes: Limit;
  /** A commit or proposal that is not encrypted (a PublicMessage). */
  readonly publicMessageBytes: Limit;
  /** A GroupInfo, by itself or in a Welcome, and a ratchet tree beside a Welcome: more than 10,000 members with short ids. */
  readonly groupInfoBytes: Limit;
  /** A client id or conversation id. */
  readonly idBytes: Limit;
  /** The clients that one commit adds or removes, and the key packages that one call deletes. */
  readonly listLength: Limit;
  /** An application message before it is encrypted. */
  readonly plaintextBytes: Limit;
  /** The additional authenticated data of a message. */
  readonly aadBytes: Limit;
  /** Proposals of one sender that wait for a commit. */
  readonly pendingProposals: Limit;
  /** How long a key package can be used from now on. */
  readonly keyPackageLifetimeMs: Limit;
  /** A key package of somebody else. */
  readonly keyPackageBytes: Limit;
  /** Key packages that one call makes. */
  readonly keyPackages: Limit;
  /** The label of an exported secret, in bytes of UTF-8. */
  readonly labelBytes: Limit;
  /** A key of `setData`, in bytes of UTF-8. */
  readonly dataKeyBytes: Limit;
  /** A value of `setData`. */
  readonly dataValueBytes: Limit;
}

const MiB = 1024 * 1024;
const DAY = 24 * 60 * 60 * 1000;

/**
 * What this package refuses beyond is refused with the limit in the message. The addon has the same table, and a test compares
 * the two.
 */
export const limits: Readonly<Limits> = frozen({
  padding: { min: 128, max: 128, default: 128 },
  pastEpochs: { min: 5, max: 5, default: 5 },
  outOfOrder: { min: 1000, max: 1000, default: 1000 },
  forwardDistance: { min: 2000, max: 2000, default: 2000 },
  secretBytes: { min: 1, max: 255 * 32 },
  messageBytes: { min: 1, max: 16 * MiB + 72 * 1024 },
  publicMessageBytes: { min: 1, max: 2 * MiB },
  groupInfoBytes: { min: 1, max: 3 * MiB },
  idBytes: { min: 1, max: 4096 },
  listLength: { min: 1, max: 4096 },
  plaintextBytes: { min: 0, max: 16 * MiB },
  aadBytes: { min: 0, max: 64 * 1024 },
  pendingProposals: { min: 0, max: 256 },
  keyPackageLifetimeMs: { min: 1000, max: 84 * DAY, default: 83 * DAY },
  keyPackageBytes: { min: 1, max: 64 * 1024 },
  keyPackages: { min: 1, max: 1000 },
  labelBytes: { min: 1, max: 1024 },
  dataKeyBytes: { min: 1, max: 1024 },
  dataValueBytes: { min: 0, max: MiB },
});

/** Nobody moves a limit by writing to it. */
function frozen<T extends object>(table: T): Readonly<T> {
  Object.values(table).forEach(Object.freeze);
  return Object.freeze(table);
}
