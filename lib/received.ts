import { type Bytes, made } from "./bytes.js";
import { isErrorCode, type MlsErrorCode } from "./errors.js";
import type { Id } from "./id.js";
import type { NativeReceived } from "./native-binding.js";
import { type Change, changeOf, type Member, memberOf, unexpected } from "./records.js";

/**
 * What a received message turned out to be. A closed union: `switch` over `type` and you have thought of everything.
 * `messageId` is the SHA-256 of the message, lowercase hex, the application's key for storing it once; of a message larger than the
 * bytes that are accepted (`limits.messageBytes`) only those and one more are hashed. `epoch` is the epoch
 * that the message was made in.
 */
export type Received =
  | ReceivedWelcome
  | ReceivedRejected
  | ReceivedMessage
  | ReceivedCommit
  | ReceivedProposal
  | ReceivedWaiting
  | ReceivedIgnored
  | ReceivedUnreadable;

/**
 * A Welcome: not joined yet, that is for `joinByWelcome` to do, with the bytes whose SHA-256 is the
 * `messageId`.
 */
export interface ReceivedWelcome {
  /** Tells the kinds apart. */
  readonly type: "welcome";
  /** The SHA-256 of the message, lowercase hex. */
  readonly messageId: Id;
}

/**
 * Tampered, forged, malformed or against policy. It left no trace: the genuine message can still be received. Only a commit that
 * a member has signed, and that was not applied, leaves one: the conversation is stalled then (`MlsConversation.state`).
 */
export interface ReceivedRejected {
  /** Tells the kinds apart. */
  readonly type: "rejected";
  /** The SHA-256 of the message, lowercase hex. */
  readonly messageId: Id;
  /** The conversation that the message names, where it can be read; for a forgery that proves nothing. */
  readonly conversationId?: Id;
  /** The epoch that the message names, likewise. */
  readonly epoch?: bigint;
  /** Why, for a program. */
  readonly code: MlsErrorCode;
  /** Why, for people. */
  readonly reason: string;
}

/** What all kinds have that belong to a conversation. */
export interface ReceivedInConversation {
  /** The SHA-256 of the message, lowercase hex. */
  readonly messageId: Id;
  /** The conversation that it belongs to. */
  readonly conversationId: Id;
  /** The epoch that the message was made in. */
  readonly epoch: bigint;
}

/** An application message, decrypted and its sender verified. */
export interface ReceivedMessage extends ReceivedInConversation {
  /** Tells the kinds apart. */
  readonly type: "message";
  /** Who sent it, as it was in the epoch of the message. */
  readonly sender: Member;
  /** What was encrypted. */
  readonly plaintext: Bytes;
  /** Authenticated with the message, but visible to the server; empty when the sender gave none. */
  readonly aad: Bytes;
}

/** A commit that was applied: the conversation is in the next epoch now. */
export interface ReceivedCommit extends ReceivedInConversation {
  /** Tells the kinds apart. */
  readonly type: "commit";
  /** Who made it; "external" for somebody who joined with it. */
  readonly by: Member | "external";
  /** Whether it is this client's own, come back from the server. */
  readonly own: boolean;
  /** What it did to the members. */
  readonly change: Change;
  /** False: it removed this client. */
  readonly active: boolean;
}

/** A proposal, verified and kept until a commit names it. */
export interface ReceivedProposal extends ReceivedInConversation {
  /** Tells the kinds apart. */
  readonly type: "proposal";
  /** Who made it; "external" for somebody who is no member. */
  readonly by: Member | "external";
  /** What a commit of it would do to the members. */
  readonly change: Change;
  /** Commit it after so many milliseconds when nobody else did; spread over the members so that not all do it at once. */
  readonly commitAfterMs: number;
}

/** Cannot be judged yet and is kept durably: acknowledge it to the server. What releases it will bring its result. */
export interface ReceivedWaiting extends ReceivedInConversation {
  /** Tells the kinds apart. */
  readonly type: "waiting";
  /** What it waits for. */
  readonly for: "commit" | "proposal" | "welcome";
  /** Since when something waits for this. */
  readonly since: Date;
  /** How many messages of this conversation wait. */
  readonly count: number;
}

/** Nothing was lost: it was received before, is this client's own, or a handshake of an epoch that is over. */
export interface ReceivedIgnored extends ReceivedInConversation {
  /** Tells the kinds apart. */
  readonly type: "ignored";
  /** Received before; this client's own, come back; or a handshake of an epoch that is over. */
  readonly why: "duplicate" | "own" | "stale-handshake";
}

/** Lost for good; worth telling the user. */
export interface ReceivedUnreadable extends ReceivedInConversation {
  /** Tells the kinds apart. */
  readonly type: "unreadable";
  /**
   * More than five epochs old; too far out of order in its epoch; of a conversation that has removed this client; or it waited
   * and had to make way for newer ones, or was too large to wait. A message that was received or sent before is never among them, as long as it is one of
   * the last 10,000 of its conversation: it is "ignored".
   */
  readonly why: "epoch-too-old" | "outside-window" | "removed" | "evicted";
}

/** Makes the public record of a native one. */
export function receivedOf(record: NativeReceived): Received {
  const { type, messageId } = record;
  switch (type) {
    case "welcome":
      return { type, messageId };
    case "rejected":
      return {
        type,
        messageId,
        ...(record.conversationId !== undefined && { conversationId: record.conversationId }),
        ...(record.epoch !== undefined && { epoch: record.epoch }),
        code: isErrorCode(record.code) ? record.code : "MESSAGE_INVALID",
        reason: record.reason ?? "",
      };
    case "message":
      return {
        ...inConversation(record),
        type,
        sender: memberOf(present(record.sender, "sender")),
        plaintext: made(present(record.plaintext, "plaintext")),
        aad: made(record.aad ?? new Uint8Array()),
      };
    case "commit":
      return {
        ...inConversation(record),
        type,
        by: byOf(record),
        own: present(record.own, "own"),
        change: changeOf(present(record.change, "change")),
        active: present(record.active, "active"),
      };
    case "proposal":
      return {
        ...inConversation(record),
        type,
        by: byOf(record),
        change: changeOf(present(record.change, "change")),
        commitAfterMs: present(record.commitAfterMs, "commitAfterMs"),
      };
    case "waiting":
      return {
        ...inConversation(record),
        type,
        for: present(record.waitingFor, "waitingFor"),
        since: new Date(present(record.sinceMs, "sinceMs")),
        count: present(record.count, "count"),
      };
    case "ignored":
      return { ...inConversation(record), type, why: oneOf(record.why, ["duplicate", "own", "stale-handshake"]) };
    case "unreadable":
      return {
        ...inConversation(record),
        type,
        why: oneOf(record.why, ["epoch-too-old", "outside-window", "removed", "evicted"]),
      };
    default:
      return type satisfies never;
  }
}

function inConversation(record: NativeReceived): ReceivedInConversation {
  const { messageId } = record;
  return {
    messageId,
    conversationId: present(record.conversationId, "conversationId"),
    epoch: present(record.epoch, "epoch"),
  };
}

function byOf({ sender }: NativeReceived): Member | "external" {
  return sender === undefined ? "external" : memberOf(sender);
}

function present<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw unexpected(`a received message without "${field}"`);
  return value;
}

function oneOf<W extends string>(why: string | undefined, known: readonly W[]): W {
  const found = known.find((word) => word === why);
  if (found === undefined) throw unexpected(`a received message with an unknown reason`);
  return found;
}
