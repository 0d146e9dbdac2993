/**
 * Where a session takes its time from: back-off, time limits, jitter, the lifetimes of key packages and the moments that results
 * carry. Tests put another one in its place, to run months in no time and to meet a race at the same point every time;
 * `conclave-mls/testing` has one. The core is told what time it is before each native call; with the machine's clock it reads that.
 */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after this many milliseconds, never before the call has returned. Returns the way to stop it. */
  after(ms: number, callback: () => void): () => void;
  /** From 0 up to but without 1; spreads the attempts of many clients. */
  random(): number;
  /**
   * What a session makes its native calls through, asked for once when it opens; without it, the native object itself. A clock
   * that must stand still while work is under way learns of that work here.
   */
  through?<T extends object>(native: T): T;
}

/** setTimeout takes no more than this (about 24 days), and fires at once beyond it. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * The machine's clock. Its timers keep the process alive, as the call that waits for them does; every one is stopped when its
 * call ends or the session closes.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_TIMER));
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};

// A symbol of the global registry, so that test helpers built as CommonJS also reach a session of the ES module build.
const injected = Symbol.for("conclave-mls.clock");

/** The same session options with another clock, for `Session.open`. For tests only: exported by `conclave-mls/testing`. */
export function withClock<O extends object>(options: O, clock: Clock): O {
  return { ...options, [injected]: clock };
}

/** The clock that {@link withClock} put into these options, or the machine's. */
export function clockOf(options: object): Clock {
  return (options as { [injected]?: Clock })[injected] ?? systemClock;
}
