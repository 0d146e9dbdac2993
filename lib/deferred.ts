/** A promise and the way to settle it from outside. */
export interface Deferred<T> {
  /** Never an unhandled rejection, also when nobody waits for it. */
  readonly promise: Promise<T>;
  /** Settles the promise; a second call does nothing. */
  readonly resolve: (value: T) => void;
  /** Settles the promise; a second call does nothing. */
  readonly reject: (reason: unknown) => void;
}

/** A fresh {@link Deferred}. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
