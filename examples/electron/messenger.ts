import { join } from "node:path";
import {
  type CipherSuite,
  Credential,
  type CredentialRef,
  Database,
  type Id,
  type Received,
  Session,
} from "conclave-mls";
import { type DeliveryService, transportOf } from "conclave-mls/delivery-service";
import { type Connect, Connection, type Socket, type SocketEvents } from "./connection.js";
import { DecryptQueue } from "./decrypt-queue.js";
import { keyOf, keystoreIn, type SafeStorage } from "./keystore-key.js";
import { type Draft, type Message, MessageStore, type Notice } from "./message-store.js";
import { Outbox } from "./outbox.js";

const CIPHER_SUITE: CipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
/** Others claim them to invite this client while it is away. */
const KEY_PACKAGES = 50;

/** What a messenger is made of. */
export interface Parts {
  /** Where its files are; one for each client. */
  readonly folder: string;
  readonly clientId: Id;
  readonly safeStorage: SafeStorage;
  /** Closed with the messenger. */
  readonly service: DeliveryService;
  readonly connect: Connect;
  /** There is something new to show. Must not throw. */
  readonly onChange: () => void;
}

/** The main process without Electron: opens everything, stays connected, and is what the window can ask. */
export class Messenger {
  readonly #parts: Parts;
  readonly #store: MessageStore;
  readonly #session: Session;
  readonly #credential: CredentialRef;
  readonly #outbox: Outbox;
  readonly #connection: Connection;
  #trouble: string | undefined;

  /** Works offline, too. Rejects when the key or the keystore cannot be opened; the message is fit for the user. */
  static async open(parts: Parts): Promise<Messenger> {
    const { folder, clientId, service } = parts;
    using key = await keyOf(folder, parts.safeStorage);
    const database = await Database.open(keystoreIn(folder), key);
    const store = new MessageStore(join(folder, "messages.db"));
    const session = await Session.open(database, {
      clientId,
      transport: transportOf(service, clientId),
      deliver(received) {
        // Before the keystore stores it. If the process dies in between, it is delivered again, and kept once.
        store.keep(toKeep(received));
        parts.onChange();
      },
    });
    const [known] = await session.credentials();
    const credential =
      known ?? (await session.addCredential(Credential.basic(clientId, { cipherSuite: CIPHER_SUITE })));
    const messenger = new Messenger(parts, store, session, credential);
    messenger.#connection.open();
    return messenger;
  }

  private constructor(parts: Parts, store: MessageStore, session: Session, credential: CredentialRef) {
    this.#parts = parts;
    this.#store = store;
    this.#session = session;
    this.#credential = credential;
    this.#outbox = new Outbox(session, store, parts.service, parts.onChange);
    this.#connection = new Connection(parts.connect, (socket) => this.#listenerOf(socket));
    session.on("conversationChanged", ({ cause }) => {
      parts.onChange();
      void this.#outbox.flush();
      if (cause === "joined") void this.#publishKeyPackages().catch(() => {}); // Else with the next connection.
    });
    // Nobody knows whether a commit was accepted. A new connection finds out.
    session.on("commitUnsettled", () => this.#connection.again());
    session.on("commitSettled", ({ commitId, conversationId, outcome }) => {
      if (outcome === "merged") return;
      const text = `A change of "${conversationId}" did not take place. Try it again.`;
      store.keep({ messages: [], notices: [{ id: commitId, text }] });
      parts.onChange();
    });
  }

  /** Why nothing comes in although the server is there; undefined when all is well. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  messages(conversationId: Id): Message[] {
    return this.#store.messages(conversationId);
  }

  drafts(): Draft[] {
    return this.#store.drafts();
  }

  notices(): Notice[] {
    return this.#store.notices();
  }

  conversations(): Promise<Id[]> {
    return this.#session.conversations();
  }

  /**
   * Creates a conversation with these clients. When no answer comes it rejects with `COMMIT_OUTCOME_UNKNOWN`, and the next
   * connection settles it.
   */
  async create(conversationId: Id, clientIds: readonly Id[]): Promise<void> {
    const members = await Promise.all(
      clientIds.map(async (clientId) => {
        const keyPackage = await this.#parts.service.claimKeyPackage(clientId, CIPHER_SUITE);
        if (keyPackage === undefined) throw new Error(`${clientId} cannot be invited: no key package is left.`);
        return { keyPackage: keyPackage.bytes, clientId };
      }),
    );
    await this.#session.createConversation(conversationId, { credential: this.#credential, members });
  }

  /** Returns when it is stored; it is sent as soon as that is possible. */
  send(conversationId: Id, text: string): void {
    this.#store.addDraft(conversationId, text);
    this.#parts.onChange();
    void this.#outbox.flush();
  }

  /** Ends everything; what is on its way goes on at the next start. */
  async close(): Promise<void> {
    this.#connection.close();
    await this.#parts.service.close(); // Ends calls that wait for the network.
    await this.#session.close();
    await this.#outbox.flush();
    this.#store.close();
  }

  #listenerOf(socket: Socket): SocketEvents {
    const queue = new DecryptQueue(
      this.#session,
      async (cursor) => {
        await socket.acknowledge(cursor);
        this.#connection.works();
        this.#showTrouble(undefined);
      },
      (error) => {
        this.#showTrouble(error);
        socket.close();
      },
    );
    return {
      open: () => void this.#online().catch(() => socket.close()),
      message: (arrival) => queue.push(arrival),
      close: () => queue.stop(),
    };
  }

  /** What has waited for a connection. */
  async #online(): Promise<void> {
    const open = await this.#session.settle();
    await this.#publishKeyPackages();
    await this.#outbox.flush();
    if (open.length > 0) this.#connection.again();
  }

  async #publishKeyPackages(): Promise<void> {
    const { service, clientId } = this.#parts;
    if ((await service.countKeyPackages(clientId, CIPHER_SUITE)) >= KEY_PACKAGES / 2) return;
    const fresh = await this.#session.generateKeyPackages(this.#credential, { count: KEY_PACKAGES });
    await service.publishKeyPackages(clientId, fresh);
  }

  #showTrouble(error: unknown): void {
    const trouble = error instanceof Error ? error.message : undefined;
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#parts.onChange();
  }
}

/** What the user is to see of it. The other kinds lose nothing and need nobody. */
function toKeep(received: readonly Received[]): { messages: Message[]; notices: Notice[] } {
  const messages: Message[] = [];
  const notices: Notice[] = [];
  for (const one of received) {
    const id = one.messageId;
    switch (one.type) {
      case "message": {
        const { conversationId, sender, plaintext } = one;
        const text = new TextDecoder().decode(plaintext);
        messages.push({ messageId: id, conversationId, sender: sender.clientId, text });
        break;
      }
      case "unreadable":
        notices.push({ id, text: `A message in "${one.conversationId}" is lost (${one.why}). Ask for it again.` });
        break;
      case "rejected":
        notices.push({ id, text: `Something that is no valid message was thrown away: ${one.reason}` });
        break;
      case "commit":
        if (!one.active) notices.push({ id, text: `You were removed from "${one.conversationId}".` });
        break;
      case "welcome":
      case "proposal":
      case "waiting":
      case "ignored":
        break;
    }
  }
  return { messages, notices };
}
