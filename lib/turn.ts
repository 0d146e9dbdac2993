import { deferred } from "./deferred.js";
import { MlsError } from "./errors.js";
import { onAbort } from "./on-abort.js";

/** Gives back what was taken; calling it again does nothing. */
export type Release = () => void;

/**
 * Who may go now. Steps that share the turn run beside each other; whoever takes it alone has nobody beside him. Everybody
 * goes in the order of the calls, so that neither kind starves the other.
 *
 * A step starts inside the call that lets it go, never a moment later: the order of the calls is the order in which the
 * engine sees the steps.
 */
export class Turn {
  readonly #waiting: Waiting[] = [];
  #sharing = 0;
  #taken = false;
  #closed: (() => MlsError) | undefined;

  /** Whether it could be taken alone at once. */
  get free(): boolean {
    return !this.#taken && this.#sharing === 0 && this.#waiting.length === 0;
  }

  /** Runs the step together with others that share; rejects with the reason when the turn is closed before it starts. */
  async shared<R>(step: () => Promise<R>): Promise<R> {
    this.#refuseWhenClosed();
    if (!this.#taken && this.#waiting.length === 0) return this.#run(step);
    const result = deferred<R>();
    const start = (): void => void this.#run(step).then(result.resolve, result.reject);
    this.#waiting.push({ alone: false, start, refuse: result.reject });
    return result.promise;
  }

  /**
   * Takes the turn alone, once everybody before has ended. Rejects with `ABORTED` when the signal is aborted while waiting,
   * and with the reason when the turn is closed before.
   */
  async alone(signal?: AbortSignal): Promise<Release> {
    this.#refuseWhenClosed();
    if (signal?.aborted === true) throw aborted();
    if (this.free) return this.#take();
    const granted = deferred<Release>();
    const waiting: Waiting = { alone: true, start: () => granted.resolve(this.#take()), refuse: granted.reject };
    this.#waiting.push(waiting);
    const stopWaiting = onAbort(signal, () => this.#leave(waiting));
    try {
      return await granted.promise;
    } finally {
      stopWaiting();
    }
  }

  /** Rejects everybody who waits and everybody who comes, each with an error of his own. Whoever has the turn keeps it. */
  close(reason: () => MlsError): void {
    this.#closed ??= reason;
    for (const { refuse } of this.#waiting.splice(0)) refuse(reason());
  }

  async #run<R>(step: () => Promise<R>): Promise<R> {
    this.#sharing += 1;
    try {
      return await step();
    } finally {
      this.#sharing -= 1;
      this.#advance();
    }
  }

  #take(): Release {
    this.#taken = true;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken = false;
      this.#advance();
    };
  }

  #advance(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#taken || (next.alone && this.#sharing > 0)) return;
      this.#waiting.shift();
      next.start();
    }
  }

  #leave(waiting: Waiting): void {
    const place = this.#waiting.indexOf(waiting);
    if (place === -1) return; // Granted at the same moment: whoever takes it looks at the signal again before acting.
    this.#waiting.splice(place, 1);
    waiting.refuse(aborted());
    this.#advance();
  }

  #refuseWhenClosed(): void {
    if (this.#closed !== undefined) throw this.#closed();
  }
}

interface Waiting {
  readonly alone: boolean;
  readonly start: () => void;
  readonly refuse: (reason: MlsError) => void;
}

/** What a call rejects with whose signal was aborted while nothing of it had left this machine. */
export function aborted(): MlsError {
  return new MlsError("ABORTED", "The signal was aborted before anything was sent. Nothing was changed.");
}
