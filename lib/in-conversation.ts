import { idOf } from "./id.js";
import { withAnswers } from "./in-order.js";
import type { NativeDatabase } from "./native-binding.js";

/** The native calls on one conversation: its id is their first argument. */
export const conversationCalls: ReadonlySet<string> = new Set([
  "active",
  "clearCommit",
  "conversationState",
  "countAttempt",
  "createConversation",
  "dropJoin",
  "encrypt",
  "epoch",
  "epochAuthenticator",
  "exportSecret",
  "groupInfo",
  "judgeJoin",
  "markUnsettled",
  "members",
  "mergeCommit",
  "mergeJoin",
  "oldestReadableEpoch",
  "restageCommit",
  "stageCommit",
  "stageCreate",
  "stageExternalJoin",
  "stagedCommit",
  "stagedJoin",
  "wipe",
] satisfies (keyof NativeDatabase)[]);

/** The same native object; the error of a call on a conversation says which, unless the addon has said it. */
export function namingConversations<T extends object>(native: T): T {
  return withAnswers(native, (answer, call, [id]) => {
    if (!conversationCalls.has(call)) return answer;
    return answer.catch((error: unknown) => {
      // Only added to what was thrown: an error that is made here would not know who has called.
      const { details } = error as { details?: object };
      if (details !== undefined) Object.assign(details, { conversationId: idOf(id as Uint8Array), ...details });
      throw error;
    });
  });
}
