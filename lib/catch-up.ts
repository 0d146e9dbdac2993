import type { Bytes } from "./bytes.js";
import { MlsError } from "./errors.js";
import type { Learnt } from "./commit-kind.js";
import { type Id, messageIdOf, type Name } from "./id.js";
import { inspectMessage, type MessageInspection } from "./inspect-message.js";
import type { Flight, Lane } from "./lane.js";
import { limits } from "./limits.js";
import { canReadLog, type Reading, readLog, type Take } from "./log.js";
import { applied, receive } from "./receive.js";
import type { Step } from "./scope.js";
import type { SessionState } from "./state.js";
import { untilQuiet, wait } from "./wait.js";

/**
 * How many epochs this client goes ahead of the application. Of the epochs that are over and whose
 * messages can still be read, the last one is left for the commit that this client makes then.
 */
const AHEAD = BigInt(limits.pastEpochs.max) - 1n;

/**
 * How long the application may receive nothing of a conversation that waits for it, in
 * milliseconds.
 */
const PATIENCE = 5_000;
/** How long a conversation may wait for the application in all, in milliseconds. */
const LONGEST_PATIENCE = 60 * 60 * 1000;

/**
 * Learns what became of a commit that was answered with `retry`, by reading what the server has of
 * the conversation, if the transport can ask for it.
 */
export async function catchUp(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  flight: Flight,
  signal?: AbortSignal,
): Promise<Learnt> {
  return readAll(state, lane, conversation, signal, flight);
}

/**
 * Brings this client to where the server is, before a commit is built again. The log is read as
 * long as that moves the epoch; where it cannot be read, the application's own `receive` is waited
 * for, until it has not moved the epoch for a while. `CONVERSATION_BEHIND` when the server has more
 * that only the application can receive, and the application does not.
 */
export async function comeUpToDate(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  signal?: AbortSignal,
): Promise<void> {
  const epoch: Step<bigint> = (native) => native.epoch(conversation.bytes);
  for (;;) {
    const before = await state.direct.step(epoch);
    const { asked, behind, cause } = await readAll(state, lane, conversation, signal);
    if (behind) throw isBehind(conversation, before);
    if (!asked || cause !== undefined) return untilQuiet(state, lane.epochs, signal);
    if ((await state.direct.step(epoch)) === before) return;
  }
}

/**
 * Whether this client has read so far ahead of the application that it cannot read on by itself.
 * What the server has accepted since is unknown then, and a commit that is built now may be for an
 * epoch that is over.
 */
export function hasReadAhead(state: SessionState, lane: Lane, { bytes }: Name): Step<boolean> {
  return async (native) =>
    state.settings.deliver === undefined &&
    canReadLog(state) &&
    lane.readUpTo !== undefined &&
    (await native.epoch(bytes)) >= lane.readUpTo + AHEAD;
}

interface ReadingOn extends Reading {
  /** Whether the log has more, which only the application can receive. */
  readonly behind: boolean;
}

/**
 * Reads the log to its end. Where the application has to go first, waits for it; or until it is
 * known what became of a commit.
 */
async function readAll(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  signal: AbortSignal | undefined,
  flight?: Flight,
): Promise<ReadingOn> {
  if (!canReadLog(state)) return { asked: false, behind: false };
  const { clock, deliver } = state.settings;
  const end = clock.now() + LONGEST_PATIENCE;
  for (;;) {
    const heard = lane.hearings.rung;
    const reading =
      deliver !== undefined
        ? await readEverything(state, conversation, signal)
        : await readHandshakes(state, lane, conversation, signal, flight?.staged.commitId);
    if (!reading.behind || flight?.outcome() !== undefined || clock.now() >= end) return reading;
    const settled = flight === undefined ? [] : [flight.settled];
    const woken = await wait(state, PATIENCE, signal, heard, ...settled);
    if (woken === "time") return reading;
    if (woken === "stopped") return { asked: true, behind: false, cause: signal?.reason };
    if (flight?.outcome() !== undefined) return { asked: true, behind: false };
    await untilQuiet(state, lane.hearings, signal);
  }
}

/** With `deliver` everything is received, and handed to the application. */
async function readEverything(state: SessionState, conversation: Name, signal?: AbortSignal): Promise<ReadingOn> {
  const from = await oldestReadable(state, conversation);
  return { behind: false, ...(await readLog(state, conversation.id, from, signal, delivering(state))) };
}

/**
 * Receives chunk by chunk, each stored by itself. What takes longer than a transaction may is taken
 * again in halves, down to single messages: so a slow `deliver` gets on, however long the log is.
 */
function delivering(state: SessionState): Take {
  let most = Infinity;
  return async (chunk) => {
    for (let taken = 0; taken < chunk.length;) {
      const part = chunk.slice(taken, taken + most);
      try {
        await receive(state.direct, part, { fromLog: true });
        taken += part.length;
      } catch (error) {
        if (part.length === 1 || !MlsError.is(error, "TRANSACTION_TIMEOUT")) throw error;
        most = Math.ceil(part.length / 2);
      }
    }
    return undefined;
  };
}

/**
 * Without `deliver` nobody would get application messages that are read here, so handshakes alone
 * are, and no further than that the application can still read those messages itself. The own
 * commit is read in any case: it is accepted.
 */
async function readHandshakes(
  state: SessionState,
  lane: Lane,
  conversation: Name,
  signal: AbortSignal | undefined,
  own: Id | undefined,
): Promise<ReadingOn> {
  const { id, bytes } = conversation;
  lane.readUpTo ??= await state.direct.step((native) => native.epoch(bytes));
  const end = lane.readUpTo + AHEAD;
  let last = -1n;
  const take: Take = async (chunk) => {
    const handshakes = chunk.filter((message) => {
      const { kind, epoch = 0n } = handshakeOf(message, id) ?? {};
      if (kind === undefined || epoch < end) return kind !== undefined;
      if (kind === "commit" && epoch > last) last = epoch;
      return kind === "commit" && messageIdOf(message) === own;
    });
    if (handshakes.length === 0) return undefined;
    await state.direct.step(
      (native) => native.receive(handshakes, { handshakesOnly: true, fromLog: true }),
      (receipt) => applied(state, receipt, { byApplication: false }),
    );
    return undefined;
  };
  const reading = await readLog(state, id, await oldestReadable(state, conversation), signal, take);
  if (last < end) return { behind: false, ...reading };
  // A commit of an epoch that is not reached here yet, and the epoch is where this client stops by
  // itself.
  const epoch = await state.direct.step((native) => native.epoch(bytes));
  return { behind: epoch >= end && last >= epoch, ...reading };
}

function handshakeOf(message: Bytes, conversation: Id): MessageInspection | undefined {
  try {
    const inspection = inspectMessage(message);
    const { kind, conversationId, epoch } = inspection;
    const isHandshake = (kind === "commit" || kind === "proposal") && epoch !== undefined;
    return isHandshake && conversationId === conversation ? inspection : undefined;
  } catch (error) {
    if (MlsError.is(error, "MESSAGE_INVALID")) return undefined;
    throw error;
  }
}

function oldestReadable(state: SessionState, { bytes }: Name): Promise<bigint> {
  return state.direct.step((native) => native.oldestReadableEpoch(bytes));
}

function isBehind({ id }: Name, epoch: bigint): MlsError {
  return new MlsError(
    "CONVERSATION_BEHIND",
    "This client cannot read on by itself without losing the application's messages. Receive what the server has, then " +
      "call again. Nothing is left open.",
    { context: { conversationId: id, epoch: String(epoch) } },
  );
}
