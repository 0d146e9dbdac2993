import type { DeliveryService, MembershipClaim, SentBundle } from "../../delivery-service/index.js";
import { framingOf, messageIdOf } from "../../delivery-service/framing.js";
import type { Id, MlsConversation } from "../../lib/index.js";
import type { History } from "./history.js";

/** What the delivery service has accepted, whatever the clients were told: the clients must come to the same in the end. */
export class Truth {
  readonly conversations = new Map<Id, AcceptedConversation>();
  /** Clients of another make: what they send proves nothing. */
  readonly guests = new Set<Id>();
  readonly #accepted = new Set<Id>();
  readonly #genuine = new Set<Id>();
  /** When a key package was handed out last, by its ref. */
  readonly #handedOut = new Map<Id, number>();
  readonly #owners = new Map<string, Id>();
  /** Who applied a commit, and who said that no client can: one of each, by the hash of the commit. */
  readonly #applied = new Map<Id, Id>();
  readonly #called = new Map<Id, Id>();
  readonly #history: History;

  constructor(history: History) {
    this.#history = history;
  }

  /** Somebody has read what was signed with this key: it is nobody else's. */
  notesKey(reader: Id, owner: Id, signatureKey: Uint8Array): void {
    const key = Buffer.from(signatureKey).toString("hex");
    const before = this.#owners.get(key) ?? owner;
    this.#owners.set(key, before);
    if (before !== owner) this.#history.problem(reader, `was shown a key of ${before} as one of ${owner}`);
  }

  /** Somebody applied this commit. */
  notesApplied(client: Id, commitId: Id): void {
    this.#applied.set(commitId, client);
    this.#comparesFates(commitId);
  }

  /** Somebody says that no client applies this commit. */
  notesInvalid(client: Id, commitId: Id): void {
    this.#called.set(commitId, client);
    this.#comparesFates(commitId);
  }

  /** Whether a guest's commit was accepted anywhere: not all errors say which conversation they are about. */
  get isAnythingInDoubt(): boolean {
    return [...this.conversations.keys()].some((id) => this.isInDoubt(id));
  }

  /** Whether a guest's commit was accepted there, so that the people may have parted from the server. */
  isInDoubt(conversationId: Id): boolean {
    return (this.conversations.get(conversationId)?.ofGuests.size ?? 0) > 0;
  }

  #comparesFates(commitId: Id): void {
    const [applied, called] = [this.#applied.get(commitId), this.#called.get(commitId)];
    if (applied === undefined || called === undefined) return;
    this.#history.problem(called, `calls a commit invalid for everybody, which ${applied} has applied`);
  }

  /** Whether these bytes, by their hash, were accepted as they are, and come from no guest. */
  isGenuine(messageId: Id): boolean {
    return this.#genuine.has(messageId);
  }

  /** The same service, with a witness who notes what it accepts. */
  witnessing(service: DeliveryService): DeliveryService {
    return {
      publishKeyPackages: (...request) => service.publishKeyPackages(...request),
      claimKeyPackage: async (...request) => {
        // The server's clock is right. The service behind this may go by the machine's.
        for (;;) {
          const keyPackage = await service.claimKeyPackage(...request);
          if (keyPackage === undefined) return undefined;
          if (keyPackage.notAfter.getTime() > this.#history.now()) {
            this.#handedOut.set(keyPackage.ref, this.#history.now());
            return keyPackage;
          }
          if (keyPackage.lastResort) return undefined;
        }
      },
      countKeyPackages: (...request) => service.countKeyPackages(...request),
      withdrawKeyPackages: (...request) => service.withdrawKeyPackages(...request),
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

  #noteCommit(by: Id, { commit, groupInfo }: SentBundle, { welcomeTo, removed }: MembershipClaim): void {
    const messageId = messageIdOf(commit);
    if (!this.#isNew(by, messageId)) return;
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
    const ofGuest = this.guests.has(by);
    if (ofGuest) conversation.ofGuests.add(messageId);
    if (ofGuest && external) conversation.ofGuestsFromOutside.add(messageId);
    this.#history.count(ofGuest ? "commits of guests accepted" : "commits accepted");
    if (external && !ofGuest)
      this.#history.count(removed.includes(by) ? "members joined anew" : "members joined from outside");
    if (external && !conversation.open)
      this.#history.problem("server", `let ${by} into ${conversationId}, which is closed`);
    if (conversation.epoch !== epoch) {
      this.#history.problem("server", `accepted a second commit of epoch ${epoch} of ${conversationId}`);
      return;
    }
    const invited = welcomeTo.map(({ clientId, keyPackageRef }) => ({
      client: clientId,
      at: this.#handedOut.get(keyPackageRef) ?? this.#history.now(),
    }));
    conversation.advance({ invited, removed, ...(external && { joined: { client: by, commitId: messageId } }) });
  }

  #isNew(by: Id, messageId: Id): boolean {
    if (this.#accepted.has(messageId)) return false;
    this.#accepted.add(messageId);
    if (!this.guests.has(by)) this.#genuine.add(messageId);
    return true;
  }

  #noteMessage(by: Id, message: Uint8Array): void {
    const messageId = messageIdOf(message);
    const { conversationId = "", epoch = 0n } = framingOf(message);
    if (!this.#isNew(by, messageId)) return;
    this.#history.count(this.guests.has(by) ? "messages of guests accepted" : "messages accepted");
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
  /** The commits of guests that were accepted, by their hashes. The people may have refused them. */
  readonly ofGuests = new Set<Id>();
  /** Those among them that join from outside. */
  readonly ofGuestsFromOutside = new Set<Id>();
  /** Whether somebody did not apply one of them. */
  hasStalled = false;
  readonly #stays = new Map<Id, Stay[]>();

  /** What those who were asked in an epoch had, and who was the first of them. */
  readonly #shared = new Map<bigint, { readonly by: Id; readonly secrets: string }>();
  readonly #history: History;

  constructor(id: Id, founder: Id, open: boolean, history: History) {
    this.id = id;
    this.open = open;
    this.#history = history;
    this.#stays.set(founder, [{ since: 0n, at: history.now(), until: undefined, joinedBy: undefined }]);
  }

  /** Notes a commit of the present epoch. Who joins anew is removed by the same commit, and stays from the next epoch on. */
  advance({ invited, removed, joined }: AcceptedChange): void {
    this.epoch += 1n;
    for (const client of removed) {
      const present = this.stay(client);
      if (present !== undefined) present.until = this.epoch;
    }
    for (const { client, at } of invited) this.#begins(client, { at, joinedBy: undefined });
    if (joined !== undefined) this.#begins(joined.client, { at: this.#history.now(), joinedBy: joined.commitId });
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

  #begins(client: Id, { at, joinedBy }: Pick<Stay, "at" | "joinedBy">): void {
    const stays = this.#stays.get(client) ?? [];
    this.#stays.set(client, [...stays, { since: this.epoch, at, until: undefined, joinedBy }]);
  }
}

/** What a commit did to those in a conversation. */
interface AcceptedChange {
  /** And when the key package for it was handed out. */
  readonly invited: readonly { readonly client: Id; readonly at: number }[];
  readonly removed: readonly Id[];
  /** Who made it from outside, and the hash of it. */
  readonly joined?: { readonly client: Id; readonly commitId: Id };
}

/** The time that a client was in a conversation without a break. */
interface Stay {
  readonly since: bigint;
  /** When it began, or the key package for it was handed out, in simulated milliseconds. */
  readonly at: number;
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
