import type { MlsTransport, SendContext } from "conclave-mls";

/**
 * A gate before the transport. While it is closed, a commit stays in front of it: made and stored, but not sent. Two people who
 * both stand at closed gates have made commits for the same epoch, and only one of the two can be accepted.
 */
export class Gate {
  readonly transport: MlsTransport;
  #arrive: (context: SendContext) => void = () => {};
  #open: () => void = () => {};
  #opened: Promise<void> = Promise.resolve();

  /** `onRetry` is called when the answer to a commit is "retry". */
  constructor(behind: MlsTransport, onRetry: () => void) {
    this.transport = {
      ...behind,
      sendCommitBundle: async (bundle, context) => {
        this.#arrive(context);
        await this.#opened;
        const answer = await behind.sendCommitBundle(bundle, context);
        if (answer.status === "retry") onRetry();
        return answer;
      },
    };
  }

  /** Closes the gate. Resolves when a commit stands before it. */
  close(): Promise<SendContext> {
    this.#opened = new Promise((open) => (this.#open = open));
    return new Promise((arrive) => (this.#arrive = arrive));
  }

  /** Opens the gate, for good. */
  open(): void {
    this.#open();
  }
}
