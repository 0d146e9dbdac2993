import { createHash } from "node:crypto";
import type { Bytes, Id, Received } from "conclave-mls";
import type { Line } from "./record.js";

/**
 * What one person sees on the screen: every line once, in the one order that the delivery service gave them. A real application
 * keeps it in a database, with the message id as primary key and INSERT OR IGNORE.
 */
export class MessageList {
  readonly lines: Line[] = [];
  /** How many messages were delivered that are on the list already. */
  again = 0;
  /** What cannot happen as long as everybody is honest. */
  readonly trouble: string[] = [];
  readonly #shown = new Set<Id>();
  readonly #sent = new Map<Id, Line>();

  /** Own lines take their place on the list when they come back from the delivery service: only it knows the order. */
  willComeBack(message: Bytes, by: string, text: string): Line {
    const line = { messageId: createHash("sha256").update(message).digest("hex"), by, text };
    this.#sent.set(line.messageId, line);
    return line;
  }

  /** For `SessionOptions.deliver`: takes in whatever was received, in the same transaction. */
  readonly deliver = (received: readonly Received[]): void => {
    for (const one of received) this.#take(one);
  };

  #take(received: Received): void {
    const { messageId } = received;
    switch (received.type) {
      case "message":
        if (this.#shown.has(messageId)) this.again += 1;
        this.#show({ messageId, by: received.sender.clientId, text: new TextDecoder().decode(received.plaintext) });
        break;
      case "ignored": {
        // Our own comes back more than once when a retry reads the log again.
        const own = received.why === "own" ? this.#sent.get(messageId) : undefined;
        if (own !== undefined) this.#show(own);
        break;
      }
      case "welcome": // The loop that pulls will join by it.
      case "commit": // The session's events tell more.
        break;
      case "rejected":
        this.trouble.push(`rejected: ${received.code}`);
        break;
      case "unreadable":
        // To somebody who was removed this is what must happen.
        if (received.why !== "removed") this.trouble.push(`unreadable: ${received.why}`);
        break;
      case "waiting":
        this.trouble.push(`waiting for a ${received.for}`);
        break;
      case "proposal":
        this.trouble.push("a proposal that nobody made");
        break;
    }
  }

  #show(line: Line): void {
    if (this.#shown.has(line.messageId)) return;
    this.#shown.add(line.messageId);
    this.lines.push(line);
  }
}
