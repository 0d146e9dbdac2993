import { type Clock, systemClock } from "./clock.js";
import type { Keystore } from "./database.js";
import { fromNative, MlsError } from "./errors.js";
import { Events } from "./events.js";
import { KeyPackageWatch } from "./key-packages-low.js";
import { namingConversations } from "./in-conversation.js";
import { inOrder } from "./in-order.js";
import { Lanes } from "./lane.js";
import type { NativeDatabase } from "./native-binding.js";
import type { Scope } from "./scope.js";
import type { Deliver } from "./transaction.js";
import type { MlsTransport } from "./transport.js";
import { Turn } from "./turn.js";

/** What a session was opened with, checked and with the defaults in place. */
export interface SessionSettings {
  readonly transport?: MlsTransport;
  readonly deliver?: Deliver;
  readonly sendTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  readonly attempts: number;
  readonly keyPackagesLowAt: number;
  readonly clock: Clock;
}

/** What all parts of one session share. */
export class SessionState {
  readonly settings: SessionSettings;
  readonly native: NativeDatabase;
  /** Who may use the engine now. */
  readonly turn = new Turn();
  /** Whose commit is on its way, per conversation. */
  readonly lanes = new Lanes();
  readonly events = new Events();
  /** How many key packages are left. */
  readonly keyPackages = new KeyPackageWatch(this);
  /** Steps that are stored each by itself: what a `Session` works with, and every commit on its way. */
  readonly direct: Scope;
  readonly #keystore: Keystore;
  readonly #closers = new Set<() => void>();
  #closing: Promise<void> | undefined;
  #closed = false;
  /** What time the engine was told that it is; undefined: it goes by the machine's clock. */
  #toldTime: number | undefined;

  constructor(keystore: Keystore, settings: SessionSettings, direct: (state: SessionState) => Scope) {
    this.#keystore = keystore;
    this.native = inOrder(namingConversations(settings.clock.through?.(keystore.native) ?? keystore.native));
    this.settings = settings;
    this.direct = direct(this);
  }

  /** Makes one native call and turns its failure into an {@link MlsError}. */
  async call<R>(step: (native: NativeDatabase) => Promise<R>): Promise<R> {
    this.refuseWhenClosed();
    this.#tellTime();
    this.keyPackages.callIsMade();
    try {
      return await step(this.native);
    } catch (error) {
      const failure = fromNative(error);
      throw this.#closed && failure.code === "DATABASE_CLOSED" ? sessionClosed(failure) : failure;
    }
  }

  /** The session did not come to be: the database goes back, and by the machine's clock. */
  giveBack(): void {
    if (this.#toldTime !== undefined) this.#keystore.native.setTime(null);
    this.#keystore.giveBack();
  }

  /**
   * Another clock than the machine's says something else than before: the engine learns of it before the call that is made next.
   * Not through the clock, since it is no work.
   */
  #tellTime(): void {
    const { clock } = this.settings;
    if (clock === systemClock) return;
    const now = clock.now();
    if (now === this.#toldTime) return;
    this.#toldTime = now;
    this.#keystore.native.setTime(now);
  }

  /** Calls back when the session closes, before the database does. Returns the way to stop that. */
  onClose(callback: () => void): () => void {
    this.#closers.add(callback);
    return () => void this.#closers.delete(callback);
  }

  /** Throws `SESSION_CLOSED` when it is. */
  refuseWhenClosed(): void {
    if (this.#closed) throw sessionClosed();
  }

  /** Ends local work, rejects what waits, and closes the database; idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed = true;
    this.turn.close(sessionClosed);
    this.lanes.close(sessionClosed);
    for (const callback of [...this.#closers]) callback();
    await this.#keystore.close();
  }
}

/** A fresh `SESSION_CLOSED`. */
export function sessionClosed(cause?: unknown): MlsError {
  return new MlsError("SESSION_CLOSED", "The session was closed. Open a new one; what was stored is there again.", {
    cause,
  });
}
