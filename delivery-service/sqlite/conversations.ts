import type { Id } from "../../lib/index.js";
import type { Database } from "./database.js";
import type { Conversation } from "../rules/conversation.js";
import type { SaveConversation } from "../rules/decision.js";
import type { GroupInfoFacts } from "../rules/reading.js";

/** The epoch of each conversation, and the GroupInfo that describes it. */
export function conversationTable(database: Database) {
  const row = database.prepare<[Id], Row>(`
    SELECT epoch, external_join AS externalJoin,
      (SELECT max(sequence) FROM entries WHERE conversation = id AND sequence IS NOT NULL) AS lastSequence
    FROM conversations WHERE id = ?`);
  const groupInfo = database.prepare<[Id], Buffer>("SELECT group_info FROM conversations WHERE id = ?").pluck();
  const save = database.prepare(`
    INSERT INTO conversations (id, epoch, group_info, external_join)
    VALUES (@conversationId, @epoch, @groupInfo, @externalJoin)
    ON CONFLICT DO UPDATE SET
      epoch = excluded.epoch, group_info = excluded.group_info, external_join = excluded.external_join`);

  function find(conversationId: Id): Conversation | undefined {
    const found = row.get(conversationId);
    if (found === undefined) return undefined;
    return { ...found, epoch: BigInt(found.epoch), externalJoin: found.externalJoin === 1 };
  }

  return {
    /** `undefined` while no commit of it was accepted. */
    find,

    /** The same, with its GroupInfo. */
    findWithGroupInfo(conversationId: Id): GroupInfoFacts["conversation"] {
      const conversation = find(conversationId);
      const bytes = groupInfo.get(conversationId);
      return conversation && bytes && { ...conversation, groupInfo: new Uint8Array(bytes) };
    },

    save({ conversationId, epoch, groupInfo, externalJoin }: SaveConversation): void {
      save.run({ conversationId, epoch: Number(epoch), groupInfo, externalJoin: Number(externalJoin) });
    },
  };
}
export type ConversationTable = ReturnType<typeof conversationTable>;

interface Row {
  epoch: number;
  externalJoin: number;
  lastSequence: number;
}
