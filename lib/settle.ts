import { externalCommit, memberCommit } from "./commit-kind.js";
import { MlsError } from "./errors.js";
import { type Name, nameOf } from "./id.js";
import { Flight, type Lane, type Outcome } from "./lane.js";
import { changeOf, type UnsettledCommit, unsettledCommitOf } from "./records.js";
import type { Step } from "./scope.js";
import { Budget, untilKnown } from "./send.js";
import type { SessionState } from "./state.js";
import { transportOf } from "./transport.js";

/** The commits that are open and that no caller waits for. */
export async function unsettledCommits(state: SessionState): Promise<UnsettledCommit[]> {
  const open = await state.direct.step((native) => native.unsettledCommits());
  return open.filter(({ commitId }) => !state.lanes.isLive(commitId)).map(unsettledCommitOf);
}

/**
 * Sends what is open once more, all conversations beside each other, and returns what stays open. A commit that stays open, or
 * that the server refuses, is no failure of the call; everything else is.
 */
export async function settle(state: SessionState, signal?: AbortSignal): Promise<UnsettledCommit[]> {
  const open = await unsettledCommits(state);
  if (open.length === 0) return [];
  transportOf(state);
  const endings = await Promise.allSettled(
    open.map(({ conversationId }) => settleConversation(state, conversationId, signal)),
  );
  for (const ending of endings) {
    if (ending.status === "rejected" && !isSettledOrOpen(ending.reason)) throw ending.reason;
  }
  return unsettledCommits(state);
}

/**
 * Settles what an earlier call of the same conversation left open, before the next one is staged. Returns what became of it;
 * what the server refuses is lost.
 */
export async function settleEarlier(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  flight: Flight,
  budget: Budget,
): Promise<Outcome> {
  try {
    return await settleFlight(state, lane, conversation, flight, budget.anew());
  } catch (error) {
    if (MlsError.is(error, "COMMIT_REJECTED")) return "lost";
    if (!MlsError.is(error, ...STAYS_OPEN)) throw error;
    const message = `An earlier commit of this conversation is still open; nothing of this call was staged. ${error.message}`;
    throw new MlsError(error.code, message, { cause: error, context: { ...error.context, earlier: true } });
  }
}

/** Takes up the commit that is open, if there is one, so that whoever learns what became of it can say so. */
export function resuming(lane: Lane, conversation: Name): Step<Flight | null> {
  return async (native) => {
    const join = await resumingJoin(lane, conversation)(native);
    if (join !== null) return join;
    const staged = await native.stagedCommit(conversation.bytes);
    if (staged === null) return null;
    lane.flight = new Flight(staged, memberCommit, false);
    return lane.flight;
  };
}

/** The same for an external commit only. */
export function resumingJoin(lane: Lane, { bytes }: Name): Step<Flight | null> {
  return async (native) => {
    const staged = await native.stagedJoin(bytes);
    if (staged === null) return null;
    lane.flight = new Flight(staged, externalCommit, false);
    return lane.flight;
  };
}

async function settleConversation(state: SessionState, conversationId: string, signal?: AbortSignal): Promise<void> {
  const conversation = nameOf(conversationId, "conversationId");
  const lane = state.lanes.of(conversationId);
  const leave = await lane.turn.alone(signal);
  try {
    const flight = await state.direct.step(resuming(lane, conversation));
    if (flight === null) return;
    await settleOpen(state, lane, conversation, flight, new Budget(state.settings.attempts, signal));
  } finally {
    lane.flight = undefined;
    leave();
  }
}

/**
 * Nobody but the caller of `settle()` waits for this commit: what failed here comes out as it is.
 */
async function settleOpen(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  flight: Flight,
  budget: Budget,
): Promise<void> {
  try {
    await settleFlight(state, lane, conversation, flight, budget);
  } catch (error) {
    throw flight.failure ?? error;
  }
}

async function settleFlight(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  flight: Flight,
  budget: Budget,
): Promise<Outcome> {
  const { conversationId, commitId, change } = flight.staged;
  const tell = (outcome: "merged" | "lost"): void => {
    lane.flight = undefined;
    state.events.emit("commitSettled", { conversationId, commitId, outcome, intent: changeOf(change) });
  };
  try {
    const outcome = await untilKnown(state, lane, conversation, flight, budget);
    tell(outcome);
    return outcome;
  } catch (error) {
    if (MlsError.is(error, "COMMIT_REJECTED", "STATE_DIVERGED")) tell("lost");
    throw error;
  }
}

/** What a call says that leaves its commit open. */
export const STAYS_OPEN = ["COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED", "CONVERSATION_STALLED"] as const;

/**
 * A conversation that is not there any more has gone with its commit, or was wiped; one that is damaged says so when it is used, and
 * keeps no other from being settled.
 */
function isSettledOrOpen(error: unknown): boolean {
  return MlsError.is(error, "COMMIT_REJECTED", "CONVERSATION_NOT_FOUND", "CONVERSATION_CORRUPT", ...STAYS_OPEN);
}
