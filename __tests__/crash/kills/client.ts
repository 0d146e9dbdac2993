import {
  Credential,
  type CredentialRef,
  Database,
  type DatabaseKey,
  inspectMessage,
  MlsError,
  type Received,
  Session,
} from "conclave-mls";
import { DeliveryError, type DeliveryService, type QueueEntry, transportOf } from "conclave-mls/delivery-service";
import { tell, told } from "./reports.js";

/** Who a worker is. */
export interface Settings {
  readonly name: string;
  /** The other workers and the witness: whom it invites. */
  readonly others: readonly string[];
  readonly path: string;
  /** Whether everything received goes through `deliver`, so that nothing may be missed. */
  readonly delivers: boolean;
}

/** The suite of all clients here. */
export const suite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** One client with its keystore and its place at the delivery service, telling everything that matters to its parent. */
export class Client {
  readonly settings: Settings;
  readonly service: DeliveryService;
  readonly #key: DatabaseKey;
  #session: Session | undefined;
  #credential: CredentialRef | undefined;
  /** While the session is closed and opened again, the listener waits. */
  #reopening: Promise<void> = Promise.resolve();

  constructor(settings: Settings, key: DatabaseKey, service: DeliveryService) {
    this.settings = settings;
    this.service = service;
    this.#key = key;
  }

  get session(): Session {
    return this.#session!;
  }

  get credential(): CredentialRef {
    return this.#credential!;
  }

  async open(): Promise<void> {
    const { name, path, delivers } = this.settings;
    this.#session = await Session.open(await Database.open(path, this.#key), {
      clientId: name,
      transport: transportOf(this.service, name),
      ...(delivers && { deliver: (received: readonly Received[]) => received.forEach(tellReceived) }),
    });
    const [known] = await this.#session.credentials();
    this.#credential = known ?? (await this.#session.addCredential(Credential.basic(name, { cipherSuite: suite })));
  }

  async close(): Promise<void> {
    await this.session.close();
  }

  /** Closes and opens again, in the middle of everything else. */
  async reopen(): Promise<void> {
    this.#reopening = this.close().then(() => this.open());
    await this.#reopening;
  }

  /** Sends a message that was handed out. That it was is told first; and now and then it never gets any further. */
  async send(bytes: Uint8Array, text: string, { lost = false } = {}): Promise<void> {
    tell({ about: "sealed", bytes: told(bytes), text });
    if (!lost) await this.service.sendMessage(this.settings.name, bytes);
  }

  /** Receives whatever comes, for ever. */
  async listen(): Promise<never> {
    for (;;) {
      await this.#reopening;
      await this.tolerate("listen", () => this.receiveOnce(50));
    }
  }

  /** Receives what waits, and acknowledges it. Answers how many there were. */
  async receiveOnce(waitMs: number): Promise<number> {
    const { name, delivers } = this.settings;
    const entries = await this.service.pull(name, { waitMs, limit: 20 });
    const isWelcome = ({ bytes }: QueueEntry): boolean => inspectMessage(bytes).kind === "welcome";
    const received = await this.session.receive(entries.filter((one) => !isWelcome(one)).map(({ bytes }) => bytes));
    if (!delivers) received.forEach(tellReceived);
    for (const welcome of entries.filter(isWelcome)) await this.#join(welcome);
    if (entries.length > 0) await this.service.acknowledge(name, entries.at(-1)!.cursor);
    return entries.length;
  }

  async receiveAll(): Promise<void> {
    while ((await this.receiveOnce(0)) > 0);
  }

  /** Does everything that is left to do. */
  async settleAll(): Promise<void> {
    for (let open = -1; open !== 0;) {
      await this.receiveAll();
      open = (await this.session.settle()).length;
    }
    await this.receiveAll();
  }

  /** Commits in every conversation that it is in. */
  async updateEverywhere(): Promise<void> {
    for (const id of await this.activeConversations()) await this.session.conversation(id).updateKeys();
  }

  async tellState(): Promise<void> {
    for (const id of await this.activeConversations()) {
      const conversation = this.session.conversation(id);
      const [epoch, authenticator] = [await conversation.epoch(), await conversation.epochAuthenticator()];
      tell({ about: "state", conversation: id, epoch: String(epoch), authenticator: told(authenticator) });
    }
  }

  /** The conversations that this client is a member of. */
  async activeConversations(): Promise<string[]> {
    const ids = await this.session.conversations();
    const active = await Promise.all(ids.map((id) => this.session.conversation(id).active()));
    return ids.filter((_, index) => active[index]);
  }

  /** Does something that may fail as calls may fail here, and tells how; any other failure is wrong. */
  async tolerate(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = MlsError.is(error) || DeliveryError.is(error) ? error.code : undefined;
      if (code !== undefined && TOLERATED.has(code)) tell({ about: "refused", what, code });
      else tell({ about: "wrong", what: `${what}: ${describe(error)}` });
    }
  }

  async #join({ bytes }: QueueEntry): Promise<void> {
    // Killed between joining and acknowledging, it gets the Welcome once more.
    const { received } = await this.session.joinByWelcome(bytes);
    if (!this.settings.delivers) received.forEach(tellReceived);
  }
}

/** What a call may come to in this life: others were faster, the answer got lost, the session was just closed. */
const TOLERATED = new Set<string>([
  "ALREADY_MEMBER",
  "COMMIT_LOST",
  "COMMIT_OUTCOME_UNKNOWN",
  "COMMIT_REJECTED",
  "CONVERSATION_BEHIND",
  "CONVERSATION_INACTIVE",
  "CONVERSATION_NOT_FOUND",
  "EPOCH_TOO_OLD",
  "NOT_A_MEMBER",
  "RETRY_EXHAUSTED",
  "SESSION_CLOSED",
]);

function tellReceived(one: Received): void {
  if (one.type === "message") {
    tell({ about: "read", messageId: one.messageId, text: Buffer.from(one.plaintext).toString() });
  } else if (one.type === "unreadable" && one.why === "removed") {
    tell({ about: "read", messageId: one.messageId, text: "" });
  } else if (one.type === "rejected") {
    tell({ about: "rejected", messageId: one.messageId, reason: `${one.code} ${one.reason}` });
  } else if (one.type === "unreadable") {
    tell({
      about: "unreadable",
      messageId: one.messageId,
      why: `${one.why} in ${one.conversationId}, epoch ${one.epoch}`,
    });
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? `${String(error.code)} ` : "";
  return `${code}${error.message}${error.cause === undefined ? "" : ` (${describe(error.cause)})`}`;
}
