import type { Id } from "./id.js";
import type { NativeConversationState, NativeStalled } from "./native-binding.js";
import { type CredentialRef, credentialRefOf } from "./records.js";

/** A commit of a member that was not applied here, although others may have applied it. */
export interface Stalled {
  /**
   * "refused": against a rule of this client, or it cannot be opened here. Others may have gone on, and somebody may have been
   * removed: `encrypt` and commits reject with `CONVERSATION_STALLED`. "invalid": every client that follows RFC 9420 refuses it,
   * and `encrypt` goes on.
   */
  readonly why: "refused" | "invalid";
  /** The epoch that the commit was made in: the one that the conversation is in. */
  readonly epoch: bigint;
  /** The SHA-256 of the commit, lowercase hex. */
  readonly messageId: Id;
  /** Why it was not applied, for people. */
  readonly reason: string;
}

/** What a conversation may do now, without waiting, and what stands in the way. */
export interface ConversationState {
  /** The present epoch; the last one where this client was removed; while it joins from outside, the one it joins from. */
  readonly epoch: bigint;
  /**
   * "founding": created with members by a commit that is not settled. "joining": an external commit is not settled, and this
   * client is no member yet. "removed": this client was removed.
   */
  readonly membership: "founding" | "member" | "joining" | "removed";
  /** What this client is known by in it, as long as the credential is kept. */
  readonly credential?: CredentialRef;
  /** How many received proposals wait for a commit. */
  readonly pendingProposals: number;
  /** Whether a commit of this client is neither accepted nor known to be lost. */
  readonly unsettledCommit: boolean;
  /** How many received messages wait for another one. */
  readonly waiting: number;
  /** What may be done now. */
  readonly can: {
    /** A member, no proposals pending, not stalled by a refusal, and no keys to be renewed after an accepted rollback. */
    readonly encrypt: boolean;
    /** A member, with no commit open, and not stalled by a refusal. */
    readonly commit: boolean;
    /** A commit is open. */
    readonly settle: boolean;
    /** A member. */
    readonly decrypt: boolean;
  };
  /** Set while a commit of a member was not applied. Ends with another commit of that epoch, or by joining anew. */
  readonly stalled?: Stalled;
  /** Whether clients may join by an external commit. False once this client was removed: it does not know any more. */
  readonly externalJoin: boolean;
}

/** Makes the public record of a native one. */
export function conversationStateOf(state: NativeConversationState): ConversationState {
  const {
    epoch,
    membership,
    credential,
    pendingProposals,
    unsettledCommit,
    waiting,
    stalled,
    externalJoin,
    renewalDue,
  } = state;
  const member = membership === "member";
  const refused = stalled?.why === "refused";
  return {
    epoch,
    membership,
    ...(credential !== undefined && { credential: credentialRefOf(credential) }),
    pendingProposals,
    unsettledCommit,
    waiting,
    can: {
      encrypt: member && pendingProposals === 0 && !refused && !renewalDue,
      commit: member && !unsettledCommit && !refused,
      settle: unsettledCommit,
      decrypt: member || membership === "founding",
    },
    ...(stalled !== undefined && { stalled: stalledOf(stalled) }),
    externalJoin,
  };
}

/** What a conversation is stalled by, without its id. */
export function stalledOf({ why, epoch, messageId, reason }: NativeStalled): Stalled {
  return { why, epoch, messageId, reason };
}
