import type { DeliveryService } from "../../delivery-service/index.js";
import { framingOf, messageIdOf } from "../../delivery-service/framing.js";
import type { Id } from "../../lib/index.js";
import type { History } from "./history.js";

/** What the delivery service has accepted, whatever the clients were told: the clients must come to the same in the end. */
export class Truth {
  readonly conversations = new Map<Id, AcceptedConversation>();
  readonly #genuine = new Set<Id>();
  readonly #history: History;

  constructor(history: History) {
    this.#history = history;
  }

  /** Whether these bytes, by their hash, were accepted as they are. */
  isGenuine(messageId: Id): boolean {
    return this.#genuine.has(messageId);
  }

  /** The same service, with a witness who notes what it accepts. */
  witnessing(service: DeliveryService): DeliveryService {
    return {
      publishKeyPackages: (...request) => service.publishKeyPackages(...request),
      claimKeyPackage: (...request) => service.claimKeyPackage(...request),
      countKeyPackages: (...request) => service.countKeyPackages(...request),
      fetch: (...request) => service.fetch(...request),
      groupInfo: (...request) => service.groupInfo(...request),
      pull: (...request) => service.pull(...request),
      acknowledge: (...request) => service.acknowledge(...request),
      close: () => service.close(),
      [Symbol.asyncDispose]: () => service.close(),
      sendCommit: async (clientId, bundle, claim) => {
        const answer = await service.sendCommit(clientId, bundle, claim);
        const added = claim.welcomeTo.map((addressee) => addressee.clientId);
        if (answer.status === "success") this.#noteCommit(clientId, bundle.commit, added, claim.removed);
        return answer;
      },
      sendMessage: async (clientId, message) => {
        const answer = await service.sendMessage(clientId, message);
        this.#noteMessage(clientId, message);
        return answer;
      },
    };
  }

  #noteCommit(by: Id, commit: Uint8Array, added: readonly Id[], removed: readonly Id[]): void {
    const messageId = messageIdOf(commit);
    if (this.#genuine.has(messageId)) return;
    this.#genuine.add(messageId);
    const { conversationId = "", epoch = 0n } = framingOf(commit);
    let conversation = this.conversations.get(conversationId);
    if (conversation === undefined) {
      conversation = new AcceptedConversation(conversationId, by);
      this.conversations.set(conversationId, conversation);
    }
    this.#history.count("commits accepted");
    // Who is no member and commits has joined by it, from outside.
    const joined = conversation.since(by) === undefined ? [by] : [];
    if (conversation.epoch === epoch) conversation.advance([...added, ...joined], removed);
    else this.#history.problem("server", `accepted a second commit of epoch ${epoch} of ${conversationId}`);
  }

  #noteMessage(by: Id, message: Uint8Array): void {
    const messageId = messageIdOf(message);
    const { conversationId = "", epoch = 0n } = framingOf(message);
    if (this.#genuine.has(messageId)) return;
    this.#genuine.add(messageId);
    this.#history.count("messages accepted");
    this.conversations.get(conversationId)?.messages.push({ messageId, by, epoch });
  }
}

/** A conversation as the service knows it. */
export class AcceptedConversation {
  readonly id: Id;
  /** The epoch that the last accepted commit began. */
  epoch = 0n;
  readonly messages: AcceptedMessage[] = [];
  readonly #stays = new Map<Id, { since: bigint; until: bigint | undefined }[]>();

  constructor(id: Id, founder: Id) {
    this.id = id;
    this.#stays.set(founder, [{ since: 0n, until: undefined }]);
  }

  /** Notes a commit of the present epoch. */
  advance(added: readonly Id[], removed: readonly Id[]): void {
    this.epoch += 1n;
    for (const client of removed) {
      const present = this.#present(client);
      if (present !== undefined) present.until = this.epoch;
    }
    for (const client of added) {
      const stays = this.#stays.get(client) ?? [];
      this.#stays.set(client, [...stays, { since: this.epoch, until: undefined }]);
    }
  }

  /** Who is in it now. */
  get members(): Id[] {
    return [...this.#stays.keys()].filter((client) => this.since(client) !== undefined).sort();
  }

  /** From which epoch on this client has been in it without a break; undefined when it is not in it. */
  since(client: Id): bigint | undefined {
    return this.#present(client)?.since;
  }

  #present(client: Id) {
    return this.#stays.get(client)?.find(({ until }) => until === undefined);
  }
}

/** An application message that the service has stored. */
export interface AcceptedMessage {
  readonly messageId: Id;
  readonly by: Id;
  readonly epoch: bigint;
}
