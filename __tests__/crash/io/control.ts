import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";

/** The kinds of operations, as bits. */
export const OPEN = 1;
export const WRITE = 2;
export const TRUNCATE = 4;
export const SYNC = 8;
export const UNLINK = 16;
export const RENAME = 32;
export const EVERY_KIND = OPEN | WRITE | TRUNCATE | SYNC | UNLINK | RENAME;

/** Instead of an error's number: the process dies by SIGKILL. */
export const DIES = 1000;

/** What is to happen to a keystore's files. */
export interface Fault {
  /** Which kinds of operations count. */
  readonly kinds: number;
  /** Which of them it happens to, from 1. */
  readonly at: number;
  /** The error's number, or {@link DIES}. */
  readonly failure: number;
  /** Whether all later ones fail as well. */
  readonly lasting: boolean;
}

const SIZE = 32;

/** The switch of interpose.c: a small file that the watched process has mapped. */
export class Control implements Disposable {
  readonly #file: number;

  /** The switch in this file, which is made when it is missing. */
  constructor(path: string) {
    writeFileSync(path, new Uint8Array(SIZE), { flag: "a" });
    this.#file = openSync(path, "r+");
    this.#write(new Uint32Array(SIZE / 4));
  }

  /** Counts from here on, and lets it happen. */
  arm({ kinds, at, failure, lasting }: Fault): void {
    this.#write(Uint32Array.of(0, 0, at, failure, Number(lasting), 0));
    this.#write(Uint32Array.of(kinds)); // Last: only now they count.
  }

  /** From here on nothing happens. */
  disarm(): void {
    this.#write(Uint32Array.of(0));
  }

  /** How many operations were counted since it was armed. */
  get counted(): number {
    return this.#read(1);
  }

  /** How many of them have failed. */
  get fired(): number {
    return this.#read(5);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #read(place: number): number {
    const value = new Uint32Array(1);
    readSync(this.#file, value, 0, 4, place * 4);
    return value[0]!;
  }

  #write(values: Uint32Array): void {
    writeSync(this.#file, values, 0, values.byteLength, 0);
  }
}
