import { createHash } from "node:crypto";
import { MlsError, type Session } from "conclave-mls";
import { DeliveryError, type DeliveryService } from "conclave-mls/delivery-service";
import type { Draft, MessageStore } from "./message-store.js";

/**
 * Brings drafts to the server, in order. A draft is encrypted once, and its bytes are stored before they are sent: whoever gets no
 * answer, or is killed, sends the same bytes again, and the server stores a message once.
 */
export class Outbox {
  readonly #session: Session;
  readonly #store: MessageStore;
  readonly #service: DeliveryService;
  readonly #onChange: () => void;
  #flushing: Promise<void> | undefined;
  #again = false;

  constructor(session: Session, store: MessageStore, service: DeliveryService, onChange: () => void) {
    this.#session = session;
    this.#store = store;
    this.#service = service;
    this.#onChange = onChange;
  }

  /** Tries everything that waits. What cannot be sent now stays for the next time, and keeps its conversation's later ones back. */
  flush(): Promise<void> {
    this.#again = true;
    this.#flushing ??= this.#run().finally(() => (this.#flushing = undefined));
    return this.#flushing;
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const held = new Set<string>();
      for (const draft of this.#store.drafts()) {
        if (draft.problem !== null || held.has(draft.conversationId)) continue;
        if (!(await this.#send(draft))) held.add(draft.conversationId);
      }
    }
  }

  /** Whether the next one of its conversation may be sent. */
  async #send(draft: Draft): Promise<boolean> {
    try {
      const bytes = draft.bytes ?? (await this.#encrypted(draft));
      await this.#service.sendMessage(this.#session.clientId, bytes);
      const { conversationId, text } = draft;
      const messageId = createHash("sha256").update(bytes).digest("hex");
      this.#store.sent(draft, { messageId, conversationId, sender: this.#session.clientId, text });
      this.#onChange();
      return true;
    } catch (error) {
      if (!isForGood(error)) return this.#wait(draft, error);
      this.#store.setProblem(draft, error.message);
      this.#onChange();
      return true;
    }
  }

  async #encrypted(draft: Draft): Promise<Uint8Array> {
    const bytes = await this.#session.conversation(draft.conversationId).encrypt(new TextEncoder().encode(draft.text));
    this.#store.setBytes(draft, bytes);
    return bytes;
  }

  /** What has to happen first leads to a new epoch, or to a new connection, and both try again. */
  async #wait(draft: Draft, error: unknown): Promise<false> {
    if (MlsError.is(error, "PENDING_PROPOSALS")) {
      const conversation = this.#session.conversation(draft.conversationId);
      await conversation.commitPendingProposals().catch(() => {}); // If that fails, somebody else will do it.
    }
    // Not stored by the server, and never will be: it is encrypted anew when the newer commits are here.
    if (DeliveryError.is(error, "EPOCH_TOO_OLD")) this.#store.setBytes(draft, null);
    return false;
  }
}

function isForGood(error: unknown): error is Error {
  return (
    MlsError.is(error, "CONVERSATION_INACTIVE", "CONVERSATION_NOT_FOUND") || DeliveryError.is(error, "NOT_A_MEMBER")
  );
}
