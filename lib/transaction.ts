import { MlsError } from "./errors.js";
import type { NativeReceived } from "./native-binding.js";
import { frames, inside } from "./nesting.js";
import { type Operations, ScopedOperations } from "./operations.js";
import { type Received, receivedOf } from "./received.js";
import type { Afterwards, CommitSteps, Scope, Step } from "./scope.js";
import type { SessionState } from "./state.js";
import { ended, Unit } from "./unit.js";

/**
 * Several operations that are stored together. Its calls run in the order in which they are made. After its end every call, also
 * through a conversation handle made from it, rejects with `TRANSACTION_ENDED`. Dropping one without `finish()` is an abort.
 */
export interface TransactionContext extends Operations, AsyncDisposable {
  /** Awaits the calls made so far and stores everything; when that fails nothing is stored and the call rejects. */
  finish(): Promise<void>;
  /** Stores nothing since the last commit that was sent. Calls that wait reject with `TRANSACTION_ENDED`. */
  abort(): Promise<void>;
  /** `abort()`, unless it has ended already. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Gets all that was received, by `receive`, `decrypt`, `joinByWelcome`, a retry, a settle or the
 * buffer, and own commits that were accepted, inside the transaction and before it is stored.
 */
export type Deliver = (received: readonly Received[], tx: TransactionContext) => void | Promise<void>;

/** Runs the work in a transaction of its own: stored when it returns, rolled back when it throws. */
export async function transact<R>(state: SessionState, work: (scope: TransactionScope) => R | Promise<R>): Promise<R> {
  const unit = await Unit.begin(state);
  const scope = new TransactionScope(state, unit);
  let result: R;
  try {
    // Async, so that a callback which throws at once, or returns a thenable that does, is a rejection like any other.
    const working = inside(unit, scope, async () => work(scope));
    result = await Promise.race([working, unit.failed]);
  } catch (thrown) {
    await scope.abandon();
    throw thrown;
  }
  await (scope.ending ?? scope.finish());
  return result;
}

/** The transaction that an application sees. */
export class Transaction extends ScopedOperations implements TransactionContext {
  readonly #scope: TransactionScope;

  constructor(scope: TransactionScope) {
    super(scope);
    this.#scope = scope;
  }

  async finish(): Promise<void> {
    await this.#scope.finish();
  }

  async abort(): Promise<void> {
    this.#scope.refuseWhenEnded();
    await this.#scope.abandon();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.abandon();
  }
}

/** The calls of one transaction, one after the other; or those of a `deliver` inside it, while the transaction waits. */
export class TransactionScope implements Scope {
  readonly state: SessionState;
  readonly holdsTurn = true;
  readonly #unit: Unit;
  readonly #delivery: boolean;
  #last: Promise<unknown> = Promise.resolve();
  #ended = false;
  /** The end that was asked for, by the application itself or after its callback. */
  ending: Promise<void> | undefined;

  constructor(state: SessionState, unit: Unit, delivery = false) {
    this.state = state;
    this.#unit = unit;
    this.#delivery = delivery;
  }

  step<R>(step: Step<R>, afterwards?: Afterwards<R>): Promise<R> {
    return this.#inOrder(() => this.#unit.step(step, afterwards));
  }

  receiving<R extends { received: NativeReceived[] }>(
    step: Step<R>,
    afterwards?: Afterwards<R>,
  ): Promise<{ result: R; received: Received[] }> {
    const receive = async (): Promise<{ result: R; received: Received[] }> => {
      const result = await this.#unit.step(step, afterwards);
      const received = result.received.map(receivedOf);
      await this.#deliver(received);
      return { result, received };
    };
    return this.#inOrder(() => (this.state.settings.deliver === undefined ? receive() : this.#unit.undoing(receive)));
  }

  committing<R>(work: (steps: CommitSteps) => Promise<R>): Promise<R> {
    if (this.#delivery) {
      return Promise.reject(
        new MlsError(
          "TRANSACTION_NESTED",
          "A commit cannot be sent from inside deliver. Note what is to be done, and do it after deliver has returned.",
        ),
      );
    }
    return this.#inOrder(() => work(this.#unit));
  }

  /** Awaits the calls made so far and stores everything. */
  async finish(): Promise<void> {
    this.refuseWhenEnded();
    this.#refuseDelivery();
    this.#ended = true;
    this.ending = Promise.race([this.#last, this.#unit.failed]).then(() => this.#unit.commit());
    await this.ending;
  }

  /** Stores nothing that is not stored yet; does nothing after the end. Never rejects. */
  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#refuseDelivery();
    this.#ended = true;
    this.ending = this.#unit.rollback();
    await this.ending;
  }

  /** Throws `TRANSACTION_ENDED`, or `SESSION_CLOSED` when that is why. */
  refuseWhenEnded(): void {
    this.#unit.refuseWhenOver();
    if (this.#ended) throw ended();
  }

  async #inOrder<R>(work: () => Promise<R>): Promise<R> {
    this.refuseWhenEnded();
    this.#refuseFromOwnDelivery();
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    // Whatever ends the transaction from outside also ends what waits in it.
    return Promise.race([result, this.#unit.failed]);
  }

  async #deliver(received: readonly Received[]): Promise<void> {
    const { deliver } = this.state.settings;
    if (deliver === undefined || received.length === 0) return;
    const scope = new TransactionScope(this.state, this.#unit, true);
    try {
      await inside(this.#unit, scope, async () => deliver(received, new Transaction(scope)));
      scope.#ended = true;
      await scope.#last;
    } catch (cause) {
      throw new MlsError(
        "DELIVER_FAILED",
        "The deliver callback threw. What was received is put back and will be delivered again.",
        { cause },
      );
    } finally {
      scope.#ended = true;
    }
  }

  #refuseDelivery(): void {
    if (!this.#delivery) return;
    throw new MlsError(
      "TRANSACTION_NESTED",
      "The transaction of a delivery ends by itself when deliver returns or throws.",
    );
  }

  /** The calls of a transaction wait for its `deliver`: one that comes from in there would wait for itself. */
  #refuseFromOwnDelivery(): void {
    for (const { holder, scope } of frames()) {
      if (holder !== this.#unit || !(scope instanceof TransactionScope)) continue;
      if (scope === this) return;
      if (scope.#delivery && !scope.#ended) {
        throw new MlsError("TRANSACTION_NESTED", "Inside deliver, use the tx that deliver was given.");
      }
    }
  }
}
