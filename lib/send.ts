import { MlsError, type MlsErrorCode, type MlsErrorContext } from "./errors.js";
import type { Name } from "./id.js";
import type { Flight, Lane, Outcome } from "./lane.js";
import type { NativeDatabase, NativeMerged, NativeUnsettledCommit } from "./native-binding.js";
import { applied } from "./receive.js";
import { intentOf, unsettledCommitOf } from "./records.js";
import type { SessionState } from "./state.js";
import { type MlsTransportResponse, sendCommit } from "./transport.js";
import { aborted } from "./turn.js";
import { wait } from "./wait.js";

/**
 * How long one call waits in all because the server says so, in milliseconds: the next commits of
 * the conversation wait with it.
 */
const LONGEST_WAIT = 60 * 60 * 1000;

/**
 * How often one call may still ask the transport, how long it may wait, and the caller's way to
 * stop it.
 */
export class Budget {
  readonly attempts: number;
  readonly signal: AbortSignal | undefined;
  /** How often it has asked. */
  used = 0;
  readonly #left: { wait: number };

  constructor(attempts: number, signal: AbortSignal | undefined, left = { wait: LONGEST_WAIT }) {
    this.attempts = attempts;
    this.signal = signal;
    this.#left = left;
  }

  /**
   * As many attempts again, for another commit of the same call; the time to wait is that of the
   * call.
   */
  anew(attempts = this.attempts): Budget {
    return new Budget(attempts, this.signal, this.#left);
  }

  /** Takes a wait of so many milliseconds; false when it would be too much. */
  takeWait(ms: number): boolean {
    if (ms > this.#left.wait) return false;
    this.#left.wait -= ms;
    return true;
  }
}

/**
 * Sends the same bytes until it is known what became of them: by the transport's answer, or by what was received meanwhile,
 * whichever is first. Rejects when it ends otherwise: refused, unknown, exhausted, aborted or closed.
 */
export async function untilKnown(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  flight: Flight,
  budget: Budget,
): Promise<Outcome> {
  const sending = new Sending(state, lane, conversation, flight, budget);
  for (;;) {
    const end = await sending.round();
    if (end instanceof MlsError) throw end;
    if (end !== undefined) return end;
  }
}

/** What ends the sending: the outcome, or the error that the caller gets. Undefined: one more round. */
type End = Outcome | MlsError | undefined;

/** What came of one send. */
type Answer =
  | MlsTransportResponse
  /** What became of it, or that the caller wants no more, was known before an answer. */
  | { status: "overtaken" }
  /** It threw, took too long or answered something else. */
  | { status: "unknown"; cause: unknown };

class Sending {
  readonly #state: SessionState;
  readonly #lane: Lane;
  readonly #conversation: Name;
  readonly #flight: Flight;
  readonly #budget: Budget;
  /** Why the last round did not help, for the error in the end. */
  #cause: unknown;

  constructor(state: SessionState, lane: Lane, conversation: Name, flight: Flight, budget: Budget) {
    this.#state = state;
    this.#lane = lane;
    this.#conversation = conversation;
    this.#flight = flight;
    this.#budget = budget;
  }

  /** One send with all that follows from its answer. */
  async round(): Promise<End> {
    const { signal, used, attempts } = this.#budget;
    if (this.#flight.outcome() !== undefined) return this.#flight.outcome();
    try {
      this.#state.refuseWhenClosed();
      if (signal?.aborted === true) return await this.#stop("unknown", signal.reason);
      if (used >= attempts) return await this.#stop("exhausted", this.#cause);
      const answer = await this.#send();
      switch (answer.status) {
        case "overtaken":
          return this.#flight.outcome();
        case "success":
          return await this.#merge();
        case "abort":
          return await this.#clear(answer.reason);
        case "retry":
          return await this.#retry(answer.afterMs);
        case "unknown":
          this.#state.refuseWhenClosed();
          return this.#flight.outcome() ?? (await this.#leaveOpen("unknown", answer.cause));
      }
    } catch (error) {
      // A step of our own failed, which says nothing about the commit. What is known by now counts; else it stays open.
      if (!MlsError.is(error) || MlsError.is(error, "SESSION_CLOSED")) throw error;
      if (this.#flight.outcome() !== undefined) return this.#flight.outcome();
      const end = await this.#leaveOpen("failed", error);
      if (!MlsError.is(end, OPEN.failed.code)) return end;
      this.#flight.failure = error;
      return this.#flight.sends === 0 ? error : end;
    }
  }

  async #send(): Promise<Answer> {
    const { staged, fresh, sends, merged } = this.#flight;
    // Counted before it is sent, also across restarts. Staging has counted the first one.
    const attempt = fresh && sends === 0 ? staged.attempt : await this.#countAttempt();
    if (this.#flight.outcome() !== undefined || this.#budget.signal?.aborted === true) return { status: "overtaken" };
    this.#flight.sends += 1;
    this.#budget.used += 1;
    // Not aborted when our own commit comes back before the answer: the transport may still be handing out its Welcome.
    const overtaken = merged.then((): Answer => ({ status: "overtaken" }));
    try {
      return await Promise.race([sendCommit(this.#state, staged, attempt, this.#budget.signal), overtaken]);
    } catch (cause) {
      return { status: "unknown", cause };
    }
  }

  async #countAttempt(): Promise<number> {
    try {
      return await this.#step((native, id) => native.countAttempt(id, this.#flight.staged.commitId));
    } catch (error) {
      // Not there any more, and nobody knows what became of it: wiped, and the conversation joined again since.
      const gone = MlsError.is(error, "STATE_DIVERGED") && this.#flight.outcome() === undefined;
      throw gone ? this.#wiped() : error;
    }
  }

  async #merge(): Promise<End> {
    const { staged, kind } = this.#flight;
    // What it releases reaches the application by `deliver` only; without one, messages wait for the next `receive`.
    const handshakesOnly = this.#state.settings.deliver === undefined;
    try {
      const { result } = await this.#state.direct.receiving(
        (native) => kind.merge(native, this.#conversation.bytes, staged.commitId, handshakesOnly),
        (merged) => this.#tellMerged(merged),
      );
      // Its own echo may have been first, and a later commit have removed this client again.
      if (result.outcome !== "lost" || this.#flight.outcome() === "merged") return "merged";
      if (this.#flight.outcome() === undefined) return this.#wiped(); // A competing commit would have said so.
    } catch (error) {
      // A commit that removed this client has taken along what the core knew of this one.
      if (this.#flight.outcome() === "merged") return "merged";
      if (this.#flight.outcome() !== "lost") throw error;
    }
    if (this.#flight.joined) return "lost";
    return this.#error(
      "STATE_DIVERGED",
      "The delivery service accepted this commit after it had handed out another one of the same epoch: members may have parted. Create the conversation anew.",
    );
  }

  #tellMerged({ outcome, received, settled, stalled }: NativeMerged): void {
    if (outcome !== "merged") return; // Told by whoever merged it, or not true at all.
    this.#flight.settle("merged");
    applied(this.#state, { received, settled, stalled }, { byApplication: false });
  }

  async #clear(reason: string): Promise<End> {
    await this.#step((native, id) => this.#flight.kind.clear(native, id, this.#flight.staged.commitId));
    if (this.#flight.outcome() === "merged") return "merged"; // Its own echo was first, and proves more than the answer.
    if (this.#flight.joined) return "lost";
    const message = `The delivery service refused the commit for good: ${printable(reason)}`;
    return this.#error("COMMIT_REJECTED", message, undefined, { reason });
  }

  async #retry(afterMs: number | undefined): Promise<End> {
    if (this.#flight.outcome() !== undefined) return this.#flight.outcome();
    const { accepted, wiped, behind, cause } = await this.#flight.kind.learn(
      this.#state,
      this.#lane,
      this.#conversation,
      this.#flight,
      this.#budget.signal,
    );
    if (wiped === true) return this.#wiped();
    if (accepted === true) return this.#flight.outcome() ?? (await this.#merge());
    this.#cause = cause;
    if (this.#flight.outcome() !== undefined || this.#budget.used >= this.#budget.attempts)
      return this.#flight.outcome();
    if (behind === true) return this.#leaveOpen("behind", cause);
    if (await this.#isStalled()) return this.#leaveOpen("stalled", cause);
    return this.#backOff(afterMs);
  }

  /**
   * Whether another commit of this epoch was not applied here: the server has it, so that this one
   * is sent in vain. A commit that joins from outside is what ends that.
   */
  async #isStalled(): Promise<boolean> {
    if (this.#flight.kind.cause === "joined") return false;
    const { stalled } = await this.#step((native, id) => native.conversationState(id));
    return stalled?.why === "refused";
  }

  /**
   * Waits until the next attempt is due, or until what the application receives decides the commit.
   * The pause doubles with each send of the same bytes, and is spread so that many clients do not
   * meet again.
   */
  async #backOff(afterMs: number | undefined): Promise<End> {
    const { clock } = this.#state.settings;
    const doubled = Math.min(FIRST_PAUSE * 2 ** (this.#flight.sends - 1), LONGEST_PAUSE);
    if (!this.#budget.takeWait(afterMs ?? doubled)) return this.#leaveOpen("tooLong", this.#cause);
    const pause = afterMs === undefined ? doubled * (0.5 + clock.random() / 2) : afterMs * (1 + clock.random() / 4);
    await wait(this.#state, pause, this.#budget.signal, this.#flight.settled);
    return undefined;
  }

  /** No more sends: nothing is left of a commit that never left, and one that did stays open. */
  async #stop(why: "unknown" | "exhausted", cause: unknown): Promise<End> {
    const { sends, fresh, staged, kind } = this.#flight;
    if (sends > 0) return this.#leaveOpen(why, cause);
    if (fresh) await this.#step((native, id) => kind.clear(native, id, staged.commitId));
    if (why === "unknown") return aborted();
    const message = "Other commits were faster in every attempt. Nothing is left open; make the call again.";
    return this.#error("COMMIT_LOST", message, cause, { intent: intentOf(staged.change) });
  }

  /** Keeps the commit for `settle()` or what will be received, and tells the listeners; unless it is known at the last moment. */
  async #leaveOpen(how: keyof typeof OPEN, cause: unknown): Promise<End> {
    const { why, code, message } = OPEN[how];
    const open = await this.#markOpen(why);
    if (this.#flight.outcome() !== undefined) return this.#flight.outcome();
    if (open === null) return this.#wiped();
    this.#lane.flight = undefined; // From here on nobody waits: what becomes of it is told by commitSettled.
    if (open !== undefined && this.#flight.fresh) this.#state.events.emit("commitUnsettled", unsettledCommitOf(open));
    return this.#error(code, message, cause);
  }

  /** Null when it is not there any more; undefined when that cannot be asked. */
  async #markOpen(why: "unknown" | "exhausted"): Promise<NativeUnsettledCommit | null | undefined> {
    const { commitId } = this.#flight.staged;
    try {
      await this.#step((native, id) => native.markUnsettled(id, commitId, why));
      const open = await this.#state.direct.step((native) => native.unsettledCommits());
      return open.find((one) => one.commitId === commitId) ?? null;
    } catch {
      // Staged and durable it is in any case, and will be found after a restart; the caller gets the error that matters.
      this.#state.refuseWhenClosed();
      return undefined;
    }
  }

  #step<R>(step: (native: NativeDatabase, id: Uint8Array) => Promise<R>): Promise<R> {
    return this.#state.direct.step((native) => step(native, this.#conversation.bytes));
  }

  #wiped(): MlsError {
    return this.#error(
      "CONVERSATION_NOT_FOUND",
      "The conversation was wiped while this commit was on its way, and the commit with it.",
    );
  }

  #error(code: MlsErrorCode, message: string, cause?: unknown, more?: MlsErrorContext): MlsError {
    const { conversationId, epoch } = this.#flight.staged;
    const context = { conversationId, epoch: String(epoch), attempt: this.#budget.used, ...more };
    return new MlsError(code, message, { cause, context });
  }
}

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 15_000;

/** Why a commit stays open: as it is stored, and as the caller is told. */
const OPEN = {
  unknown: {
    why: "unknown",
    code: "COMMIT_OUTCOME_UNKNOWN",
    message:
      "The commit was sent and nobody knows whether it was accepted. Go on receiving, and call session.settle() when online.",
  },
  failed: {
    why: "unknown",
    code: "COMMIT_OUTCOME_UNKNOWN",
    message:
      "The commit was sent, and then something failed on this machine: see the cause. Mend that, and call session.settle().",
  },
  exhausted: {
    why: "exhausted",
    code: "RETRY_EXHAUSTED",
    message: "The delivery service answered retry to every attempt. Go on receiving, and call session.settle() later.",
  },
  tooLong: {
    why: "exhausted",
    code: "RETRY_EXHAUSTED",
    message:
      "The delivery service answers retry, and asks to wait longer than the hour that a call may wait. Go on receiving, and call session.settle() later.",
  },
  behind: {
    why: "exhausted",
    code: "RETRY_EXHAUSTED",
    message:
      "The delivery service answered retry, and has more than this client can read before the application's messages are received. Receive, and call session.settle() then.",
  },
  stalled: {
    why: "exhausted",
    code: "CONVERSATION_STALLED",
    message:
      "The delivery service answered retry, and a commit of this epoch was not applied here: the others may have gone on with it. See state().stalled.",
  },
} as const satisfies Record<string, Pick<NativeUnsettledCommit, "why"> & { code: MlsErrorCode; message: string }>;

/** The server's words, fit for one line of a log: they come from outside. */
function printable(text: string): string {
  const LONGEST = 200;
  const line = text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line;
}
