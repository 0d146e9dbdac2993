import { MlsError, type Session } from "conclave-mls";
import type { DeliveryService } from "conclave-mls/delivery-service";
import { messageIdOf } from "./message-list.js";

/** How long a question for something new may stay open, in milliseconds. */
const PATIENCE = 30_000;

/**
 * Takes what arrives, as much at once as there is, and acknowledges it when it is stored; until it is acknowledged it would come
 * again. Ends with the signal.
 */
export async function readWhatArrives(
  session: Session,
  service: DeliveryService,
  signal: AbortSignal,
  onProgress: () => void,
): Promise<void> {
  for (let after = 0; ;) {
    const entries = await service
      .pull(session.clientId, { after, waitMs: PATIENCE, signal })
      .catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    if (entries === undefined) return;
    const last = entries.at(-1);
    if (last === undefined) continue;
    after = last.cursor;
    const messages = entries.map(({ bytes }) => bytes);
    for (const received of await session.receive(messages)) {
      const welcome = messages.find(
        (bytes) => received.type === "welcome" && messageIdOf(bytes) === received.messageId,
      );
      if (welcome !== undefined) await joinBy(welcome, session);
    }
    await service.acknowledge(session.clientId, after);
    onProgress();
  }
}

async function joinBy(welcome: Uint8Array, session: Session): Promise<void> {
  try {
    await session.joinByWelcome(welcome);
  } catch (error) {
    // Killed before it could acknowledge, it gets once more also what came after: the removal that ended what this began.
    if (!MlsError.is(error, "WELCOME_WITHOUT_KEY_PACKAGE")) throw error;
  }
}
