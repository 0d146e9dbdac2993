import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type CipherSuite,
  Credential,
  type CredentialRef,
  type Database,
  type Deliver,
  type Id,
  type Invitee,
  MlsError,
  type MlsTransport,
  Session,
} from "conclave-mls";
import { DeliveryError, type DeliveryService, transportOf } from "conclave-mls/delivery-service";

const CIPHER_SUITE: CipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** In milliseconds, growing from one to the other. Over a real network, begin with 250 and end with 30,000. */
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 500;

/** A client that gets along with a bad network: the same for a bot as for people. */
export class Client {
  readonly name: Id;
  readonly service: DeliveryService;
  readonly session: Session;
  readonly counts: Counts;
  /** The epoch that each conversation is in. */
  readonly epochs = new Map<Id, bigint>();
  /** Resolves after `leave()`, and rejects when something goes wrong that no network explains. */
  readonly reading: Promise<void>;
  readonly #credential: CredentialRef;
  readonly #leaving = new AbortController();
  readonly #waiting = new Set<() => void>();

  /** Opens the session on this database and begins to read. */
  static async arrive(name: Id, service: DeliveryService, database: Database, deliver: Deliver): Promise<Client> {
    const counts = { commits: 0, retries: 0, unknown: 0, settled: 0 };
    const transport = counting(transportOf(service, name), counts);
    const session = await Session.open(database, { clientId: name, transport, deliver });
    const [known] = await session.credentials();
    const credential = known ?? (await session.addCredential(Credential.basic(name, { cipherSuite: CIPHER_SUITE })));
    return new Client(name, service, session, credential, counts);
  }

  private constructor(name: Id, service: DeliveryService, session: Session, credential: CredentialRef, counts: Counts) {
    this.name = name;
    this.service = service;
    this.session = session;
    this.counts = counts;
    this.#credential = credential;
    session.on("commitUnsettled", () => (counts.unknown += 1));
    session.on("commitSettled", () => (counts.settled += 1));
    session.on("conversationChanged", ({ conversationId, epoch }) => {
      this.epochs.set(conversationId, epoch);
      this.wake();
    });
    this.reading = this.#read(this.#leaving.signal);
  }

  /** Makes so many key packages, and one of last resort, and publishes them. */
  async publishKeyPackages(count: number): Promise<void> {
    const keyPackages = await this.session.generateKeyPackages(this.#credential, { count });
    const [last] = await this.session.generateKeyPackages(this.#credential, { count: 1, lastResort: true });
    const all = last === undefined ? keyPackages : [...keyPackages, last];
    await this.persist(() => this.service.publishKeyPackages(this.name, all));
  }

  /** A key package of this client, for adding it. */
  async invitationOf(clientId: Id): Promise<Invitee> {
    const claimed = await this.persist(() => this.service.claimKeyPackage(clientId, CIPHER_SUITE));
    if (claimed === undefined) throw new Error(`${clientId} has published no key package.`);
    return { keyPackage: claimed.bytes, clientId };
  }

  /** Creates a conversation with these clients. */
  async create(id: Id, clientIds: readonly Id[]): Promise<void> {
    const members = await Promise.all(clientIds.map((clientId) => this.invitationOf(clientId)));
    await this.commitUntil(
      id,
      (present) => present.size > 1,
      () => this.session.createConversation(id, { credential: this.#credential, members }),
    );
  }

  /**
   * Commits until it is so. Where the outcome of a commit is unknown, `settle` finds it out, and then the members tell whether
   * there is anything left to do: no bookkeeping, and nothing is done twice.
   */
  async commitUntil(
    id: Id,
    isSo: (members: ReadonlySet<Id>) => boolean,
    commit: () => Promise<unknown>,
  ): Promise<void> {
    while (!isSo(await this.membersOf(id))) {
      try {
        await commit();
      } catch (error) {
        if (MlsError.is(error, "COMMIT_LOST")) continue; // Others were faster, and nothing is open.
        if (!MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED")) throw error;
        await this.settle(id);
      }
    }
  }

  /** Until no commit of this conversation is open. */
  async settle(id: Id): Promise<void> {
    for (let failures = 0; ; failures++) {
      const open = await this.session.settle();
      if (!open.some(({ conversationId }) => conversationId === id)) return;
      await this.#pause(failures);
    }
  }

  /** Who is in a conversation; nobody when there is none. */
  async membersOf(id: Id): Promise<ReadonlySet<Id>> {
    try {
      const members = await this.session.conversation(id).members();
      return new Set(members.map(({ clientId }) => clientId));
    } catch (error) {
      if (MlsError.is(error, "CONVERSATION_NOT_FOUND")) return new Set();
      throw error;
    }
  }

  /** Makes a request until it is answered. Every request of a delivery service may be made again as it is. */
  async persist<R>(request: () => Promise<R>): Promise<R> {
    for (let failures = 0; ; failures++) {
      try {
        return await request();
      } catch (error) {
        if (!DeliveryError.is(error, "UNREACHABLE")) throw error;
        await this.#pause(failures);
      }
    }
  }

  /** Resolves as soon as this holds: looked at now, and whenever somebody calls `wake`. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!holds()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Something has happened. */
  wake(): void {
    for (const look of this.#waiting) look();
  }

  /** Stops reading and closes the session. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.reading;
    await this.session.close();
  }

  async #read(signal: AbortSignal): Promise<void> {
    for (let failures = 0; ;) {
      try {
        const entries = await this.service.pull(this.name, { waitMs: 30_000, signal });
        await this.#take(entries.map(({ bytes }) => bytes));
        // After all of them: they may have come in another order, and a cursor stands for everything up to it.
        const last = Math.max(0, ...entries.map(({ cursor }) => cursor));
        if (last > 0) await this.service.acknowledge(this.name, last);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!DeliveryError.is(error, "UNREACHABLE")) throw error;
        await this.#pause(failures++);
      }
    }
  }

  /** A batch is stored with one write to the disk. What comes behind a Welcome in it waits until that is joined by. */
  async #take(batch: readonly Uint8Array[]): Promise<void> {
    const received = await this.session.receive(batch);
    const welcomes = new Set(received.flatMap(({ type, messageId }) => (type === "welcome" ? [messageId] : [])));
    for (const bytes of batch) {
      if (welcomes.has(createHash("sha256").update(bytes).digest("hex"))) await this.#join(bytes);
    }
  }

  async #join(welcome: Uint8Array): Promise<void> {
    try {
      await this.session.joinByWelcome(welcome);
    } catch (error) {
      // A copy that comes late: the conversation has removed this client meanwhile.
      if (!MlsError.is(error, "WELCOME_WITHOUT_KEY_PACKAGE", "WELCOME_OVERTAKEN", "ROLLBACK_REFUSED")) throw error;
    }
  }

  /** Spread, so that those who failed together do not come back together. */
  async #pause(failures: number): Promise<void> {
    const longest = Math.min(FIRST_PAUSE * 2 ** failures, LONGEST_PAUSE);
    await sleep(longest * (0.5 + Math.random() / 2));
  }
}

/** What has happened to a client's commits. */
export interface Counts {
  /** Accepted. */
  commits: number;
  /** Answers that told it to try again. */
  retries: number;
  /** Commits that were left open, because nobody knew what became of them. */
  unknown: number;
  /** How many of those are known by now. */
  settled: number;
}

function counting(transport: MlsTransport, counts: Counts): MlsTransport {
  return {
    ...transport,
    async sendCommitBundle(bundle, context) {
      const answer = await transport.sendCommitBundle(bundle, context);
      if (answer.status === "success") counts.commits += 1;
      if (answer.status === "retry") counts.retries += 1;
      return answer;
    },
  };
}
