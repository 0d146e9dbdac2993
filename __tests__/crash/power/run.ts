import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { watched } from "../io/interposer.js";
import { readLog } from "../io/log.js";
import { Random } from "../random.js";
import { programs } from "../root.js";
import { scratchFolder } from "../scratch.js";
import { Disk, LOSSES } from "./disk.js";
import { readRecording } from "./events.js";
import { goOn } from "./image.js";

/** What a run is to do. */
export interface PowerOptions {
  /** How many images to check, spread over the sessions. */
  readonly images: number;
  readonly seed: number;
  /** False: the disk is a liar whose syncs do nothing. Then something must be found. */
  readonly syncs?: boolean;
  readonly progress?: (line: string) => void;
}

/** What came of it. */
export interface PowerReport {
  readonly seed: number;
  readonly sessions: number;
  readonly operations: number;
  readonly events: number;
  readonly images: number;
  /** What must not happen, and has. */
  readonly wrong: readonly string[];
  readonly seconds: number;
}

/** How much a recorded session does. */
const STEPS = 50;
/** How many images are made of one session at most. */
const IMAGES_EACH = 250;

/**
 * Records sessions, cuts the power at random moments and at moments when bytes had just left, and goes on with what is left.
 * Stops at the first image in which something is wrong.
 */
export async function cutPower({ images, seed, syncs = true, progress }: PowerOptions): Promise<PowerReport> {
  const begun = performance.now();
  const random = new Random(seed);
  const total = { sessions: 0, operations: 0, events: 0, images: 0 };
  const wrong: string[] = [];
  const allIsWell = (): boolean => wrong.length === 0;
  while (total.images < images && allIsWell()) {
    const folder = scratchFolder();
    const { recording, operations } = record(folder, random.below(2 ** 32));
    total.sessions += 1;
    total.operations += operations.length;
    total.events += recording.events.length;
    const moments = choose(operations, Math.min(IMAGES_EACH, images - total.images), random);
    const disk = new Disk(join(folder, "alice"), { syncs });
    let events = 0;
    for (const [index, operation] of operations.entries()) {
      disk.do(operation);
      if (operation.kind === "mark") events = operation.events;
      for (let count = moments.get(index) ?? 0; count > 0 && allIsWell(); count--) {
        const image = mkdtempSync(join(folder, "image-"));
        const loss = LOSSES[total.images % LOSSES.length]!;
        disk.cut(image, loss, random);
        const found = await goOn(recording, recording.events.slice(0, events), image, folder, random);
        wrong.push(...found.map((what) => `seed ${seed}, image ${total.images}, ${loss} at ${index}: ${what}`));
        rmSync(image, { recursive: true });
        if (++total.images % 100 === 0) progress?.(`${total.images} images`);
      }
    }
    rmSync(folder, { recursive: true });
  }
  return { seed, ...total, wrong, seconds: Math.round((performance.now() - begun) / 1000) };
}

function record(folder: string, seed: number) {
  const log = join(folder, "log");
  execFileSync(process.execPath, [join(programs, "power/recorded.js"), folder, String(seed), String(STEPS), log], {
    env: watched({ file: join(folder, "alice/keystore.db"), log }),
  });
  return { recording: readRecording(join(folder, "recording.json")), operations: readLog(log) };
}

/** How often to cut after which operation: three of four times when bytes have just left, else anywhere. */
function choose(operations: ReturnType<typeof readLog>, images: number, random: Random): Map<number, number> {
  const marks = operations.flatMap(({ kind }, index) => (kind === "mark" ? [index] : []));
  const chosen = new Map<number, number>();
  for (let count = 0; count < images; count++) {
    const index = random.chance(0.75) ? random.of(marks) : random.below(operations.length);
    chosen.set(index, (chosen.get(index) ?? 0) + 1);
  }
  return chosen;
}
