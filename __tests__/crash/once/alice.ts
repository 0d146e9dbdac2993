import { Database, DatabaseKey, type Id, inspectMessage, MlsError, Session } from "conclave-mls";
import { type DeliveryService, type QueueEntry, transportOf } from "conclave-mls/delivery-service";
import type { Habit } from "./habits.js";
import { countedIn, Hearing, numberOf } from "./hearing.js";
import { MessageStore } from "./message-store.js";
import { between, momentous, type Moments } from "./moments.js";

/** Who she is. */
export const ALICE = "alice";

/** Where she commits, and so where most happens. */
export const TEAM = "team";
/** Where she hands each message to the conversation itself. */
export const ASIDE = "aside";
/** What she reads from the log with a cursor of her own, and never from her queue. */
export const ARCHIVE = "archive";
/** To which her Welcome comes later than what is said there. */
export const LATER = "later";

/** Which commit is sent from a transaction. */
const LAST_ERRAND = 3;

/** What one life of hers needs. */
export interface Life {
  /** Her keystore; her application's own database is beside it. */
  readonly path: string;
  readonly key: Uint8Array;
  readonly service: DeliveryService;
  readonly habit: Habit;
  readonly moment: Moments;
}

/** How a conversation is for her in the end. */
export interface Ending {
  readonly conversationId: Id;
  readonly epoch: bigint;
  readonly authenticator: Uint8Array;
  /** How many messages were delivered, as her keystore counts them. */
  readonly counted: number;
}

/**
 * Her application's own database. Its name begins like that of the keystore, so that the operations on its files are counted
 * with those on the keystore's.
 */
export const messagesOf = ({ path }: Pick<Life, "path">): string => `${path}.messages`;

/**
 * What her application does each time it is started: settle, read all there is, do the errands that it has not done yet, and
 * say something everywhere. It may be killed at any moment and started again, as often as that happens.
 */
export async function live(life: Life): Promise<Ending[]> {
  await using alice = new Alice(life);
  await alice.open();
  await alice.settle();
  await alice.say(TEAM, "I am here");
  await alice.readQueue();
  await alice.readArchive();
  for (const errand of [1, 2, LAST_ERRAND]) await alice.run(errand);
  await alice.readQueue();
  await alice.readArchive();
  return await alice.end();
}

class Alice implements AsyncDisposable {
  readonly #life: Life;
  readonly #service: DeliveryService;
  readonly #store: MessageStore;
  readonly #hearing: Hearing;
  /** What she reads beside a commit that is on its way, and may go on with when that is settled. */
  #meanwhile: Promise<void> = Promise.resolve();
  #session: Session | undefined;

  constructor(life: Life) {
    this.#life = life;
    this.#service = momentous(life.service, life.moment);
    this.#store = new MessageStore(messagesOf(life), life.habit);
    this.#hearing = new Hearing(this.#store, life.habit, life.moment);
  }

  async open(): Promise<void> {
    const { path, key } = this.#life;
    using databaseKey = DatabaseKey.from(key);
    const database = await this.#at("open the keystore", () => Database.open(path, databaseKey));
    const transport = transportOf(this.#service, ALICE);
    this.#session = await this.#at("open the session", () =>
      Session.open(database, {
        clientId: ALICE,
        deliver: this.#hearing.deliver,
        transport: {
          ...transport,
          // Receiving goes on while a commit is on its way: what is of the epoch that it begins waits for its end.
          sendCommitBundle: async (bundle, context) => {
            const answer = await transport.sendCommitBundle(bundle, context);
            if (answer.status === "success") await (this.#meanwhile = this.readQueue());
            return answer;
          },
        },
      }),
    );
  }

  /** Until nothing is open. An answer can get lost here too, so it may take a second time. */
  async settle(): Promise<void> {
    for (let times = 0; times < 3; times++) {
      const open = await this.#receiving("settle", () => this.#opened.settle());
      await this.#meanwhile;
      if (open.length === 0) return;
    }
    throw new Error("a commit stays open");
  }

  async say(conversationId: Id, text: string): Promise<void> {
    const conversation = this.#opened.conversation(conversationId);
    const bytes = await this.#at("encrypt", () => conversation.encrypt(Buffer.from(text)));
    await this.#service.sendMessage(ALICE, bytes);
  }

  /** Reads her queue until nothing is in it. */
  async readQueue(): Promise<void> {
    for (;;) {
      const entries = await this.#service.pull(ALICE, { limit: 3 });
      if (entries.length === 0) return;
      const acknowledge = (): Promise<void> => this.#service.acknowledge(ALICE, entries.at(-1)!.cursor);
      if (this.#life.habit === "acknowledges first") await acknowledge();
      await this.#read(entries);
      if (this.#life.habit !== "acknowledges first") await acknowledge();
    }
  }

  /** Reads on where she was in the archive: what she receives and how far she is are stored together. */
  async readArchive(): Promise<void> {
    const session = this.#opened;
    for (;;) {
      const after = numberOf(await session.data("cursor"));
      const entries = await this.#service.fetch(ALICE, ARCHIVE, { fromEpoch: 1n, after, limit: 2 });
      if (entries.length === 0) return;
      const cursor = Buffer.from(String(entries.at(-1)!.sequence));
      const batch = entries.map(({ bytes }) => bytes);
      const movesFirst = this.#life.habit === "moves its cursor first";
      if (movesFirst) await this.#at("setData", () => session.setData("cursor", cursor));
      await this.#receiving("transaction", () =>
        session.transaction(async (tx) => {
          await this.#at("tx.receive", () => tx.receive(batch));
          if (!movesFirst) await this.#at("tx.setData", () => tx.setData("cursor", cursor));
        }),
      );
    }
  }

  /** Commits, unless it has done so in a former life. When nobody knows what became of it, it starts anew and finds out. */
  async run(errand: number): Promise<void> {
    if (this.#store.isDone(errand)) return;
    try {
      await this.#receiving("commit", () => (errand === LAST_ERRAND ? this.#commitInTransaction() : this.#commit()));
      await this.#meanwhile;
    } catch (error) {
      if (!MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN")) throw error;
      await this.#at("close", () => this.#opened.close());
      await this.open();
      await this.settle();
    }
    this.#store.done(errand);
  }

  /** Says something everywhere, and tells how everything is. */
  async end(): Promise<Ending[]> {
    const endings: Ending[] = [];
    for (const conversationId of await this.#opened.conversations()) {
      await this.say(conversationId, "I am still here");
      const conversation = this.#opened.conversation(conversationId);
      endings.push({
        conversationId,
        epoch: await conversation.epoch(),
        authenticator: await conversation.epochAuthenticator(),
        counted: await countedIn(this.#opened, conversationId),
      });
    }
    return endings;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const session = this.#session;
    if (session !== undefined) await this.#at("close", () => session.close());
    this.#store[Symbol.dispose]();
  }

  get #opened(): Session {
    return this.#session!;
  }

  async #commit(): Promise<void> {
    await this.#opened.conversation(TEAM).updateKeys();
  }

  /** What comes before it is stored before it is sent; while it is sent others have the turn; what comes after it is stored in the end. */
  async #commitInTransaction(): Promise<void> {
    await this.#opened.transaction(async (tx) => {
      await tx.setData("errand", Buffer.from("begun"));
      await this.#at("tx.updateKeys", () => tx.conversation(TEAM).updateKeys());
      await tx.setData("errand", null);
    });
  }

  async #read(entries: readonly QueueEntry[]): Promise<void> {
    const session = this.#opened;
    const isWelcome = ({ bytes }: QueueEntry): boolean => inspectMessage(bytes).kind === "welcome";
    const isAside = ({ conversationId }: QueueEntry): boolean => conversationId === ASIDE;
    const batch = entries.filter((entry) => !isWelcome(entry) && !isAside(entry));
    await this.#receiving("receive", () => session.receive(batch.map(({ bytes }) => bytes)));
    for (const { bytes } of entries.filter(isAside))
      await this.#receiving("decrypt", () => session.conversation(ASIDE).decrypt(bytes));
    for (const { bytes, conversationId } of entries.filter(isWelcome)) await this.#join(conversationId, bytes);
  }

  async #join(conversationId: Id, welcome: Uint8Array): Promise<void> {
    try {
      await this.#receiving("joinByWelcome", () => this.#opened.joinByWelcome(welcome));
    } catch (error) {
      // Killed between joining and acknowledging, she gets the Welcome once more.
      const again = MlsError.is(error, "CONVERSATION_EXISTS", "WELCOME_WITHOUT_KEY_PACKAGE");
      if (!again || !(await this.#opened.conversations()).includes(conversationId)) throw error;
    }
  }

  /** A call by which something may be delivered. */
  async #receiving<R>(name: string, call: () => Promise<R>): Promise<R> {
    const result = await this.#at(name, call);
    this.#hearing.hasReturned();
    return result;
  }

  #at<R>(name: string, call: () => Promise<R>): Promise<R> {
    return between(this.#life.moment, name, call);
  }
}
