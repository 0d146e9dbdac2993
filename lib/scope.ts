import type { NativeDatabase, NativeReceived } from "./native-binding.js";
import type { Received } from "./received.js";
import type { SessionState } from "./state.js";

/** One call of the engine. */
export type Step<R> = (native: NativeDatabase) => Promise<R>;

/** What the rest of the session is told of a step, as soon as the step is durable and not before. */
export type Afterwards<R> = (result: R) => void;

/**
 * What operations run in: directly, each step stored by itself, or inside a transaction, all steps stored together. The
 * operations are written once and do not know the difference.
 */
export interface Scope {
  readonly state: SessionState;
  /** Whether the caller has the session's turn, so that waiting for somebody else would be waiting for oneself. */
  readonly holdsTurn: boolean;

  /** Makes one step. */
  step<R>(step: Step<R>, afterwards?: Afterwards<R>): Promise<R>;

  /**
   * Makes one step that receives, and shows what it received to the session's `deliver` before it is stored. When that throws,
   * the step is undone and the call rejects with `DELIVER_FAILED`.
   */
  receiving<R extends { received: NativeReceived[] }>(
    step: Step<R>,
    afterwards?: Afterwards<R>,
  ): Promise<{ result: R; received: Received[] }>;

  /** Does what a commit needs, in its place among the calls of this scope. */
  committing<R>(work: (steps: CommitSteps) => Promise<R>): Promise<R>;
}

/** The two ways to work while a commit is made. */
export interface CommitSteps {
  /** Makes one step. */
  step<R>(step: Step<R>): Promise<R>;
  /** Stores what was done so far and gives up the turn while this goes on, then takes the turn again. */
  inTheOpen<R>(work: () => Promise<R>): Promise<R>;
}
