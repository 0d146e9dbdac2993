import { MlsError } from "./errors.js";
import type { NativeReceived } from "./native-binding.js";
import { frames } from "./nesting.js";
import { type Received, receivedOf } from "./received.js";
import type { Afterwards, CommitSteps, Scope, Step } from "./scope.js";
import type { SessionState } from "./state.js";
import { transact } from "./transaction.js";

/** Each step is stored by itself, before its promise resolves. Many can be under way, and share what a write to the disk costs. */
export class DirectScope implements Scope {
  readonly state: SessionState;
  readonly holdsTurn = false;

  constructor(state: SessionState) {
    this.state = state;
  }

  step<R>(step: Step<R>, afterwards?: Afterwards<R>): Promise<R> {
    return this.state.turn.shared(async () => {
      const result = await this.state.call(step);
      afterwards?.(result);
      return result;
    });
  }

  async receiving<R extends { received: NativeReceived[] }>(
    step: Step<R>,
    afterwards?: Afterwards<R>,
  ): Promise<{ result: R; received: Received[] }> {
    if (this.state.settings.deliver !== undefined) {
      return transact(this.state, (scope) => scope.receiving(step, afterwards));
    }
    const result = await this.step(step, afterwards);
    return { result, received: result.received.map(receivedOf) };
  }

  committing<R>(work: (steps: CommitSteps) => Promise<R>): Promise<R> {
    return work({ step: (step) => this.step(step), inTheOpen: (open) => open() });
  }
}

/** The same for calls of the application, which may come from inside a transaction that they would wait for. */
export class SessionScope extends DirectScope {
  override step<R>(step: Step<R>, afterwards?: Afterwards<R>): Promise<R> {
    return this.#unlessNested(() => super.step(step, afterwards));
  }

  override receiving<R extends { received: NativeReceived[] }>(
    step: Step<R>,
    afterwards?: Afterwards<R>,
  ): Promise<{ result: R; received: Received[] }> {
    return this.#unlessNested(() => super.receiving(step, afterwards));
  }

  // Only here, and not at each of its steps: a commit under way goes on when the transaction that it was begun beside goes on.
  override committing<R>(work: (steps: CommitSteps) => Promise<R>): Promise<R> {
    return this.#unlessNested(() => this.state.direct.committing(work));
  }

  async #unlessNested<R>(work: () => Promise<R>): Promise<R> {
    refuseNested(this.state);
    return work();
  }
}

/** Throws `TRANSACTION_NESTED` when the caller runs inside a callback whose transaction has the turn of this session now. */
export function refuseNested(state: SessionState): void {
  for (const { holder } of frames()) {
    if (holder.state !== state || !holder.holding) continue;
    throw new MlsError(
      "TRANSACTION_NESTED",
      "The session was used inside its own transaction. Use the tx that the callback was given.",
    );
  }
}
