import { deferred } from "./deferred.js";
import { MlsError } from "./errors.js";
import type { Holder } from "./nesting.js";
import type { Afterwards, Step } from "./scope.js";
import { type SessionState, sessionClosed } from "./state.js";
import type { Release } from "./turn.js";

/**
 * Steps that are stored together. While it holds the session's turn the engine is in explicit mode; whoever lets go of the turn
 * has stored or rolled back before. This is the only file that begins, commits and rolls back.
 */
export class Unit implements Holder {
  readonly state: SessionState;
  readonly #failed = deferred<never>();
  /** What is to be told when the steps so far are durable. */
  #afterwards: (() => void)[] = [];
  /** Gives the turn to the next; undefined while the unit does not have it. */
  #release: Release | undefined;
  #stopTimer: Release = () => {};
  #storing = false;
  #over: (() => MlsError) | undefined;
  #stopListening: () => void = () => {};

  private constructor(state: SessionState) {
    this.state = state;
  }

  /** Waits for the turn and begins. */
  static async begin(state: SessionState): Promise<Unit> {
    const unit = new Unit(state);
    unit.#stopListening = state.onClose(() => void unit.#end(sessionClosed));
    await unit.#enter();
    return unit;
  }

  /** Whether it has the turn now. While it stores it is about to let go, whatever anybody else does. */
  get holding(): boolean {
    return this.#release !== undefined && !this.#storing;
  }

  /** Rejects when the time limit or the end of the session ends it; else it stays pending. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Makes one step. What it is to tell afterwards is kept until the unit is stored. */
  async step<R>(step: Step<R>, afterwards?: Afterwards<R>): Promise<R> {
    this.refuseWhenOver();
    const result = await this.state.call(step);
    if (afterwards !== undefined) this.#afterwards.push(() => afterwards(result));
    return result;
  }

  /** Does the work such that it leaves nothing when it throws, and the steps before it stay. */
  async undoing<R>(work: () => Promise<R>): Promise<R> {
    const mark = await this.step((native) => native.mark());
    const told = this.#afterwards.length;
    try {
      return await work();
    } catch (error) {
      this.#afterwards.length = told;
      // What cannot be undone alone is undone with all the rest.
      if (this.#over === undefined) await this.step((native) => native.rollbackTo(mark)).catch(() => this.rollback());
      throw error;
    }
  }

  /** Stores the steps so far and does the work without the turn, so that everybody else can go on; then goes on itself. */
  async inTheOpen<R>(work: () => Promise<R>): Promise<R> {
    this.refuseWhenOver();
    await this.#store();
    try {
      return await work();
    } finally {
      // Ended meanwhile: nothing of it is open any more, and the result of the work is still true.
      if (this.#over === undefined) await this.#enter();
    }
  }

  /** Stores all steps and ends. Rejects when they could not be stored, and then none of them is. */
  async commit(): Promise<void> {
    this.refuseWhenOver();
    try {
      await this.#store();
    } finally {
      this.#over ??= ended;
      this.#stopListening();
    }
  }

  /** Undoes all steps since the last that were stored, and ends. Never rejects: what is not stored is undone in any case. */
  async rollback(): Promise<void> {
    await this.#end(ended);
  }

  async #enter(): Promise<void> {
    this.#release = await this.state.turn.alone();
    try {
      this.refuseWhenOver();
      await this.state.call((native) => native.begin());
      this.refuseWhenOver();
    } catch (error) {
      this.#over ??= ended;
      this.#stopListening();
      await this.#undo();
      throw error;
    }
    const { clock, transactionTimeoutMs } = this.state.settings;
    this.#stopTimer = clock.after(transactionTimeoutMs, () => void this.#end(timedOut));
  }

  async #store(): Promise<void> {
    this.#storing = true;
    this.#stopTimer();
    try {
      await this.state.call((native) => native.commit());
    } catch (error) {
      this.#over ??= ended;
      await this.#undo();
      throw error;
    } finally {
      this.#storing = false;
    }
    for (const tell of this.#afterwards.splice(0)) tell();
    this.#takeRelease()?.();
  }

  /** Ends it from outside. What is being stored at this moment is left to be stored, and tells its caller itself. */
  async #end(reason: () => MlsError): Promise<void> {
    if (this.#over !== undefined) return;
    this.#over = reason;
    this.#stopListening();
    if (this.#storing) return;
    if (reason !== ended) this.#failed.reject(reason());
    // Called at once: the engine runs it after the step that is under way and before whatever comes later.
    await this.#undo();
  }

  /** Back to where it was stored last, and the turn to the next. Only once: after it the explicit mode is another's. */
  async #undo(): Promise<void> {
    const release = this.#takeRelease();
    if (release === undefined) return;
    await this.state.native.rollback().catch(() => {});
    release();
  }

  #takeRelease(): Release | undefined {
    this.#stopTimer();
    const release = this.#release;
    this.#release = undefined;
    return release;
  }

  /** Throws `TRANSACTION_ENDED` or `SESSION_CLOSED` when it has ended. */
  refuseWhenOver(): void {
    if (this.#over === undefined) return;
    // What ran into the time limit has been told so once; to later calls it is an ended transaction like any other.
    throw this.#over === sessionClosed ? sessionClosed() : ended();
  }
}

/** A fresh `TRANSACTION_ENDED`. */
export function ended(): MlsError {
  return new MlsError(
    "TRANSACTION_ENDED",
    "The transaction has ended. For later calls use the session, or a handle from session.conversation(id).",
  );
}

function timedOut(): MlsError {
  return new MlsError(
    "TRANSACTION_TIMEOUT",
    "The transaction held its turn longer than transactionTimeoutMs and was rolled back. Do slow work before it, not inside.",
  );
}
