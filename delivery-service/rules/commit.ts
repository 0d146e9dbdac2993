import type { Id, MlsTransportResponse } from "../../lib/index.js";
import type { Framed } from "../framing.js";
import type { Addressee } from "../service.js";
import { changedMembers, type Conversation, type Member, readersOf } from "./conversation.js";
import type { Decision, Effect, Entry, SaveMember } from "./decision.js";
import type { Publishers } from "./key-package.js";

/** A commit with what came with it, and what its sender says that it does to the membership. */
export interface SentCommit {
  readonly clientId: Id;
  readonly commit: Framed;
  readonly welcome: Framed | undefined;
  readonly groupInfo: Framed;
  readonly welcomeTo: readonly Addressee[];
  readonly removed: readonly Id[];
}

export interface CommitFacts {
  /** The sequence number of the same commit, if the log has it. */
  readonly sequence: number | undefined;
  /** The reason with which the same commit was answered before, if that was `abort`. */
  readonly abortedBefore: string | undefined;
  readonly conversation: Conversation | undefined;
  /** The present members. */
  readonly members: readonly Member[];
  /** Of the key packages that the commit adds. */
  readonly publishers: Publishers;
}

/**
 * One accepted commit per conversation and epoch. The log, the GroupInfo, the membership and
 * everybody's queue take the commit together.
 */
export function decideCommit(sent: SentCommit, facts: CommitFacts): Decision<MlsTransportResponse> {
  // This comes first, whoever sends it: the first answer may have been lost, and the committer
  // removed since.
  if (facts.sequence !== undefined) return { answer: { status: "success" }, effects: [] };
  // An abort is for good. Without this a delayed copy could be accepted once the service's epoch
  // gets that far, while the sender has forgotten the commit.
  if (facts.abortedBefore !== undefined) return { answer: abort(facts.abortedBefore), effects: [] };

  const verdict = judge(sent, facts);
  if (!("status" in verdict)) return { answer: { status: "success" }, effects: effectsOf(verdict, sent, facts) };
  if (verdict.status !== "abort") return { answer: verdict, effects: [] };
  const { reason } = verdict;
  return { answer: verdict, effects: [{ type: "rememberAbort", commitId: sent.commit.messageId, reason }] };
}

interface ReadCommit {
  readonly conversationId: Id;
  readonly epoch: bigint;
  /** Whether it makes its sender a member. */
  readonly external: boolean;
}

/** The commit that is accepted, or the answer to a commit that is not. */
function judge(
  sent: SentCommit,
  { conversation, members, publishers }: CommitFacts,
): ReadCommit | MlsTransportResponse {
  const frame = sent.commit.frame;
  if (frame?.kind !== "commit" || frame.conversationId === undefined || frame.epoch === undefined) {
    return abort("The bundle's commit is not an MLS commit.");
  }
  const { conversationId, epoch, external } = frame;
  if (conversation === undefined) {
    if (epoch !== 0n || external) {
      return abort("This conversation is not known here, and only a commit of epoch 0 founds one.");
    }
  } else {
    if (external) {
      if (!conversation.externalJoin) {
        return abort("This conversation does not allow joining by an external commit.");
      }
    } else if (!members.some((member) => member.clientId === sent.clientId)) {
      return abort("The committer is not a member of this conversation.");
    }
    if (epoch < conversation.epoch) return { status: "retry" };
    // The service stores a commit before it answers, so no member can be ahead of it, unless the
    // store was put back to an older state. Waiting does not heal that.
    if (epoch > conversation.epoch) {
      return abort("The service does not know this epoch: commits accepted before are missing.");
    }
  }
  const commit = { conversationId, epoch, external };
  const contradiction = contradictionIn(sent, commit, publishers);
  return contradiction === undefined ? commit : abort(contradiction);
}

/** The claims that can be checked against the bytes and the published key packages. */
function contradictionIn(
  { clientId, welcome, groupInfo, welcomeTo, removed }: SentCommit,
  commit: ReadCommit,
  publishers: Publishers,
): string | undefined {
  if (commit.external && (welcomeTo.length > 0 || removed.some((client) => client !== clientId))) {
    return "Who joins by an external commit can remove only a former leaf of its own, and add nobody else.";
  }
  if ((welcome === undefined) !== (welcomeTo.length === 0)) {
    return "A Welcome and those whom it is for belong together; the bundle has only one of them.";
  }
  if (welcome !== undefined && welcome.frame?.kind !== "welcome") {
    return "The bundle's Welcome is not an MLS Welcome.";
  }
  const { frame } = groupInfo;
  if (frame?.kind !== "group-info") return "The bundle's GroupInfo is not an MLS GroupInfo.";
  if (frame.conversationId !== commit.conversationId || frame.epoch !== commit.epoch + 1n) {
    return "The bundle's GroupInfo does not describe the epoch that the commit begins.";
  }
  for (const { clientId, keyPackageRef } of welcomeTo) {
    const publisher = publishers.get(keyPackageRef);
    if (publisher !== undefined && publisher !== clientId) {
      return "A key package that the commit adds was published by another client than the one it names.";
    }
  }
  return undefined;
}

function effectsOf(
  { conversationId, epoch, external }: ReadCommit,
  { clientId, commit, welcome, groupInfo, welcomeTo, removed }: SentCommit,
  { conversation, members }: CommitFacts,
): Effect[] {
  const next = epoch + 1n;
  const externalJoin = groupInfo.frame?.externalJoin === true;
  const sequence = (conversation?.lastSequence ?? 0) + 1;
  const founder: Member[] =
    conversation === undefined ? [{ clientId, leaves: 1, since: epoch, removedAt: undefined }] : [];
  const before = [...members, ...founder];
  const joining = welcomeTo.map((addressee) => addressee.clientId);
  const added = external ? [clientId, ...joining] : joining;
  const after = changedMembers(before, { removed, sequence, added, epoch: next });

  const deliver = (
    { bytes, messageId }: Framed,
    entry: Pick<Entry, "kind" | "epoch" | "sequence">,
    to: Id[],
  ): Effect => ({
    type: "deliver",
    entry: { ...entry, conversationId, messageId, bytes },
    to,
  });
  return [
    // All members of the commit's epoch get it. For those whom it removes it is the last entry. A
    // client that it removes and adds again needs it before the Welcome.
    deliver(commit, { kind: "commit", epoch, sequence }, readersOf(before, epoch)),
    { type: "saveConversation", conversationId, epoch: next, groupInfo: groupInfo.bytes, externalJoin },
    ...[...founder, ...after].map((member): SaveMember => ({ type: "saveMember", conversationId, member })),
    ...(welcome === undefined
      ? []
      : [deliver(welcome, { kind: "welcome", epoch: next, sequence: undefined }, [...new Set(joining)])]),
  ];
}

function abort(reason: string): MlsTransportResponse {
  return { status: "abort", reason };
}
