import { Credential, Database, inspectMessage, type Received, Session } from "conclave-mls";
import { type DeliveryService, follow, transportOf } from "conclave-mls/delivery-service";
import { suite } from "./client.js";

/**
 * A member of every conversation that never dies and loses nothing, and that gets every ciphertext which was ever handed out,
 * sent or not. Two of one ratchet generation cannot both be read (RFC 9420 section 9.1 has each key deleted after its use):
 * the second one counts as a duplicate of a message that was never seen.
 */
export class Witness {
  readonly name: string;
  /** The texts that it has read, by message. */
  readonly read = new Map<string, string>();
  /** What must not happen, and has. */
  readonly wrong: string[] = [];
  /** Messages that were more epochs behind than anybody keeps when they were handed out. */
  tooOld = 0;
  readonly session: Session;
  readonly #service: DeliveryService;
  readonly #handshakes = new Set<string>();
  readonly #epochs = new Map<string, bigint>();
  readonly #over = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #reading: Promise<void> = Promise.resolve();

  private constructor(name: string, session: Session, service: DeliveryService) {
    this.name = name;
    this.session = session;
    this.#service = service;
  }

  /** Comes, publishes a key package that everybody can use, and reads whatever arrives. */
  static async comes(name: string, service: DeliveryService): Promise<Witness> {
    const session = await Session.open(await Database.inMemory(), {
      clientId: name,
      transport: transportOf(service, name),
    });
    const credential = await session.addCredential(Credential.basic(name, { cipherSuite: suite }));
    await service.publishKeyPackages(
      name,
      await session.generateKeyPackages(credential, { count: 1, lastResort: true }),
    );
    const witness = new Witness(name, session, service);
    witness.#following = witness.#follow();
    return witness;
  }

  /** Reads one message, after those that it was given before. */
  reads(bytes: Uint8Array): Promise<void> {
    this.#reading = this.#reading.then(() => this.#take(bytes));
    return this.#reading;
  }

  /** Reads what has arrived, and then what it is given and nothing else. */
  async readsTheRest(): Promise<void> {
    this.#over.abort();
    await this.#following;
    for (const { bytes } of await this.#service.pull(this.name, { limit: 1_000 })) await this.reads(bytes);
  }

  async leaves(): Promise<void> {
    this.#over.abort();
    await this.#following;
    await this.session.close();
  }

  async #follow(): Promise<void> {
    for await (const { bytes, cursor } of follow(this.#service, this.name, { signal: this.#over.signal })) {
      await this.reads(bytes);
      await this.#service.acknowledge(this.name, cursor);
    }
  }

  async #take(bytes: Uint8Array): Promise<void> {
    const isWelcome = inspectMessage(bytes).kind === "welcome";
    const received = isWelcome ? (await this.session.joinByWelcome(bytes)).received : await this.session.receive(bytes);
    received.forEach((one) => this.#judge(one));
  }

  #judge(one: Received): void {
    switch (one.type) {
      case "message": {
        const text = Buffer.from(one.plaintext).toString();
        if (this.read.has(one.messageId)) this.wrong.push(`the witness read a message twice: ${text}`);
        this.read.set(one.messageId, text);
        return;
      }
      case "ignored":
        // Handshakes are known by their hash; a message that counts as known and was never read has another one's key.
        if (one.why === "duplicate" && !this.read.has(one.messageId) && !this.#handshakes.has(one.messageId))
          this.wrong.push(`a ratchet generation was used twice in ${one.conversationId}, epoch ${one.epoch}`);
        return;
      case "commit":
        this.#handshakes.add(one.messageId);
        this.#epochs.set(one.conversationId, one.epoch + 1n);
        return;
      case "unreadable":
        if (one.why === "epoch-too-old" && (this.#epochs.get(one.conversationId) ?? 0n) > one.epoch + 5n)
          this.tooOld += 1;
        else this.wrong.push(`a message was unreadable for the witness: ${one.why} in ${one.conversationId}`);
        return;
      case "rejected":
        this.wrong.push(`the witness rejected something: ${one.code} ${one.reason}`);
        return;
      default:
        return;
    }
  }
}
