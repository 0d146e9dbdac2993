import { createHash } from "node:crypto";
import type { Bytes } from "./bytes.js";
import { deferred } from "./deferred.js";
import { MlsError } from "./errors.js";
import type { Name } from "./id.js";
import { inspectMessage } from "./inspect-message.js";
import type { Flight, Lane } from "./lane.js";
import { applied, receive } from "./receive.js";
import type { SessionState } from "./state.js";
import { fetchGroupInfo, fetchMessages } from "./transport.js";

/** How many epochs that are over can still be read; the core keeps as many. */
const PAST_EPOCHS = 5n;

/** What asking the server came to. A failure teaches nothing about the commit, and the next attempt will. */
export interface Learnt {
  /** Whether the server has accepted the commit; what else is learnt, those who receive it say. */
  readonly accepted?: boolean;
  /** Whether the commit has gone from here: its conversation was wiped while it was on its way. */
  readonly wiped?: boolean;
  /** Why nothing could be learnt. */
  readonly cause?: unknown;
}

/** Reads what the server has of this conversation, if the transport can ask for it. */
export async function catchUp(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  signal?: AbortSignal,
): Promise<Learnt> {
  const from = await state.direct.step((native) => native.oldestReadableEpoch(conversation.bytes));
  let messages: Bytes[] | undefined;
  try {
    messages = await fetchMessages(state, conversation.id, from, signal);
  } catch (cause) {
    state.refuseWhenClosed();
    return { cause };
  }
  if (messages === undefined) return {};
  if (state.settings.deliver !== undefined) await receive(state.direct, messages, { fromLog: true });
  else await readHandshakes(state, lane, conversation, messages);
  return {};
}

/**
 * Without `deliver` nobody would get application messages that are read here, so handshakes alone are, and no further than
 * that the application can still read those messages itself.
 */
async function readHandshakes(state: SessionState, lane: Lane, { id, bytes }: Name, messages: Bytes[]): Promise<void> {
  lane.readUpTo ??= await state.direct.step((native) => native.epoch(bytes));
  const end = lane.readUpTo + PAST_EPOCHS;
  const handshakes = messages.filter((message) => isHandshake(message, id, end));
  if (handshakes.length === 0) return;
  await state.direct.step(
    (native) => native.receive(handshakes, { handshakesOnly: true, fromLog: true }),
    (receipt) => applied(state, receipt, { byApplication: false }),
  );
}

function isHandshake(message: Bytes, conversation: string, end: bigint): boolean {
  try {
    const { kind, conversationId, epoch } = inspectMessage(message);
    return (
      (kind === "commit" || kind === "proposal") &&
      conversationId === conversation &&
      epoch !== undefined &&
      epoch < end
    );
  } catch (error) {
    if (MlsError.is(error, "MESSAGE_INVALID")) return false;
    throw error;
  }
}

/**
 * Finds out from outside what became of an external commit: it is in the log, or a newer GroupInfo shows whether its leaf is in
 * the tree. When the conversation went on without it, it is dropped.
 */
export async function lookForJoin(
  state: SessionState,
  conversation: Name,
  flight: Flight,
  signal?: AbortSignal,
): Promise<Learnt> {
  const { commitId, epoch } = flight.staged;
  let cause: unknown;
  try {
    // A server may well show its log to members only.
    const log = (await fetchMessages(state, conversation.id, epoch, signal)) ?? [];
    if (log.some((message) => createHash("sha256").update(message).digest("hex") === commitId))
      return { accepted: true };
  } catch (error) {
    state.refuseWhenClosed();
    cause = error;
  }
  try {
    const groupInfo = await fetchGroupInfo(state, conversation.id, signal);
    if (groupInfo === undefined) return { cause };
    const fate = await state.direct.step((native) => native.judgeJoin(conversation.bytes, commitId, groupInfo));
    if (fate === "accepted") return { accepted: true };
    if (fate === "lost") {
      const dropped = await state.direct.step(
        (native) => native.dropJoin(conversation.bytes, commitId),
        (present) => {
          if (present) flight.settle("lost");
        },
      );
      return { wiped: !dropped && flight.outcome() === undefined };
    }
    return {};
  } catch (error) {
    state.refuseWhenClosed();
    return { cause: error };
  }
}

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 15_000;

/**
 * Waits until the next attempt is due, or until what the application receives decides the commit, or the caller or the end of
 * the session stops it. The pause doubles with each send of the same bytes, and is spread so that many clients do not meet again.
 */
export async function backOff(
  state: SessionState,
  flight: Flight,
  afterMs: number | undefined,
  signal?: AbortSignal,
): Promise<void> {
  if (signal?.aborted === true) return;
  const { clock } = state.settings;
  const doubled = Math.min(FIRST_PAUSE * 2 ** (flight.sends - 1), LONGEST_PAUSE);
  const pause = afterMs === undefined ? doubled * (0.5 + clock.random() / 2) : afterMs * (1 + clock.random() / 4);
  const woken = deferred<"woken">();
  const wake = (): void => woken.resolve("woken");
  const stopTimer = clock.after(pause, wake);
  const stopListening = state.onClose(wake);
  signal?.addEventListener("abort", wake);
  try {
    await Promise.race([woken.promise, flight.settled]);
  } finally {
    stopTimer();
    stopListening();
    signal?.removeEventListener("abort", wake);
  }
}
