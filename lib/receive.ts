import { type Bytes, copyMessage } from "./bytes.js";
import { isErrorCode, MlsError } from "./errors.js";
import type { Name } from "./id.js";
import { warnWhenLow } from "./key-packages-low.js";
import { copyList, isList } from "./lists.js";
import { stalledOf } from "./conversation-state.js";
import type { NativeJoined, NativeReceipt, NativeReceived, NativeSettled, NativeStalled } from "./native-binding.js";
import type { Received } from "./received.js";
import { changeOf, memberOf, noChange } from "./records.js";
import type { Scope } from "./scope.js";
import type { SessionState } from "./state.js";

/** Copies one message or a batch of them. One that is too large must be judged, not block the batch. */
export function copyMessages(messages: unknown): Bytes[] {
  const one = (message: unknown, name: string): Bytes => copyMessage(message, name);
  return isList(messages) ? copyList(messages, "messages", one) : [one(messages, "messages")];
}

/**
 * Receives messages of whichever conversations. `fromLog` is for what a retry reads from the server's log: part of it was
 * received in its time, and what is too old by now is not told to be lost.
 */
export async function receive(
  scope: Scope,
  messages: Bytes[],
  { fromLog = false }: { fromLog?: boolean } = {},
): Promise<Received[]> {
  if (messages.length === 0) return [];
  const { received } = await scope.receiving(
    (native) => native.receive(messages, { handshakesOnly: false, fromLog }),
    (receipt) => applied(scope.state, receipt, { byApplication: true }),
  );
  return received;
}

/**
 * Receives one message of this conversation; a message that is rejected is an error here, and is not delivered. A commit that
 * stalls the conversation is rejected after that is stored.
 */
export async function decrypt(scope: Scope, conversation: Name, message: Bytes): Promise<Received[]> {
  let rejected: NativeReceived | undefined;
  const { received } = await scope.receiving(
    async (native) => {
      const receipt = await native.receive([message], { handshakesOnly: false, only: conversation.bytes });
      const [first, ...released] = receipt.received;
      if (first?.type !== "rejected") return receipt;
      rejected = first;
      return { ...receipt, received: released };
    },
    (receipt) => applied(scope.state, receipt, { byApplication: true }),
  );
  refuseRejected(rejected, conversation);
  return received;
}

/** Joins by a Welcome; what was waiting for it is received with it. */
export async function joinByWelcome(
  scope: Scope,
  welcome: Bytes,
  ratchetTree: Bytes | undefined,
  allowRollback: boolean,
): Promise<{ joined: NativeJoined; received: Received[] }> {
  const { result, received } = await scope.receiving(
    (native) => native.joinByWelcome(welcome, ratchetTree, allowRollback),
    ({ conversationId, epoch, members, received: released, settled, stalled, again }) => {
      if (again) return;
      const change = { ...noChange(), added: members.map(memberOf) };
      scope.state.events.emit("conversationChanged", { conversationId, epoch, change, active: true, cause: "joined" });
      forgetReading(scope.state, conversationId);
      scope.state.lanes.find(conversationId)?.epochs.ring();
      announce(scope.state, released);
      const flight = scope.state.lanes.find(conversationId)?.flight;
      if (flight?.kind.cause === "joined" && epoch > flight.staged.epoch) flight.joined = true;
      tellSettled(scope.state, settled);
      tellStalled(scope.state, stalled);
      void warnWhenLow(scope.state);
    },
  );
  return { joined: result, received };
}

/**
 * Tells the rest of the session what a receipt did, once it is durable: the listeners, and the commits that are on their way.
 * `byApplication` is false for what a retry read by itself.
 */
export function applied(
  state: SessionState,
  { received, settled, stalled }: NativeReceipt,
  { byApplication }: { byApplication: boolean },
): void {
  if (byApplication) for (const one of received) noteHearing(state, one);
  announce(state, received);
  tellSettled(state, settled);
  tellStalled(state, stalled);
}

function tellStalled(state: SessionState, stalled: readonly NativeStalled[]): void {
  for (const one of stalled) {
    state.events.emit("conversationStalled", { conversationId: one.conversationId, ...stalledOf(one) });
  }
}

/** Tells whoever waits for a commit what became of it; the listeners, where nobody waits. */
function tellSettled(state: SessionState, settled: readonly NativeSettled[]): void {
  for (const { conversationId, commitId, outcome, change } of settled) {
    const flight = state.lanes.find(conversationId)?.flight;
    if (flight?.staged.commitId === commitId) flight.settle(outcome);
    else state.events.emit("commitSettled", { conversationId, commitId, outcome, intent: changeOf(change) });
  }
}

/**
 * Tells the listeners of the commits among these: of others, and one's own, whether an answer or an
 * echo said that they are accepted.
 */
function announce(state: SessionState, received: readonly NativeReceived[]): void {
  for (const { type, messageId, conversationId, epoch, own, sender, change, active } of received) {
    if (type !== "commit" || conversationId === undefined || epoch === undefined || change === undefined) continue;
    const lane = state.lanes.find(conversationId);
    const flight = lane?.flight;
    const founding = flight?.staged.commitId === messageId ? flight.founding : undefined;
    if (flight !== undefined && active === false) {
      flight.removed = true;
      flight.joined = false;
    }
    const byItself = own !== true ? "received" : sender === undefined ? "joined" : "own";
    if (byItself === "joined") void warnWhenLow(state); // Perhaps in place of an invitation.
    state.events.emit("conversationChanged", {
      conversationId,
      epoch: epoch + 1n,
      change: founding ?? changeOf(change),
      active: active === true,
      cause: founding !== undefined ? "created" : byItself,
    });
    lane?.epochs.ring();
  }
}

/** The conversation was joined anew: how far the application had read in it before means nothing any more. */
export function forgetReading(state: SessionState, conversationId: string): void {
  const lane = state.lanes.find(conversationId);
  if (lane !== undefined) lane.readUpTo = undefined;
}

/** What waits has an epoch that nobody has proved, and is not read yet. */
function noteHearing(state: SessionState, { type, conversationId, epoch }: NativeReceived): void {
  const judged = type === "message" || type === "commit" || type === "proposal" || type === "ignored";
  if (judged && conversationId !== undefined && epoch !== undefined) state.lanes.find(conversationId)?.hears(epoch);
}

function refuseRejected(received: NativeReceived | undefined, { id }: Name): void {
  if (received?.type !== "rejected") return;
  const { code, reason, epoch } = received;
  const message = `The message was rejected: ${reason ?? "it is not valid."}`;
  throw new MlsError(isErrorCode(code) ? code : "MESSAGE_INVALID", message, {
    context: { conversationId: id, ...(epoch !== undefined && { epoch: String(epoch) }) },
  });
}
