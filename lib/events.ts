import type { CipherSuite } from "./cipher-suite.js";
import type { Stalled } from "./conversation-state.js";
import { MlsError } from "./errors.js";
import type { Id } from "./id.js";
import { outside } from "./nesting.js";
import type { Change, UnsettledCommit } from "./records.js";

/** What a session tells its listeners; plain data that survives `structuredClone`. */
export interface SessionEvents {
  /** A conversation is in another epoch now, or is there now at all. */
  conversationChanged: ConversationChanged;
  /** A commit of this session stays open, and the call that made it has rejected. */
  commitUnsettled: UnsettledCommit;
  /** It is known now what became of a commit that was open. */
  commitSettled: CommitSettled;
  /** A commit of a member was not applied, although others may have applied it: this client may be behind from now on. */
  conversationStalled: ConversationStalled;
  /**
   * Few key packages are left of a cipher suite: after a join; when enough have expired, at the next call; and for each new
   * listener how things are when it is added. It counts what is in the keystore: whether a package was ever published, and whom the
   * server has handed it out to, only the server knows.
   */
  keyPackagesLow: KeyPackagesLow;
}

/** See {@link SessionEvents}. */
export interface ConversationChanged {
  /** The conversation that changed. */
  readonly conversationId: Id;
  /** The epoch that it is in now. */
  readonly epoch: bigint;
  /** What changed; when it was created or joined, `added` is everybody. */
  readonly change: Change;
  /** False: this client was removed. */
  readonly active: boolean;
  /**
   * Who caused it: this client created it, joined it, or committed in it, or somebody else committed. A creation whose outcome
   * was unknown at first is "own" when it settles.
   */
  readonly cause: "created" | "joined" | "own" | "received";
}

/** See {@link SessionEvents}. */
export interface CommitSettled {
  /** The conversation that waited for it. */
  readonly conversationId: Id;
  /** The SHA-256 of its bytes, lowercase hex. */
  readonly commitId: Id;
  /** Lost: another commit took its epoch, or the server refused it for good. It is not built again by itself. */
  readonly outcome: "merged" | "lost";
  /** What it does, or would have done. */
  readonly intent: Change;
}

/** See {@link SessionEvents}. The same stands in `MlsConversation.state` until it ends. */
export interface ConversationStalled extends Stalled {
  /** The conversation that is stalled. */
  readonly conversationId: Id;
}

/** See {@link SessionEvents}. */
export interface KeyPackagesLow {
  /** The suite that few are left of. */
  readonly cipherSuite: CipherSuite;
  /** How many are left that are neither expired nor last resort. */
  readonly count: number;
}

const names: Record<keyof SessionEvents, true> = {
  conversationChanged: true,
  commitUnsettled: true,
  commitSettled: true,
  conversationStalled: true,
  keyPackagesLow: true,
};

type Listener<E extends keyof SessionEvents> = (data: SessionEvents[E]) => void;
interface Entry<E extends keyof SessionEvents> {
  readonly call: Listener<E>;
}
type Listeners = { [E in keyof SessionEvents]: Set<Entry<E>> };

/** A listener that was added. */
export interface Subscription<E extends keyof SessionEvents> {
  /** Ends it. */
  readonly stop: () => void;
  /** Calls this listener alone, unless it has ended. */
  readonly tell: (data: SessionEvents[E]) => void;
}

/** The listeners of one session. */
export class Events {
  readonly #listeners: Listeners = {
    conversationChanged: new Set(),
    commitUnsettled: new Set(),
    commitSettled: new Set(),
    conversationStalled: new Set(),
    keyPackagesLow: new Set(),
  };

  /** Adds a listener, also one that is there already. */
  on<E extends keyof SessionEvents>(event: E, listener: Listener<E>): Subscription<E> {
    if (typeof event !== "string" || !Object.hasOwn(names, event)) {
      throw new MlsError("INVALID_ARGUMENT", `event must be one of ${Object.keys(names).join(", ")}.`);
    }
    if (typeof listener !== "function") throw new MlsError("INVALID_ARGUMENT", "listener must be a function.");
    const entry: Entry<E> = { call: listener };
    const entries: Set<Entry<E>> = this.#listeners[event];
    entries.add(entry);
    return {
      stop: () => void entries.delete(entry),
      tell: (data) => {
        if (entries.has(entry)) tell(event, entry, data);
      },
    };
  }

  /** Whether anybody listens. */
  isHeard(event: keyof SessionEvents): boolean {
    return this.#listeners[event].size > 0;
  }

  /**
   * Calls the listeners in the order in which they were added, one after the other. It comes after the change is durable, so
   * what a listener throws can undo nothing: it becomes a process warning.
   */
  emit<E extends keyof SessionEvents>(event: E, data: SessionEvents[E]): void {
    for (const entry of [...this.#listeners[event]]) tell(event, entry, data);
  }
}

function tell<E extends keyof SessionEvents>(event: E, { call }: Entry<E>, data: SessionEvents[E]): void {
  try {
    const answer = outside((): unknown => call(data));
    if (answer instanceof Promise) answer.catch((error: unknown) => warn(event, error));
  } catch (error) {
    warn(event, error);
  }
}

function warn(event: string, error: unknown): void {
  process.emitWarning(`A listener of "${event}" threw. The event is not repeated.`, {
    type: "ConclaveListenerWarning",
    detail: error instanceof Error ? (error.stack ?? error.message) : "It threw something that is no Error.",
  });
}
