import type { Learnt } from "./commit-kind.js";
import { messageIdOf, type Name } from "./id.js";
import type { Flight } from "./lane.js";
import { readLog } from "./log.js";
import type { SessionState } from "./state.js";
import { fetchGroupInfo } from "./transport.js";

/**
 * Finds out from outside what became of an external commit: it is in the log, or a newer GroupInfo
 * shows whether its leaf is in the tree. When the conversation went on without it, it is dropped.
 */
export async function lookForJoin(
  state: SessionState,
  conversation: Name,
  flight: Flight,
  signal?: AbortSignal,
): Promise<Learnt> {
  const { commitId, epoch } = flight.staged;
  const log = { hasIt: false };
  // A server may well show its log to members only.
  const { cause } = await readLog(state, conversation.id, epoch, signal, (chunk) => {
    log.hasIt = chunk.some((message) => messageIdOf(message) === commitId);
    return Promise.resolve(log.hasIt ? "enough" : undefined);
  });
  if (log.hasIt) return { accepted: true };
  try {
    const groupInfo = await fetchGroupInfo(state, conversation.id, signal);
    if (groupInfo === undefined) return { cause };
    const fate = await state.direct.step((native) => native.judgeJoin(conversation.bytes, commitId, groupInfo));
    if (fate === "accepted") return { accepted: true };
    if (fate === "lost") {
      const dropped = await state.direct.step(
        (native) => native.dropJoin(conversation.bytes, commitId),
        (present) => {
          if (present) flight.settle("lost");
        },
      );
      return { wiped: !dropped && flight.outcome() === undefined };
    }
    return {};
  } catch (error) {
    state.refuseWhenClosed();
    return { cause: error };
  }
}
