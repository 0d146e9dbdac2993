import { AsyncLocalStorage } from "node:async_hooks";

/** Work that takes a session's turn; nobody else can have it at the same time. */
export interface Holder {
  /** What all parts of that session share. */
  readonly state: object;
  /** Whether it has the turn now and keeps it: not when it ends or has ended, and not while it waits for the network. */
  readonly holding: boolean;
}

/** A callback of the application that runs on behalf of a holder. */
export interface Frame {
  readonly holder: Holder;
  /** What the callback was given to work with. */
  readonly scope: object;
  /** Callbacks nest: that of one session can open a transaction of another. */
  readonly outer: Frame | undefined;
}

// One for all sessions: an AsyncLocalStorage costs something at every asynchronous step, and hundreds of sessions are normal.
const current = new AsyncLocalStorage<Frame | undefined>();

/** Runs a callback of the application, such that what it calls can be told from calls of others. */
export function inside<R>(holder: Holder, scope: object, callback: () => R): R {
  return current.run({ holder, scope, outer: current.getStore() }, callback);
}

/** Runs a callback as if nobody's: transports and listeners outlive what caused them. */
export function outside<R>(callback: () => R): R {
  return current.run(undefined, callback);
}

/**
 * The callbacks that this code runs in, innermost first. One whose transaction has ended is among them as long as a socket or
 * timer that it made carries it on; its holder says so.
 */
export function* frames(): Generator<Frame> {
  for (let frame = current.getStore(); frame !== undefined; frame = frame.outer) yield frame;
}
