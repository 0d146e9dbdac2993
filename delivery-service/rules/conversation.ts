import type { Id } from "../../lib/index.js";
import { DeliveryError } from "../errors.js";

/** Where a conversation is. A store knows it from the first accepted commit on. */
export interface Conversation {
  /** The epoch that the newest accepted commit began. */
  readonly epoch: bigint;
  /** Whether the GroupInfo of that commit lets join from outside. */
  readonly externalJoin: boolean;
  /** The sequence number of the newest log entry. */
  readonly lastSequence: number;
}

/**
 * A client that is or was in a conversation, as accepted commits claim it. A client with several
 * leaves stays until the last one is removed.
 */
export interface Member {
  readonly clientId: Id;
  /** 0 for a former member. */
  readonly leaves: number;
  /** The first epoch that it was in. */
  readonly since: bigint;
  /** Of a former member: the sequence number of the commit that removed it. */
  readonly removedAt: number | undefined;
}

/**
 * Those of the present members who were members in that epoch: they can read what was encrypted in
 * it.
 */
export function readersOf(present: readonly Member[], epoch: bigint): Id[] {
  return present.filter(({ since }) => since <= epoch).map(({ clientId }) => clientId);
}

/**
 * The rows that a commit changes: it takes leaves away first, and then adds leaves, each a client
 * once per leaf.
 */
export function changedMembers(
  present: readonly Member[],
  change: {
    readonly removed: readonly Id[];
    /** The sequence number of the commit. */
    readonly sequence: number;
    readonly added: readonly Id[];
    /** The epoch that the commit begins. */
    readonly epoch: bigint;
  },
): Member[] {
  const before = new Map(present.map((member) => [member.clientId, member]));
  const changed = new Map<Id, Member>();
  const now = (clientId: Id) => changed.get(clientId) ?? before.get(clientId);
  for (const clientId of change.removed) {
    const member = now(clientId);
    if (member === undefined || member.leaves === 0) continue; // no member
    const leaves = member.leaves - 1;
    changed.set(clientId, { ...member, leaves, removedAt: leaves === 0 ? change.sequence : undefined });
  }
  for (const clientId of change.added) {
    const { leaves, since } = now(clientId) ?? newcomer;
    const anew = leaves === 0;
    changed.set(clientId, { clientId, leaves: leaves + 1, since: anew ? change.epoch : since, removedAt: undefined });
  }
  return [...changed.values()];
}
const newcomer = { leaves: 0, since: 0n };

export function known<C extends Conversation>(conversation: C | undefined): C {
  if (conversation !== undefined) return conversation;
  throw new DeliveryError(
    "CONVERSATION_UNKNOWN",
    "No commit of this conversation was accepted; its first one makes it known.",
  );
}

export function notAMember(): DeliveryError {
  return new DeliveryError("NOT_A_MEMBER", "This client is not a member of the conversation.");
}
