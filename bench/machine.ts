import { execFileSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, readFileSync, statfsSync, writeSync } from "node:fs";
import { availableParallelism, cpus, loadavg, totalmem, type } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { summaryOf } from "./statistics.js";

/** The root of the checkout, as seen from dist/programs/bench, where this file is compiled to. */
export const checkout = fileURLToPath(new URL("../../../", import.meta.url));

/** Where the figures come from. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  /** How many threads wanted to run in the last minute, before the bench began: far from 0, the figures are too high. */
  readonly loadBefore: number;
  /** What it takes to write 4 KiB to a file of the folder of the keystores and to wait until they are on the disk. */
  readonly fsyncMicros: number;
  /** Whether that folder is on a disk, and not in memory. */
  readonly onDisk: boolean;
}

/** This machine, with what a disk write costs in this folder. */
export function machine(folder: string): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: system(),
    node: process.version,
    loadBefore: loadavg()[0] ?? 0,
    fsyncMicros: summaryOf(writes(join(folder, "fsync"))).median,
    onDisk: statfsSync(folder).type !== TMPFS,
  };
}

/** The commit that is measured, with "+" when files differ from it; "unknown" outside a repository. */
export function commitHash(): string {
  try {
    return (
      git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "--untracked-files=no") === "" ? "" : "+")
    );
  } catch {
    return "unknown";
  }
}

const TMPFS = 0x01021994;

function git(...args: string[]): string {
  return execFileSync("git", args, { cwd: checkout, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

function system(): string {
  try {
    const [, name] = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8")) ?? [];
    return `${name ?? type()} ${process.arch}`;
  } catch {
    return `${type()} ${process.arch}`;
  }
}

function writes(path: string): number[] {
  const file = openSync(path, "w");
  const page = new Uint8Array(4096).fill(7);
  try {
    return Array.from({ length: 50 }, () => {
      const start = performance.now();
      writeSync(file, page);
      fsyncSync(file);
      return (performance.now() - start) * 1000;
    });
  } finally {
    closeSync(file);
  }
}
