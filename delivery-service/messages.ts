import type { ConversationStore } from "./conversations.js";
import { DeliveryError } from "./errors.js";
import { framingOf, messageIdOf } from "./framing.js";
import type { MemberList } from "./members.js";
import type { ClientQueues } from "./queues.js";
import type { Request } from "./requests.js";
import type { LogEntry, SentMessage, StoredGroupInfo } from "./service.js";

/** As many past epochs as clients keep the secrets of. */
const PAST_EPOCHS = 5n;

/** Everything in a conversation's order that is no commit: application messages and proposals; and reading it again. */
export function messageOrder({
  conversations,
  members,
  queues,
}: {
  conversations: ConversationStore;
  members: MemberList;
  queues: ClientQueues;
}) {
  return {
    send({ clientId, message }: Request<"sendMessage">): SentMessage {
      const { kind, conversationId, epoch } = framingOf(message);
      if ((kind !== "message" && kind !== "proposal") || conversationId === undefined || epoch === undefined) {
        throw new DeliveryError(
          "INVALID_REQUEST",
          `A ${kind} is not sent as a message; commits go through sendCommit.`,
        );
      }
      const placed = conversations.placeOf(messageIdOf(message));
      if (placed !== undefined) return { sequence: placed };

      const current = BigInt(conversationOf(conversationId).epoch);
      if (!members.isPresent(conversationId, clientId)) throw notAMember();
      if (epoch > current) {
        throw new DeliveryError(
          "EPOCH_AHEAD",
          "The commit that begins this message's epoch was not accepted; send it first.",
        );
      }
      // Nobody can commit a proposal of a past epoch any more.
      if (epoch < current - (kind === "message" ? PAST_EPOCHS : 0n)) {
        throw new DeliveryError(
          "EPOCH_TOO_OLD",
          "The conversation has moved on; receive its commits and encrypt anew.",
        );
      }
      const { entry, sequence } = conversations.append(conversationId, kind, Number(epoch), message);
      for (const member of members.of(conversationId, Number(epoch))) queues.put(member, entry);
      return { sequence };
    },

    fetch({ clientId, conversationId, fromEpoch, after, limit }: Request<"fetch">): LogEntry[] {
      conversationOf(conversationId);
      const member = members.find(conversationId, clientId);
      if (member === undefined) throw notAMember();
      return conversations.read({
        conversationId,
        fromEpoch: Math.max(Number(fromEpoch), member.since),
        after,
        last: member.last ?? Number.MAX_SAFE_INTEGER,
        limit,
      });
    },

    groupInfo({ clientId, conversationId }: Request<"groupInfo">): StoredGroupInfo {
      const { epoch, groupInfo } = conversationOf(conversationId);
      if (!members.isPresent(conversationId, clientId) && framingOf(groupInfo).externalJoin !== true)
        throw notAMember();
      return { epoch: BigInt(epoch), groupInfo: new Uint8Array(groupInfo) };
    },
  };

  function conversationOf(conversationId: string) {
    const conversation = conversations.find(conversationId);
    if (conversation !== undefined) return conversation;
    throw new DeliveryError(
      "CONVERSATION_UNKNOWN",
      "No commit of this conversation was accepted; its first one makes it known.",
    );
  }
}
export type MessageOrder = ReturnType<typeof messageOrder>;

function notAMember(): DeliveryError {
  return new DeliveryError("NOT_A_MEMBER", "This client is not a member of the conversation.");
}
