import type { SentBundle } from "conclave-mls/delivery-service";
import { inspectMessage, type MlsTransport, type MlsTransportResponse, type SendContext } from "conclave-mls";

/** A commit that a client has sent. */
export interface Sent {
  readonly from: string;
  readonly bundle: SentBundle;
  readonly context: SendContext;
}

/** What the server does with a commit instead of taking or refusing it by the rules. */
export type Whim = (sent: Sent, server: Server) => MlsTransportResponse | Promise<MlsTransportResponse>;

/**
 * A delivery service in memory that keeps the rules: one commit per epoch, the same commit answered the same, one order per
 * conversation, Welcomes only of accepted commits. A test can give it a whim for the sends to come.
 */
export class Server {
  /** Every send, in order. */
  readonly sends: Sent[] = [];
  /** Who has sent a second commit for an epoch without having been refused the first, and for which: no client may ever do that. */
  readonly forks: string[] = [];
  /** Answers the next questions for the log in place of the rules. */
  onFetch?: () => Promise<readonly Uint8Array[]>;
  readonly #whims: { whim: Whim; from: string | undefined }[] = [];
  readonly #tried = new Map<string, string>();
  readonly #accepted = new Map<string, string>();
  readonly #groupInfos = new Map<string, Uint8Array>();
  readonly #logs = new Map<string, Uint8Array[]>();
  readonly #welcomes = new Map<string, Uint8Array[]>();
  readonly #waiting: { count: number; reached: () => void }[] = [];

  /** Does this with the next sends, one each, before it keeps the rules again. */
  next(...whims: Whim[]): void {
    for (const whim of whims) this.#whims.push({ whim, from: undefined });
  }

  /** The same for the next sends of one client. */
  nextFrom(from: string, ...whims: Whim[]): void {
    for (const whim of whims) this.#whims.push({ whim, from });
  }

  /** The transport of one client; with `fetch` it can be asked for what it has. */
  transport(from: string, { fetch = true } = {}): MlsTransport {
    const transport: MlsTransport = {
      sendCommitBundle: async (bundle, context) => {
        const sent = { from, bundle, context };
        const whim = this.#whimFor(from);
        this.#record(sent);
        const answer = whim === undefined ? this.take(sent) : await whim(sent, this);
        if (answer.status === "abort") this.#tried.delete(placeOf(sent));
        return answer;
      },
    };
    if (fetch) {
      transport.fetchGroupInfo = async (conversationId) => this.groupInfo(conversationId);
      transport.fetchMessages = async (conversationId, fromEpoch) =>
        (await this.onFetch?.()) ??
        this.log(conversationId).filter((message) => inspectMessage(message).epoch! >= fromEpoch);
    }
    return transport;
  }

  /** What the rules say about a commit. */
  take({ bundle, context }: Sent): MlsTransportResponse {
    const place = `${context.epoch} ${context.conversationId}`;
    const accepted = this.#accepted.get(place);
    if (accepted === context.commitId) return { status: "success" };
    if (accepted !== undefined) return { status: "retry" };
    this.#accepted.set(place, context.commitId);
    this.post(bundle.commit);
    this.#groupInfos.set(context.conversationId, bundle.groupInfo);
    for (const { clientId } of context.welcomeTo) this.#welcomesOf(clientId).push(bundle.welcome!);
    return { status: "success" };
  }

  /** Appends a message to the log of its conversation. */
  post(message: Uint8Array): void {
    this.log(inspectMessage(message).conversationId!).push(message);
  }

  /** Everything that was sent in a conversation, in order. */
  log(conversationId: string): Uint8Array[] {
    let log = this.#logs.get(conversationId);
    if (log === undefined) this.#logs.set(conversationId, (log = []));
    return log;
  }

  /** The GroupInfo of the newest accepted commit. */
  groupInfo(conversationId: string): Uint8Array {
    const groupInfo = this.#groupInfos.get(conversationId);
    if (groupInfo === undefined) throw new Error("no such conversation");
    return groupInfo;
  }

  /** The Welcomes for a client, once. */
  takeWelcomes(clientId: string): Uint8Array[] {
    return this.#welcomesOf(clientId).splice(0);
  }

  /** Resolves when so many sends have been made. */
  async sent(count: number): Promise<void> {
    if (this.sends.length >= count) return;
    await new Promise<void>((reached) => this.#waiting.push({ count, reached }));
  }

  #whimFor(from: string): Whim | undefined {
    const place = this.#whims.findIndex((one) => one.from === undefined || one.from === from);
    return place === -1 ? undefined : this.#whims.splice(place, 1)[0]!.whim;
  }

  #record(sent: Sent): void {
    this.sends.push(sent);
    const place = placeOf(sent);
    if ((this.#tried.get(place) ?? sent.context.commitId) !== sent.context.commitId) this.forks.push(place);
    this.#tried.set(place, sent.context.commitId);
    for (const { count, reached } of this.#waiting) if (this.sends.length >= count) reached();
  }

  #welcomesOf(clientId: string): Uint8Array[] {
    let welcomes = this.#welcomes.get(clientId);
    if (welcomes === undefined) this.#welcomes.set(clientId, (welcomes = []));
    return welcomes;
  }
}

function placeOf({ from, context }: Sent): string {
  return JSON.stringify([from, context.conversationId, String(context.epoch)]);
}

/** Whims. Taken, but the answer is lost on the way. */
export const loseAnswer: Whim = (sent, server) => {
  server.take(sent);
  throw new Error("connection reset");
};

/** Not taken, and the sender is told to try again. */
export const sayRetry: Whim = () => ({ status: "retry" });

/** Refused for good. */
export const sayAbort: Whim = () => ({ status: "abort", reason: "not on my watch" });

/** Taken, and the sender is told to try again. */
export const takeAndSayRetry: Whim = (sent, server) => {
  server.take(sent);
  return { status: "retry" };
};

/** Not taken, no answer. */
export const sayNothing: Whim = () => new Promise(() => {});

/** Not taken, and the connection breaks. */
export const breakDown: Whim = () => {
  throw new Error("no route to host");
};
