import { type Bytes, copyMessage } from "./bytes.js";
import { deferred } from "./deferred.js";
import { MlsError } from "./errors.js";
import type { Id } from "./id.js";
import type { NativeStagedCommit } from "./native-binding.js";
import { outside } from "./nesting.js";
import { onAbort } from "./on-abort.js";
import { parse, transportResponse } from "./options.js";
import { type Change, changeOf } from "./records.js";
import { type SessionState, sessionClosed } from "./state.js";

/** A commit and what goes with it; the server must accept all of it or nothing. */
export interface CommitBundle {
  /** For the members; MLSMessage-framed. */
  readonly commit: Bytes;
  /** For those who are added, once the commit is accepted; `welcomeTo` says who they are. */
  readonly welcome?: Bytes;
  /** The conversation as it is after the commit, for the server to keep. */
  readonly groupInfo: Bytes;
}

/** What belongs to a send; stored with the staged commit, and the same after a restart. */
export interface SendContext {
  /** The conversation that it changes. */
  readonly conversationId: Id;
  /** The epoch that the commit was made in: the server accepts one commit per epoch. */
  readonly epoch: bigint;
  /** The SHA-256 of `commit`, lowercase hex: the server answers the same one again with the same answer. */
  readonly commitId: Id;
  /** From 1, counting on after a restart. */
  readonly attempt: number;
  /** What it does to the members. */
  readonly change: Change;
  /** Where the Welcome goes. */
  readonly welcomeTo: readonly {
    /** Whom it adds. */
    readonly clientId: Id;
    /** The key package that it adds them with: RFC 9420 section 5.2, lowercase hex. */
    readonly keyPackageRef: Id;
  }[];
  /** Aborted at `sendTimeoutMs`, by the caller's signal, or when the session closes. */
  readonly signal: AbortSignal;
}

/**
 * What the server said. `success`: accepted, now or by an earlier attempt. `retry`: not known to be accepted; catch up and try
 * again, after `afterMs` milliseconds if it says so. `abort`: never accepted and never will be. When in doubt, throw.
 */
export type MlsTransportResponse =
  | {
      /** Accepted, now or by an earlier attempt. */
      status: "success";
      /** Of no meaning here. */
      afterMs?: number;
    }
  | {
      /** Not known to be accepted. */
      status: "retry";
      /**
       * How long to wait before the next attempt, in milliseconds; without it the back-off decides.
       * One call waits for an hour at most in all; where it would be more, it ends with
       * `RETRY_EXHAUSTED`, and the commit stays open.
       */
      afterMs?: number;
    }
  | {
      /** Never accepted, and never will be. */
      status: "abort";
      /** Why: it is in the message of `COMMIT_REJECTED`, cut to a line, and as it is in its `context.reason`. */
      reason: string;
    };

/**
 * The application's way to its server. Its methods are called outside every lock and transaction, and may use the session. What
 * they throw, and every answer of another form, leaves the outcome of the commit unknown.
 */
export interface MlsTransport {
  /** Sends one commit. The same commit may be sent many times: the server accepts it once and answers every time. */
  sendCommitBundle(bundle: CommitBundle, context: SendContext): Promise<MlsTransportResponse>;
  /**
   * What the server has of this conversation from this epoch on, in order. Asked after a `retry`,
   * with the oldest epoch that can still be read, and again for as long as that brings new epochs.
   * Without it a retry waits for the application's own `receive`.
   *
   * An async iterable (`async *fetchMessages() { … }`) is asked for no more than a chunk at a time,
   * of 32 messages or 1 MiB, and only when what came before is stored: so a long log never is in
   * memory as a whole. Each step of it may take `sendTimeoutMs`. Its `return` is called when it is
   * left early. An array must stay as it is until the commit's call has ended.
   */
  fetchMessages?(
    conversationId: Id,
    fromEpoch: bigint,
    signal: AbortSignal,
  ): Promise<readonly Uint8Array[] | AsyncIterable<Uint8Array>> | AsyncIterable<Uint8Array>;
  /**
   * The newest GroupInfo of a conversation, as it came with the commit that began the present epoch. Asked for whenever an
   * external commit is built, and to learn what became of one; only `joinByExternalCommit` needs it.
   */
  fetchGroupInfo?(conversationId: Id, signal: AbortSignal): Promise<Uint8Array>;
}

/** Sends this commit once more. Rejects with whatever left the outcome unknown. */
export function sendCommit(
  state: SessionState,
  staged: NativeStagedCommit,
  attempt: number,
  signal?: AbortSignal,
): Promise<MlsTransportResponse> {
  return ask(state, signal, async (abort) => {
    const answer: unknown = await transportOf(state).sendCommitBundle(
      bundleOf(staged),
      contextOf(staged, attempt, abort),
    );
    return parse(transportResponse, answer, "the answer of sendCommitBundle");
  });
}

/** Asks for the newest GroupInfo of this conversation; undefined when the transport cannot be asked. */
export function fetchGroupInfo(state: SessionState, id: Id, signal?: AbortSignal): Promise<Bytes> | undefined {
  const transport = transportOf(state);
  if (typeof transport.fetchGroupInfo !== "function") return undefined;
  return ask(state, signal, async (abort) =>
    copyMessage(await transport.fetchGroupInfo?.(id, abort), "the answer of fetchGroupInfo"),
  );
}

/** The session's transport; throws `TRANSPORT_MISSING`. */
export function transportOf({ settings }: SessionState): MlsTransport {
  if (settings.transport !== undefined) return settings.transport;
  throw new MlsError(
    "TRANSPORT_MISSING",
    "A commit has to be sent, and the session has no transport. Open it with the transport option.",
  );
}

async function ask<R>(
  state: SessionState,
  signal: AbortSignal | undefined,
  call: (abort: AbortSignal) => Promise<R>,
): Promise<R> {
  const question = new Question(state, signal);
  try {
    return await question.step(call);
  } finally {
    question.end();
  }
}

/**
 * Something that the transport is asked, in one step or in many: no step lasts longer than the time
 * limit, the caller's signal and the session do. It never hangs, whatever the transport does; what
 * is answered too late goes nowhere.
 */
export class Question {
  readonly #state: SessionState;
  readonly #controller = new AbortController();
  readonly #stopped = deferred<never>();
  readonly #stopListening: (() => void)[];

  constructor(state: SessionState, signal: AbortSignal | undefined) {
    this.#state = state;
    const stopAtCallersWish = (): void => this.#stop(signal?.reason);
    this.#stopListening = [state.onClose(() => this.#stop(sessionClosed())), onAbort(signal, stopAtCallersWish)];
    if (signal?.aborted === true) stopAtCallersWish();
  }

  /**
   * Makes one step, which gets the signal of all of them. Rejects when it was stopped, now or
   * before.
   */
  async step<R>(call: (abort: AbortSignal) => Promise<R>): Promise<R> {
    const { signal } = this.#controller;
    if (signal.aborted) throw signal.reason;
    const { clock, sendTimeoutMs } = this.#state.settings;
    const stopTimer = clock.after(sendTimeoutMs, () =>
      this.#stop(new DOMException(`No answer within ${sendTimeoutMs} ms.`, "TimeoutError")),
    );
    try {
      return await Promise.race([outside(() => call(signal)), this.#stopped.promise]);
    } finally {
      stopTimer();
    }
  }

  /** Nothing more is asked. */
  end(): void {
    for (const stop of this.#stopListening) stop();
  }

  #stop(reason: unknown): void {
    this.#stopped.reject(reason);
    this.#controller.abort(reason);
  }
}

/** Copies: what an application does to the bytes it was given must not change what is sent the next time. */
function bundleOf({ commit, welcome, groupInfo }: NativeStagedCommit): CommitBundle {
  return {
    commit: new Uint8Array(commit),
    ...(welcome !== undefined && { welcome: new Uint8Array(welcome) }),
    groupInfo: new Uint8Array(groupInfo),
  };
}

function contextOf(staged: NativeStagedCommit, attempt: number, signal: AbortSignal): SendContext {
  const { conversationId, epoch, commitId, change, welcomeTo } = staged;
  return {
    conversationId,
    epoch,
    commitId,
    attempt,
    change: changeOf(change),
    welcomeTo: welcomeTo.map((to) => ({ ...to })),
    signal,
  };
}
