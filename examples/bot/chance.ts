import { createHash } from "node:crypto";

/** A number from 0 up to 1 that looks random, and is the same whenever the same seed and key are asked for. */
export function chance(seed: number, ...key: readonly (string | number)[]): number {
  const hash = createHash("sha256").update(JSON.stringify([seed, ...key]));
  return hash.digest().readUInt32BE() / 2 ** 32;
}
