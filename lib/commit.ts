import { memberCommit } from "./commit-kind.js";
import { comeUpToDate, hasReadAhead } from "./catch-up.js";
import { MlsError } from "./errors.js";
import type { Name } from "./id.js";
import { Flight, type Lane } from "./lane.js";
import type { NativeStagedCommit } from "./native-binding.js";
import { type Change, changeOf, memberOf, noChange } from "./records.js";
import type { CommitSteps, Scope, Step } from "./scope.js";
import { Budget, untilKnown } from "./send.js";
import { resuming, settleEarlier } from "./settle.js";
import type { SessionState } from "./state.js";
import { transportOf } from "./transport.js";
import { aborted } from "./turn.js";

/** How a commit is to be sent. */
export interface CommitOptions {
  /** Aborted before anything was sent: `ABORTED`, and nothing happened. After it: `COMMIT_OUTCOME_UNKNOWN`. */
  signal?: AbortSignal;
  /** How often at most the transport is asked; the session's `attempts` if not given. */
  attempts?: number;
}

/** What came of a commit. */
export interface CommitResult {
  /** Already applied: others had done all of it, and nothing of this call was needed or accepted. */
  readonly outcome: "merged" | "already-applied";
  /** The epoch that the conversation was in when it was known. */
  readonly epoch: bigint;
  /** How often the transport was asked. */
  readonly attempts: number;
  /** What the commit did. */
  readonly change: Change;
}

/** What is to be committed. */
export interface Plan {
  readonly conversation: Name;
  /** Builds and stages it; null when nothing is left to do. */
  readonly stage: Step<NativeStagedCommit | null>;
  /** Whether it makes the conversation. */
  readonly founding: boolean;
}

/**
 * The life of a commit: it is staged, durably; sent until its outcome is known; then merged, or built again, or cleared. One at
 * a time per conversation, in the order of the calls.
 */
export async function commit(scope: Scope, plan: Plan, options: CommitOptions): Promise<CommitResult> {
  const { state } = scope;
  const { conversation } = plan;
  return inLane(scope, conversation, options, async (steps, lane, budget) => {
    while (!plan.founding) {
      const earlier = await steps.step(resuming(lane, conversation));
      if (earlier === null) break;
      await steps.inTheOpen(() => settleEarlier(state, lane, conversation, earlier, budget));
    }
    if (!plan.founding && (await steps.step(hasReadAhead(state, lane, conversation))))
      await steps.inTheOpen(() => comeUpToDate(state, lane, conversation, budget.signal));
    if (budget.signal?.aborted === true) throw aborted();
    const flight = await steps.step(departing(lane, plan));
    if (flight !== null) return steps.inTheOpen(() => fly(state, lane, conversation, flight, budget));
    return alreadyApplied(await steps.step((native) => native.epoch(conversation.bytes)), budget);
  });
}

/** Does what sends a commit when it is its turn in the conversation. Nothing happens when the signal is aborted before. */
export async function inLane<R>(
  scope: Scope,
  conversation: Name,
  { signal, attempts }: CommitOptions,
  work: (steps: CommitSteps, lane: Lane, budget: Budget) => Promise<R>,
): Promise<R> {
  const { state } = scope;
  transportOf(state);
  if (signal?.aborted === true) throw aborted();
  const budget = new Budget(attempts ?? state.settings.attempts, signal);
  const lane = state.lanes.of(conversation.id);
  return scope.committing(async (steps) => {
    // A transaction that kept the turn while it waits for an earlier commit would keep that very commit from being merged.
    const leave = lane.turn.free ? await lane.turn.alone() : await steps.inTheOpen(() => lane.turn.alone(signal));
    try {
      return await work(steps, lane, budget);
    } finally {
      lane.flight = undefined;
      leave();
    }
  });
}

/**
 * Sends until it is known what became of it. What was lost to another commit is built again from
 * what the caller asked for, but not before this client is where the server is: to be behind is no
 * attempt.
 */
async function fly(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  first: Flight,
  budget: Budget,
): Promise<CommitResult> {
  for (let flight: Flight | null = first; flight !== null;) {
    const { staged }: Flight = flight;
    if ((await untilKnown(state, lane, conversation, flight, budget)) === "merged") {
      return { outcome: "merged", epoch: staged.epoch + 1n, attempts: budget.used, change: changeOf(staged.change) };
    }
    if (!flight.removed) await comeUpToDate(state, lane, conversation, budget.signal);
    // What keeps this client from committing, as far as the server's log shows it, is known here.
    if (flight.removed) throw inactive(staged);
    const again: Step<NativeStagedCommit | null> = (native) => native.restageCommit(conversation.bytes, staged.intent);
    flight = await state.direct.step(departing(lane, { conversation, stage: again, founding: false }));
  }
  return alreadyApplied(await state.direct.step((native) => native.epoch(conversation.bytes)), budget);
}

/**
 * Stages, and makes the commit known to whoever may learn what becomes of it. All of it in one step: the next step of the engine
 * may be the one that merges a competing commit.
 */
function departing(lane: Lane, { conversation, stage, founding }: Plan): Step<Flight | null> {
  return async (native) => {
    const staged = await stage(native);
    if (staged === null) return null;
    const change = founding ? everybody(staged, (await native.members(conversation.bytes)).map(memberOf)) : undefined;
    lane.flight = new Flight(staged, memberCommit, true, change);
    return lane.flight;
  };
}

/** Invited anew meanwhile or not: whom the caller meant was in the conversation that this client was removed from. */
function inactive({ conversationId, epoch }: NativeStagedCommit): MlsError {
  const message = "This client was removed from the conversation before its commit was accepted. Nothing is left open.";
  return new MlsError("CONVERSATION_INACTIVE", message, { context: { conversationId, epoch: String(epoch) } });
}

function everybody({ change }: NativeStagedCommit, present: Change["added"]): Change {
  return { ...noChange(), added: [...present, ...changeOf(change).added] };
}

function alreadyApplied(epoch: bigint, budget: Budget): CommitResult {
  return { outcome: "already-applied", epoch, attempts: budget.used, change: noChange() };
}
