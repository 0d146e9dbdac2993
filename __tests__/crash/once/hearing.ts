import type { Deliver, Id, Operations } from "conclave-mls";
import type { Habit } from "./habits.js";
import type { Line, MessageStore } from "./message-store.js";
import type { Moments } from "./moments.js";

/** What her application does with the messages that are delivered to it. */
export class Hearing {
  readonly #store: MessageStore;
  readonly #habit: Habit;
  readonly #moment: Moments;
  /** What an application that stores afterwards has not stored yet. */
  readonly #unstored: Line[] = [];

  constructor(store: MessageStore, habit: Habit, moment: Moments) {
    this.#store = store;
    this.#habit = habit;
    this.#moment = moment;
  }

  /** Each message into the application's own database; and the keystore counts them, in the transaction that decrypts them. */
  readonly deliver: Deliver = async (received, tx) => {
    this.#moment("deliver begins");
    for (const one of received) {
      if (one.type !== "message") continue;
      const { messageId, conversationId, plaintext } = one;
      const line = { messageId, conversationId, text: Buffer.from(plaintext).toString() };
      if (this.#habit === "stores afterwards") this.#unstored.push(line);
      else this.#keep(line);
      const count = await countedIn(tx, conversationId);
      await tx.setData(countOf(conversationId), Buffer.from(String(count + 1)));
    }
    this.#moment("deliver ends");
  };

  /** The call in which something was delivered has returned. */
  hasReturned(): void {
    for (const line of this.#unstored.splice(0)) this.#keep(line);
  }

  #keep(line: Line): void {
    this.#moment("before storing a row");
    this.#store.keep(line);
    this.#moment("after storing a row");
  }
}

/** How many messages of a conversation the keystore has counted. */
export async function countedIn(operations: Operations, conversationId: Id): Promise<number> {
  return numberOf(await operations.data(countOf(conversationId)));
}

/** A number as it is kept by `setData`; 0 when there is none. */
export const numberOf = (value: Uint8Array | undefined): number => Number(Buffer.from(value ?? []).toString());

const countOf = (conversationId: Id): string => `count of ${conversationId}`;
