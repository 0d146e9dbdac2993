import { Credential, type CredentialRef, Database, type Id, Session } from "conclave-mls";
import { type DeliveryService, transportOf } from "conclave-mls/delivery-service";
import { hash } from "../kills/run.js";
import { suite } from "../kills/client.js";
import type { Line } from "./message-store.js";

/** Who he is. */
export const BOB = "bob";

/** The one who talks to her, and who commits when she is about to. He remembers all that he has said. */
export class Bob implements AsyncDisposable {
  readonly session: Session;
  /** In this order. */
  readonly said: Line[] = [];
  readonly #service: DeliveryService;
  readonly #credential: CredentialRef;

  private constructor(session: Session, service: DeliveryService, credential: CredentialRef) {
    this.session = session;
    this.#service = service;
    this.#credential = credential;
  }

  static async comes(service: DeliveryService): Promise<Bob> {
    const transport = transportOf(service, BOB);
    const session = await Session.open(await Database.inMemory(), { clientId: BOB, transport });
    return new Bob(session, service, await session.addCredential(Credential.basic(BOB, { cipherSuite: suite })));
  }

  /** A conversation with these. */
  async founds(id: Id, clientIds: readonly Id[]): Promise<void> {
    const claimed = await Promise.all(clientIds.map((clientId) => this.#service.claimKeyPackage(clientId, suite)));
    const members = claimed.map((keyPackage) => keyPackage!.bytes);
    await this.session.createConversation(id, { credential: this.#credential, members });
  }

  async says(conversationId: Id, text: string): Promise<void> {
    const bytes = await this.session.conversation(conversationId).encrypt(Buffer.from(text));
    await this.#service.sendMessage(BOB, bytes);
    this.said.push({ messageId: hash(bytes), conversationId, text });
  }

  async commits(id: Id): Promise<void> {
    await this.session.conversation(id).updateKeys();
  }

  async reads(): Promise<void> {
    for (;;) {
      const entries = await this.#service.pull(BOB);
      if (entries.length === 0) return;
      await this.session.receive(entries.map(({ bytes }) => bytes));
      await this.#service.acknowledge(BOB, entries.at(-1)!.cursor);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.close();
  }
}
