import type { Id, MlsTransportResponse } from "../lib/index.js";
import type { ConversationStore } from "./conversations.js";
import type { Database } from "./database.js";
import { DeliveryError } from "./errors.js";
import { framingOf, messageIdOf } from "./framing.js";
import type { KeyPackageTable } from "./key-packages.js";
import type { MemberList } from "./members.js";
import type { ClientQueues } from "./queues.js";
import type { Request } from "./requests.js";

/**
 * One accepted commit per conversation and epoch. The call runs inside a transaction of the service: the log, the GroupInfo,
 * the membership and everybody's queue take the commit together, or none of them does.
 */
export function commitOrder(
  database: Database,
  {
    keyPackages,
    conversations,
    members,
    queues,
  }: {
    keyPackages: KeyPackageTable;
    conversations: ConversationStore;
    members: MemberList;
    queues: ClientQueues;
  },
) {
  const abortedBefore = database
    .prepare<[string], string>("SELECT reason FROM aborted_commits WHERE commit_id = ?")
    .pluck();
  const rememberAbort = database.prepare("INSERT INTO aborted_commits (commit_id, reason) VALUES (?, ?)");

  function accept(request: Request<"sendCommit">): MlsTransportResponse {
    const commitId = messageIdOf(request.bundle.commit);
    // First of all, and whoever asks: the answer to an accepted commit may have been lost, and its sender removed since.
    if (conversations.placeOf(commitId) !== undefined) return { status: "success" };
    // An abort is for good. Without this a delayed copy could be accepted once the service's epoch gets that far, while
    // the sender has forgotten the commit.
    const reason = abortedBefore.get(commitId);
    if (reason !== undefined) return abort(reason);

    const verdict = judge(request);
    if (!("status" in verdict)) {
      store(verdict, request);
      return { status: "success" };
    }
    if (verdict.status === "abort") rememberAbort.run(commitId, verdict.reason);
    return verdict;
  }

  /** What to store of it, or the answer to a commit that is not accepted. */
  function judge(request: Request<"sendCommit">): Acceptable | MlsTransportResponse {
    const commit = readCommit(request.bundle.commit);
    if (commit === undefined) return abort("The bundle's commit is not an MLS commit.");

    const { conversationId } = commit;
    const current = conversations.find(conversationId);
    if (current === undefined) {
      if (commit.epoch !== 0n || commit.external) {
        return abort("This conversation is not known here, and only a commit of epoch 0 founds one.");
      }
    } else {
      if (commit.external) {
        if (framed(current.groupInfo)?.externalJoin !== true) {
          return abort("This conversation does not allow joining by an external commit.");
        }
      } else if (!members.isPresent(conversationId, request.clientId)) {
        return abort("The committer is not a member of this conversation.");
      }
      if (commit.epoch < current.epoch) return { status: "retry" };
      // The service stores a commit before it answers, so no member can be ahead of it, unless the file was put back to
      // an older state. Waiting does not heal that.
      if (commit.epoch > current.epoch) {
        return abort("The service does not know this epoch: commits accepted before are missing.");
      }
    }
    const contradiction = contradictionIn(request, commit);
    if (contradiction !== undefined) return abort(contradiction);
    return {
      conversationId,
      epoch: Number(commit.epoch),
      founding: current === undefined,
      external: commit.external,
    };
  }

  /** The claims that can be checked against the bytes and the directory. */
  function contradictionIn(
    { clientId, bundle, welcomeTo, removed }: Request<"sendCommit">,
    commit: Framing,
  ): string | undefined {
    if (commit.external && (welcomeTo.length > 0 || removed.some((client) => client !== clientId))) {
      return "Who joins by an external commit can remove only a former leaf of its own, and add nobody else.";
    }
    if ((bundle.welcome === undefined) !== (welcomeTo.length === 0)) {
      return "A Welcome and those whom it is for belong together; the bundle has only one of them.";
    }
    if (bundle.welcome !== undefined && framed(bundle.welcome)?.kind !== "welcome") {
      return "The bundle's Welcome is not an MLS Welcome.";
    }
    const groupInfo = framed(bundle.groupInfo);
    if (groupInfo?.kind !== "group-info") return "The bundle's GroupInfo is not an MLS GroupInfo.";
    if (groupInfo.conversationId !== commit.conversationId || groupInfo.epoch !== commit.epoch + 1n) {
      return "The bundle's GroupInfo does not describe the epoch that the commit begins.";
    }
    const publishers = keyPackages.publishersOf(welcomeTo.map((to) => to.keyPackageRef));
    for (const { clientId, keyPackageRef } of welcomeTo) {
      const publisher = publishers.get(keyPackageRef);
      if (publisher !== undefined && publisher !== clientId) {
        return "A key package that the commit adds was published by another client than the one it names.";
      }
    }
    return undefined;
  }

  function store({ conversationId, epoch, founding, external }: Acceptable, request: Request<"sendCommit">): void {
    const { clientId, bundle, welcomeTo, removed } = request;
    if (founding) members.add(conversationId, clientId, epoch);
    const { entry, sequence } = conversations.append(conversationId, "commit", epoch, bundle.commit);
    conversations.save(conversationId, epoch + 1, bundle.groupInfo);

    // Those who were members get the commit, also who is removed by it: it is the last they get. A client that is replaced by
    // itself (removed and added) needs it before the Welcome.
    for (const member of members.of(conversationId, epoch)) queues.put(member, entry);
    for (const client of removed) members.remove(conversationId, client, sequence);
    if (external) members.add(conversationId, clientId, epoch + 1);
    for (const addressee of welcomeTo) members.add(conversationId, addressee.clientId, epoch + 1);
    if (bundle.welcome === undefined) return;
    const welcome = conversations.keepWelcome(conversationId, epoch + 1, bundle.welcome);
    for (const addressee of new Set(welcomeTo.map((to) => to.clientId))) queues.put(addressee, welcome);
  }

  return { accept };
}
export type CommitOrder = ReturnType<typeof commitOrder>;

function abort(reason: string): MlsTransportResponse {
  return { status: "abort", reason };
}

interface Acceptable {
  readonly conversationId: Id;
  readonly epoch: number;
  readonly founding: boolean;
  /** Whether it makes its sender a member. */
  readonly external: boolean;
}
interface Framing {
  readonly conversationId: Id;
  readonly epoch: bigint;
  readonly external: boolean;
}

function readCommit(bytes: Uint8Array): Framing | undefined {
  const framing = framed(bytes);
  if (framing?.kind !== "commit" || framing.conversationId === undefined || framing.epoch === undefined)
    return undefined;
  return { conversationId: framing.conversationId, epoch: framing.epoch, external: framing.external };
}

/** A bundle that cannot be read is aborted like any other that cannot be accepted; `undefined` for such bytes. */
function framed(bytes: Uint8Array): ReturnType<typeof framingOf> | undefined {
  try {
    return framingOf(bytes);
  } catch (error) {
    if (DeliveryError.is(error, "INVALID_REQUEST")) return undefined;
    throw error;
  }
}
