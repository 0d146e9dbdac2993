import type { DeliveryService, MembershipClaim } from "../../delivery-service/index.js";
import { framingOf, messageIdOf } from "../../delivery-service/framing.js";
import type { CommitBundle, Id, MlsConversation } from "../../lib/index.js";
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
        if (answer.status === "success") this.#noteCommit(clientId, bundle, claim);
        return answer;
      },
      sendMessage: async (clientId, message) => {
        const answer = await service.sendMessage(clientId, message);
        this.#noteMessage(clientId, message);
        return answer;
      },
    };
  }

  #noteCommit(by: Id, { commit, groupInfo }: CommitBundle, { welcomeTo, removed }: MembershipClaim): void {
    const messageId = messageIdOf(commit);
    if (this.#genuine.has(messageId)) return;
    this.#genuine.add(messageId);
    const { conversationId = "", epoch = 0n, external } = framingOf(commit);
    let conversation = this.conversations.get(conversationId);
    if (conversation === undefined) {
      conversation = new AcceptedConversation(
        conversationId,
        by,
        framingOf(groupInfo).externalJoin === true,
        this.#history,
      );
      this.conversations.set(conversationId, conversation);
    }
    this.#history.count("commits accepted");
    if (external) this.#history.count(removed.includes(by) ? "members joined anew" : "members joined from outside");
    if (external && !conversation.open)
      this.#history.problem("server", `let ${by} into ${conversationId}, which is closed`);
    if (conversation.epoch !== epoch) {
      this.#history.problem("server", `accepted a second commit of epoch ${epoch} of ${conversationId}`);
      return;
    }
    const invited = welcomeTo.map(({ clientId }) => clientId);
    conversation.advance({ invited, removed, ...(external && { joined: { client: by, commitId: messageId } }) });
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
  /** Whether it lets join from outside. */
  readonly open: boolean;
  /** The epoch that the last accepted commit began. */
  epoch = 0n;
  readonly messages: AcceptedMessage[] = [];
  readonly #stays = new Map<Id, Stay[]>();

  /** What those who were asked in an epoch had, and who was the first of them. */
  readonly #shared = new Map<bigint, { readonly by: Id; readonly secrets: string }>();
  readonly #history: History;

  constructor(id: Id, founder: Id, open: boolean, history: History) {
    this.id = id;
    this.open = open;
    this.#history = history;
    this.#stays.set(founder, [{ since: 0n, until: undefined, joinedBy: undefined }]);
  }

  /** Notes a commit of the present epoch. Who joins anew is removed by the same commit, and stays from the next epoch on. */
  advance({ invited, removed, joined }: AcceptedChange): void {
    this.epoch += 1n;
    for (const client of removed) {
      const present = this.stay(client);
      if (present !== undefined) present.until = this.epoch;
    }
    for (const client of invited) this.#begins(client, undefined);
    if (joined !== undefined) this.#begins(joined.client, joined.commitId);
  }

  /** Whoever is in an epoch has the same secrets there, and nobody is in one that was not accepted. */
  compare(client: Id, { epoch, secrets }: SharedEpoch): void {
    if (epoch > this.epoch) this.#history.problem(client, `is in epoch ${epoch} of ${this.id}, which nobody accepted`);
    const first = this.#shared.get(epoch);
    if (first === undefined) this.#shared.set(epoch, { by: client, secrets });
    else if (first.secrets !== secrets) {
      const words = `${first.by} and ${client} have different epoch authenticators in epoch ${epoch} of ${this.id}`;
      this.#history.problem("everyone", words);
    }
  }

  /** Who is in it now. */
  get members(): Id[] {
    return [...this.#stays.keys()].filter((client) => this.stay(client) !== undefined).sort();
  }

  /** From which epoch on this client has been in it without a break; undefined when it is not in it. */
  since(client: Id): bigint | undefined {
    return this.stay(client)?.since;
  }

  /** The present stay of this client; undefined when it is not in it. */
  stay(client: Id): Stay | undefined {
    return this.#stays.get(client)?.find(({ until }) => until === undefined);
  }

  #begins(client: Id, joinedBy: Id | undefined): void {
    const stays = this.#stays.get(client) ?? [];
    this.#stays.set(client, [...stays, { since: this.epoch, until: undefined, joinedBy }]);
  }
}

/** What a commit did to those in a conversation. */
interface AcceptedChange {
  readonly invited: readonly Id[];
  readonly removed: readonly Id[];
  /** Who made it from outside, and the hash of it. */
  readonly joined?: { readonly client: Id; readonly commitId: Id };
}

/** The time that a client was in a conversation without a break. */
interface Stay {
  readonly since: bigint;
  /** The first epoch it was not in any more. */
  until: bigint | undefined;
  /** The external commit that it came by; undefined when it was invited. */
  readonly joinedBy: Id | undefined;
}

/** What all who are in an epoch must have in common. */
export interface SharedEpoch {
  readonly epoch: bigint;
  /** The epoch authenticator and an exported secret. */
  readonly secrets: string;
}

/** What this client has of its present epoch; to be asked where no commit can come between. */
export async function sharedEpochOf(conversation: MlsConversation): Promise<SharedEpoch> {
  const epoch = await conversation.epoch();
  const authenticator = await conversation.epochAuthenticator();
  const exported = await conversation.exportSecret("simulation", new Uint8Array([1, 2, 3]), 16);
  return { epoch, secrets: Buffer.concat([authenticator, exported]).toString("hex") };
}

/** An application message that the service has stored. */
export interface AcceptedMessage {
  readonly messageId: Id;
  readonly by: Id;
  readonly epoch: bigint;
}
