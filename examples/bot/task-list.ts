import type { Deliver, Id, Operations, Received } from "conclave-mls";

/** Something the bot was asked and has not answered yet. */
export interface Task {
  readonly messageId: Id;
  readonly request: string;
  /** The encrypted answer, in base64. From here on it is only to be sent. */
  readonly answer?: string | undefined;
}

/**
 * The tasks of each conversation, in the keystore itself, by `setData`. A request is written down in the transaction that decrypts
 * it, and the answer in the one that encrypts it. So there is no moment to be killed at and forget a request, or answer it twice.
 */
export class TaskList {
  /** Conversations with new tasks. */
  readonly due = new Set<Id>();
  /** All requests since the start by their message ids, for those who want to check. */
  readonly requests = new Map<Id, { conversationId: Id; request: string }>();
  /** What cannot happen as long as everybody is honest. */
  readonly trouble: string[] = [];
  /** Called with each new task; may look, but not use the session: it is in the middle of a transaction. */
  onDue: () => void = () => {};

  /** For `SessionOptions.deliver`. */
  readonly deliver: Deliver = async (received, tx) => {
    for (const one of received) {
      if (one.type === "message") {
        const { messageId, conversationId } = one;
        const request = new TextDecoder().decode(one.plaintext);
        await this.#change(tx, conversationId, (tasks) => [...tasks, { messageId, request }]);
        this.requests.set(messageId, { conversationId, request });
        this.due.add(conversationId);
      }
      const trouble = troubleIn(one);
      if (trouble !== undefined) this.trouble.push(trouble);
    }
    this.onDue();
  };

  /** The oldest task of a conversation. */
  async next(tx: Operations, conversationId: Id): Promise<Task | undefined> {
    return (await tasksIn(tx, conversationId))[0];
  }

  /** The oldest one has this answer now; with undefined it needs one again. */
  async setAnswer(tx: Operations, conversationId: Id, answer: Uint8Array | undefined): Promise<void> {
    const text = answer === undefined ? undefined : Buffer.from(answer).toString("base64");
    await this.#change(tx, conversationId, ([task, ...later]) => (task ? [{ ...task, answer: text }, ...later] : []));
  }

  /** The oldest one is done. */
  async remove(tx: Operations, conversationId: Id): Promise<void> {
    await this.#change(tx, conversationId, (tasks) => tasks.slice(1));
  }

  /** Nothing is left to do in this conversation. */
  async clear(tx: Operations, conversationId: Id): Promise<void> {
    await this.#change(tx, conversationId, () => []);
  }

  async #change(tx: Operations, conversationId: Id, how: (tasks: Task[]) => Task[]): Promise<void> {
    const tasks = how(await tasksIn(tx, conversationId));
    const value = tasks.length === 0 ? null : new TextEncoder().encode(JSON.stringify(tasks));
    await tx.setData(keyOf(conversationId), value);
  }
}

/** What of this an honest server and honest members never cause. */
export function troubleIn(received: Received): string | undefined {
  if (received.type === "rejected") return `rejected: ${received.reason}`;
  // To somebody who was removed this is what must happen.
  if (received.type === "unreadable" && received.why !== "removed") return `unreadable: ${received.why}`;
  return undefined;
}

async function tasksIn(tx: Operations, conversationId: Id): Promise<Task[]> {
  const value = await tx.data(keyOf(conversationId));
  return value === undefined ? [] : (JSON.parse(new TextDecoder().decode(value)) as Task[]);
}

const keyOf = (conversationId: Id): string => `tasks of ${conversationId}`;
