import type { Id, MlsTransport } from "../lib/index.js";
import type { DeliveryService, QueueEntry } from "./service.js";

/** The transport of a session with this client id over a delivery service; hand it to `Session.open`. */
export function transportOf(service: DeliveryService, clientId: Id): MlsTransport {
  return {
    sendCommitBundle(bundle, { welcomeTo, change, signal }) {
      return service.sendCommit(clientId, bundle, {
        welcomeTo,
        removed: change.removed.map((member) => member.clientId),
        signal,
      });
    },
    async *fetchMessages(conversationId, fromEpoch, signal) {
      for (let after = 0; ;) {
        const entries = await service.fetch(clientId, conversationId, { fromEpoch, after, signal });
        const last = entries.at(-1);
        if (last === undefined) return;
        for (const { bytes } of entries) yield bytes;
        after = last.sequence;
      }
    },
    async fetchGroupInfo(conversationId) {
      return (await service.groupInfo(clientId, conversationId)).groupInfo;
    },
  };
}

/**
 * Everything that arrives for a client, one after the other, waiting where there is nothing: for as long as the service
 * answers, or until the signal, which ends the loop without an error. An entry that was not acknowledged comes again when
 * following anew.
 */
export async function* follow(
  service: DeliveryService,
  clientId: Id,
  { after = 0, signal }: { after?: number; signal?: AbortSignal } = {},
): AsyncGenerator<QueueEntry, void, undefined> {
  for (;;) {
    let entries: QueueEntry[];
    try {
      entries = await service.pull(clientId, { after, waitMs: 30_000, signal });
    } catch (error) {
      if (signal?.aborted) return;
      throw error;
    }
    for (const entry of entries) {
      if (signal?.aborted) return;
      after = entry.cursor;
      yield entry;
    }
  }
}
