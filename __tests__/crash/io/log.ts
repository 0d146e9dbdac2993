import { openSync, readFileSync, writeSync } from "node:fs";

/** Something that was done to a keystore's files and has succeeded, or that the program itself has noted. */
export type Operation =
  /** A file, or the folder, was opened, created where there was none; with `emptied` what it had is gone. */
  | { readonly kind: "open"; readonly handle: number; readonly path: string; readonly emptied: boolean }
  | { readonly kind: "write"; readonly handle: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: "truncate"; readonly handle: number; readonly length: number }
  | { readonly kind: "sync"; readonly handle: number }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  /** The program has noted that so many things had happened that others can see. */
  | { readonly kind: "mark"; readonly events: number };

const HEADER = 20;
const MARK = 64;

/** What interpose.c has recorded, in the order in which it was done. */
export function readLog(path: string): Operation[] {
  const log = readFileSync(path);
  const operations: Operation[] = [];
  for (let at = 0; at < log.length;) {
    const length = log.readUInt32LE(at + 16);
    const end = at + HEADER + length;
    const handle = log.readUInt32LE(at + 4);
    operations.push(operation(log[at]!, handle, Number(log.readBigUInt64LE(at + 8)), log.subarray(at + HEADER, end)));
    at = end;
  }
  return operations;
}

function operation(kind: number, handle: number, number: number, bytes: Buffer): Operation {
  switch (kind) {
    case 1:
      return { kind: "open", handle, path: bytes.toString(), emptied: number !== 0 };
    case 2:
      return { kind: "write", handle, offset: number, bytes };
    case 4:
      return { kind: "truncate", handle, length: number };
    case 8:
      return { kind: "sync", handle };
    case 16:
      return { kind: "unlink", path: bytes.toString() };
    case 32:
      return { kind: "rename", from: bytes.toString("utf8", 0, number), to: bytes.toString("utf8", number) };
    case MARK:
      return { kind: "mark", events: number };
    default:
      throw new Error(`The log has a record of an unknown kind: ${kind}.`);
  }
}

/** Puts marks between the records of this very process. */
export class Marker {
  readonly #file: number;

  constructor(log: string) {
    this.#file = openSync(log, "a");
  }

  /** Notes that so many things have happened by now. */
  mark(events: number): void {
    const record = Buffer.alloc(HEADER);
    record[0] = MARK;
    record.writeBigUInt64LE(BigInt(events), 8);
    writeSync(this.#file, record);
  }
}
