import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Operation } from "../io/log.js";
import type { Random } from "../random.js";

/** What becomes of what was written and not synced, when the power fails. */
export type Loss =
  /** Nothing of it has arrived. */
  | "dropped"
  /** All of it has. */
  | "kept"
  /** Some operations have, in whatever order. */
  | "scattered"
  /** Some sectors of some writes have. */
  | "torn";

export const LOSSES: readonly Loss[] = ["dropped", "torn", "scattered", "kept"];

const SECTOR = 512;

type Change = { readonly offset: number; readonly bytes: Buffer } | { readonly length: number };

/** One file: what surely is on the disk, and what is only on its way. */
class Inode {
  #stored: Buffer = Buffer.alloc(0);
  #changes: Change[] = [];

  change(change: Change): void {
    this.#changes.push(change);
  }

  sync(): void {
    this.#stored = applied(this.#stored, this.#changes);
    this.#changes = [];
  }

  /** What the file is after the power has failed. */
  after(loss: Loss, random: Random): Buffer {
    if (loss === "dropped") return this.#stored;
    const survived = this.#changes.flatMap((change) => survivors(change, loss, random));
    return applied(this.#stored, survived);
  }
}

/**
 * What a disk is made to be by a log of operations, with the freedom that POSIX leaves: what was written is on it for certain
 * once its file was synced, in part and in any order before; a name is there, or gone, once its folder was synced. Names that
 * were not synced are lost from the last one backwards, since file systems keep them in a journal.
 */
export class Disk {
  readonly #handles = new Map<number, Inode>();
  readonly #folders = new Set<number>();
  readonly #folder: string;
  /** Whether syncs do anything: without them the check must find what is lost. */
  readonly #syncs: boolean;
  readonly #names = new Map<string, Inode>();
  #stored = new Map<string, Inode>();
  /** What has become of names since the folder was synced. The parts of one entry come and go together. */
  #renamed: (readonly { readonly path: string; readonly inode: Inode | undefined }[])[] = [];

  constructor(folder: string, { syncs = true } = {}) {
    this.#folder = folder;
    this.#syncs = syncs;
  }

  do(operation: Operation): void {
    switch (operation.kind) {
      case "open":
        if (operation.path === this.#folder) this.#folders.add(operation.handle);
        else this.#open(operation.path, operation.handle, operation.emptied);
        return;
      case "write":
        this.#of(operation.handle).change({ offset: operation.offset, bytes: operation.bytes });
        return;
      case "truncate":
        this.#of(operation.handle).change({ length: operation.length });
        return;
      case "sync":
        if (this.#syncs) this.#sync(operation.handle);
        return;
      case "unlink":
        this.#rename({ path: operation.path, inode: undefined });
        return;
      case "rename":
        this.#rename(
          { path: operation.from, inode: undefined },
          { path: operation.to, inode: this.#names.get(operation.from) },
        );
        return;
      case "mark":
        return;
    }
  }

  /** Writes what is left after a power cut into another folder. Answers how many files there are. */
  cut(into: string, loss: Loss, random: Random): number {
    const names = new Map(this.#stored);
    const kept = { dropped: 0, kept: this.#renamed.length, scattered: undefined, torn: undefined }[loss];
    for (const { path, inode } of this.#renamed.slice(0, kept ?? random.below(this.#renamed.length + 1)).flat()) {
      if (inode === undefined) names.delete(path);
      else names.set(path, inode);
    }
    for (const [path, inode] of names) writeFileSync(join(into, basename(path)), inode.after(loss, random));
    return names.size;
  }

  #open(path: string, handle: number, emptied: boolean): void {
    let inode = this.#names.get(path);
    if (inode === undefined) this.#rename({ path, inode: (inode = new Inode()) });
    if (emptied) inode.change({ length: 0 });
    this.#handles.set(handle, inode);
  }

  #rename(...changes: readonly { readonly path: string; readonly inode: Inode | undefined }[]): void {
    for (const { path, inode } of changes) {
      if (inode === undefined) this.#names.delete(path);
      else this.#names.set(path, inode);
    }
    this.#renamed.push(changes);
  }

  #sync(handle: number): void {
    if (this.#folders.has(handle)) {
      this.#stored = new Map(this.#names);
      this.#renamed = [];
    } else this.#of(handle).sync();
  }

  #of(handle: number): Inode {
    const inode = this.#handles.get(handle);
    if (inode === undefined) throw new Error(`The log writes to a file that it did not open: ${handle}.`);
    return inode;
  }
}

/** The parts of a change that have arrived. */
function survivors(change: Change, loss: Loss, random: Random): Change[] {
  if (loss === "kept") return [change];
  if (loss === "scattered" || "length" in change) return random.chance(0.5) ? [change] : [];
  // Sectors begin at multiples of their size on the disk, wherever the write begins.
  const parts: Change[] = [];
  const end = change.offset + change.bytes.length;
  for (let from = change.offset; from < end;) {
    const to = Math.min(from - (from % SECTOR) + SECTOR, end);
    const bytes = change.bytes.subarray(from - change.offset, to - change.offset);
    if (random.chance(0.5)) parts.push({ offset: from, bytes });
    from = to;
  }
  return parts;
}

function applied(content: Buffer, changes: readonly Change[]): Buffer {
  let length = content.length;
  const ends = changes.map((change) => ("length" in change ? change.length : change.offset + change.bytes.length));
  const whole = Buffer.alloc(Math.max(length, ...ends));
  content.copy(whole);
  for (const change of changes) {
    if ("length" in change) {
      whole.fill(0, change.length, length);
      length = change.length;
    } else {
      change.bytes.copy(whole, change.offset);
      length = Math.max(length, change.offset + change.bytes.length);
    }
  }
  return whole.subarray(0, length);
}
