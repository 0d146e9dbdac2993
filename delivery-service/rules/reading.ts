import type { Id } from "../../lib/index.js";
import type { StoredGroupInfo } from "../service.js";
import { type Conversation, known, type Member, notAMember } from "./conversation.js";

/** What a client is in a conversation. */
export interface Standing {
  readonly conversation: Conversation | undefined;
  /** Also for a former member; `undefined` for a stranger. */
  readonly member: Member | undefined;
}

/** The part of a conversation's log that a client asks for. */
export interface LogRequest {
  readonly conversationId: Id;
  readonly fromEpoch: bigint;
  /** Only what follows this sequence number. */
  readonly after: number;
  /** The most entries. */
  readonly limit: number;
}

/** The part of it that the client may read. */
export interface LogRange extends LogRequest {
  /** Nothing behind this sequence number. */
  readonly last: number;
}

/**
 * A member reads what was sent since it joined, a former member no further than the commit that
 * removed it. The range ends where the log ended when the facts were gathered, so that the log may
 * be read after they have changed.
 */
export function readableLog(request: LogRequest, { conversation, member }: Standing): LogRange {
  const { lastSequence } = known(conversation);
  if (member === undefined) throw notAMember();
  return {
    ...request,
    fromEpoch: request.fromEpoch > member.since ? request.fromEpoch : member.since,
    last: member.removedAt ?? lastSequence,
  };
}

/** The same, with the GroupInfo of the newest accepted commit. */
export interface GroupInfoFacts extends Standing {
  readonly conversation: (Conversation & { readonly groupInfo: Uint8Array }) | undefined;
}

/** Members get the GroupInfo, and everybody does if it lets join from outside. */
export function readableGroupInfo({ conversation, member }: GroupInfoFacts): StoredGroupInfo {
  const { epoch, groupInfo, externalJoin } = known(conversation);
  const present = member !== undefined && member.leaves > 0;
  if (!present && !externalJoin) throw notAMember();
  return { epoch, groupInfo };
}

/** The part of a client's queue that it asks for. */
export interface QueueRange {
  readonly clientId: Id;
  /** Only what follows this cursor. */
  readonly after: number;
  /** The most entries. */
  readonly limit: number;
}
