import type { Id } from "../../lib/index.js";
import { DeliveryError } from "../errors.js";
import type { Frame } from "../framing.js";
import type { SentMessage } from "../service.js";
import { type Conversation, known, type Member, notAMember, readersOf } from "./conversation.js";
import type { Decision } from "./decision.js";

/** As many past epochs as clients keep the secrets of. */
const PAST_EPOCHS = 5n;

/** An application message or a proposal, on its way to the log. */
export interface MessageToSend {
  readonly clientId: Id;
  readonly bytes: Uint8Array;
  readonly messageId: string;
  readonly frame: Frame;
}

export interface MessageFacts {
  /** The sequence number of the same message, if the log has it. */
  readonly sequence: number | undefined;
  readonly conversation: Conversation | undefined;
  /** The present members. */
  readonly members: readonly Member[];
}

/** A message is stored once, for those who can read it. */
export function decideMessage(
  { clientId, bytes, messageId, frame }: MessageToSend,
  facts: MessageFacts,
): Decision<SentMessage> {
  const { kind, conversationId, epoch } = frame;
  if ((kind !== "message" && kind !== "proposal") || conversationId === undefined || epoch === undefined) {
    throw new DeliveryError("INVALID_REQUEST", `A ${kind} is not sent as a message; commits go through sendCommit.`);
  }
  if (facts.sequence !== undefined) return { answer: { sequence: facts.sequence }, effects: [] };

  const conversation = known(facts.conversation);
  if (!facts.members.some((member) => member.clientId === clientId)) throw notAMember();
  if (epoch > conversation.epoch) {
    throw new DeliveryError(
      "EPOCH_AHEAD",
      "The commit that begins this message's epoch was not accepted; send it first.",
    );
  }
  // Nobody can commit a proposal of a past epoch any more.
  if (epoch < conversation.epoch - (kind === "message" ? PAST_EPOCHS : 0n)) {
    throw new DeliveryError("EPOCH_TOO_OLD", "The conversation has moved on; receive its commits and encrypt anew.");
  }
  const sequence = conversation.lastSequence + 1;
  const entry = { conversationId, kind, epoch, sequence, messageId, bytes };
  return { answer: { sequence }, effects: [{ type: "deliver", entry, to: readersOf(facts.members, epoch) }] };
}
