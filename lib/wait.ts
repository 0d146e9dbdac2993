import { deferred } from "./deferred.js";
import { onAbort } from "./on-abort.js";
import type { SessionState } from "./state.js";

/** Something that happens again and again, and that many can wait for. */
export class Bell {
  #next = deferred<"rung">();

  /** Resolves when it rings the next time. */
  get rung(): Promise<"rung"> {
    return this.#next.promise;
  }

  /** Wakes everybody who waits. */
  ring(): void {
    const { resolve } = this.#next;
    this.#next = deferred();
    resolve("rung");
  }
}

/** What ended a wait. */
export type WaitEnd = "time" | "event" | "stopped";

/**
 * Waits for so many milliseconds of the session's clock, or for the first of these events. The
 * caller's signal and the end of the session stop it at once.
 */
export async function wait(
  state: SessionState,
  ms: number,
  signal: AbortSignal | undefined,
  ...events: Promise<unknown>[]
): Promise<WaitEnd> {
  if (signal?.aborted === true) return "stopped";
  const ended = deferred<WaitEnd>();
  const stop = (): void => ended.resolve("stopped");
  const stopTimer = state.settings.clock.after(ms, () => ended.resolve("time"));
  const stopListening = state.onClose(stop);
  const stopWaiting = onAbort(signal, stop);
  const happened = events.map((event) => event.then((): WaitEnd => "event"));
  try {
    return await Promise.race([ended.promise, ...happened]);
  } finally {
    stopTimer();
    stopListening();
    stopWaiting();
  }
}

const QUIET = 100;
const LONGEST_UNREST = 15_000;

/**
 * Waits until this bell has not rung for a short while, or has gone on ringing for too long. The
 * while is spread, so that many clients that wait for the same do not act at the same moment.
 */
export async function untilQuiet(state: SessionState, bell: Bell, signal: AbortSignal | undefined): Promise<void> {
  const { clock } = state.settings;
  const end = clock.now() + LONGEST_UNREST;
  while (clock.now() < end) {
    const quiet = QUIET * (1 + clock.random());
    if ((await wait(state, quiet, signal, bell.rung)) !== "event") return;
  }
}
