import type { Bytes } from "./bytes.js";
import { type CommitOptions, inLane } from "./commit.js";
import { externalCommit } from "./commit-kind.js";
import { MlsError } from "./errors.js";
import type { Name } from "./id.js";
import { inspectMessage } from "./inspect-message.js";
import { Flight, type Lane } from "./lane.js";
import { forgetReading } from "./receive.js";
import type { Scope } from "./scope.js";
import { type Budget, untilKnown } from "./send.js";
import { resuming, resumingJoin, settleEarlier } from "./settle.js";
import type { SessionState } from "./state.js";
import { fetchGroupInfo } from "./transport.js";
import { aborted } from "./turn.js";

/** By which credential to join, and whether an epoch older than the newest that is known will do. */
interface How {
  readonly credentialRef: string;
  readonly allowRollback: boolean;
}

/**
 * The life of an external commit: it is built from a fresh GroupInfo and put aside, durably; sent until its outcome is known;
 * then it becomes the conversation, or is dropped, and built anew where others were faster. One that an earlier call left open
 * is settled first; when it turns out to be accepted, this call has nothing left to do.
 */
export async function joinByExternalCommit(
  scope: Scope,
  conversation: Name,
  how: How,
  options: CommitOptions,
): Promise<void> {
  const { state } = scope;
  await inLane(scope, conversation, options, async (steps, lane, budget) => {
    const earlier = await steps.step(resumingJoin(lane, conversation));
    await steps.inTheOpen(async () => {
      const outcome = earlier === null ? "lost" : await settleEarlier(state, lane, conversation, earlier, budget);
      if (outcome === "lost") await join(state, lane, conversation, how, budget);
    });
    forgetReading(state, conversation.id);
  });
}

async function join(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  { credentialRef, allowRollback }: How,
  budget: Budget,
): Promise<void> {
  await settleMembersCommit(state, lane, conversation, budget);
  for (let outcome = "lost"; outcome === "lost";) {
    const groupInfo = await newestGroupInfo(state, conversation, budget.signal);
    const flight = await state.direct.step(async (native) => {
      const staged = await native.stageExternalJoin(conversation.bytes, credentialRef, groupInfo, allowRollback);
      lane.flight = new Flight(staged, externalCommit, true);
      return lane.flight;
    });
    outcome = await untilKnown(state, lane, conversation, flight, budget);
    if (flight.joined) return;
  }
}

/**
 * What this client has committed as a member may still be open. The server must not get another commit of the same client for
 * that epoch, so it is settled first. Where the server is in another epoch, one more send is made, to be able to say what became
 * of it; it does not keep the join from healing what may be beyond help.
 */
async function settleMembersCommit(state: SessionState, lane: Lane, conversation: Name, budget: Budget): Promise<void> {
  const open = await openCommit(state, lane, conversation);
  if (open === null) return;
  const epoch = epochOf(await newestGroupInfo(state, conversation, budget.signal));
  const elsewhere = epoch !== undefined && epoch !== open.staged.epoch;
  try {
    await settleEarlier(state, lane, conversation, open, elsewhere ? budget.anew(1) : budget);
  } catch (error) {
    // Contradicted by the server the commit is settled; where the conversation is stalled or damaged it is in vain. The join heals all
    // of it.
    if (MlsError.is(error, "STATE_DIVERGED", "CONVERSATION_STALLED", "CONVERSATION_CORRUPT")) return;
    if (!elsewhere || !MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED", "INTERNAL_ERROR")) throw error;
  } finally {
    lane.flight = undefined;
  }
}

async function openCommit(state: SessionState, lane: Lane, conversation: Name): Promise<Flight | null> {
  try {
    return await state.direct.step(resuming(lane, conversation));
  } catch (error) {
    // What was committed in a conversation that is damaged cannot be read any more.
    if (MlsError.is(error, "CONVERSATION_NOT_FOUND", "CONVERSATION_CORRUPT")) return null;
    throw error;
  }
}

/** Undefined for what is no GroupInfo, which whoever joins from it finds out. */
function epochOf(groupInfo: Bytes): bigint | undefined {
  try {
    return inspectMessage(groupInfo).epoch;
  } catch (error) {
    if (MlsError.is(error, "MESSAGE_INVALID")) return undefined;
    throw error;
  }
}

async function newestGroupInfo(state: SessionState, { id }: Name, signal?: AbortSignal): Promise<Bytes> {
  let groupInfo: Bytes | undefined;
  try {
    groupInfo = await fetchGroupInfo(state, id, signal);
  } catch (cause) {
    state.refuseWhenClosed();
    if (signal?.aborted === true) throw aborted();
    const message = "The GroupInfo could not be fetched; nothing was sent. Call again when the server can be reached.";
    throw new MlsError("GROUP_INFO_UNAVAILABLE", message, { cause, context: { conversationId: id } });
  }
  if (groupInfo !== undefined) return groupInfo;
  throw new MlsError(
    "TRANSPORT_MISSING",
    "An external join needs the conversation's GroupInfo. Give the transport the method fetchGroupInfo.",
  );
}
