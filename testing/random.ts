import { createHash } from "node:crypto";

/**
 * Random numbers that are the same for the same seed, on every machine: for choices of a test, never for secrets. Streams are
 * split off by name, so that one more draw in one of them changes nothing in the others.
 */
export class SeededRandom {
  /** What it was made from. */
  readonly seed: string;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Any text or number; the hash of its text is what counts. */
  constructor(seed: string | number) {
    this.seed = String(seed);
    const hash = createHash("sha256").update(this.seed).digest();
    [this.#a, this.#b, this.#c, this.#d] = [0, 4, 8, 12].map((at) => hash.readInt32LE(at)) as [
      number,
      number,
      number,
      number,
    ];
  }

  /** From 0 up to but without 1. The generator is xoshiro128**, by Blackman and Vigna. */
  next(): number {
    const result = Math.imul(rotated(Math.imul(this.#b, 5), 7), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotated(this.#d, 11);
    return (result >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to but without `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** True this often: never for 0, always for 1. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** One of these; throws a `RangeError` when there is none. */
  pick<T>(choices: readonly T[]): T {
    const place = this.below(choices.length);
    if (place >= choices.length) throw new RangeError("There is nothing to pick from.");
    return choices[place] as T;
  }

  /** The same in another order. */
  shuffled<T>(items: readonly T[]): T[] {
    const left = [...items];
    return items.map(() => left.splice(this.below(left.length), 1)[0] as T);
  }

  /** A stream of its own: the same for the same name, whatever was drawn here before. */
  stream(name: string): SeededRandom {
    return new SeededRandom(`${this.seed}/${name}`);
  }
}

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
