/** Those who wait for one signal. */
interface Waiters {
  readonly all: Set<() => void>;
  readonly listener: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiters>();

/**
 * Calls back when the caller's signal is aborted, in the order in which they came; not for one that is aborted already.
 * Returns the way to stop it. Many calls may wait for one signal: it has one listener, and none when nobody waits, so that
 * Node sees no leak in a signal that a whole application shares.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined || signal.aborted) return () => {};
  const waiters = waiting.get(signal) ?? listen(signal);
  const waiter = (): void => callback(); // The same callback may wait twice.
  waiters.all.add(waiter);
  return () => {
    if (!waiters.all.delete(waiter) || waiters.all.size > 0) return;
    signal.removeEventListener("abort", waiters.listener);
    if (waiting.get(signal) === waiters) waiting.delete(signal);
  };
}

function listen(signal: AbortSignal): Waiters {
  const all = new Set<() => void>();
  const listener = (): void => {
    signal.removeEventListener("abort", listener);
    waiting.delete(signal);
    const called = [...all];
    all.clear();
    for (const waiter of called) waiter();
  };
  const waiters = { all, listener };
  waiting.set(signal, waiters);
  signal.addEventListener("abort", listener);
  return waiters;
}
