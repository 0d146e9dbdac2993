import { join } from "node:path";
import { DeliveryError } from "../../delivery-service/errors.js";
import { type QueueEntry, transportOf } from "../../delivery-service/index.js";
import { framingOf, messageIdOf } from "../../delivery-service/framing.js";
import { type Clock, withClock } from "../../lib/clock.js";
import { deferred } from "../../lib/deferred.js";
import {
  type CommitOptions,
  type ConversationChanged,
  type ConversationStalled,
  Credential,
  type CredentialRef,
  Database,
  DatabaseKey,
  type Id,
  type MlsConversation,
  MlsError,
  type MlsTransport,
  type Operations,
  type Received,
  Session,
} from "../../lib/index.js";
import type { SeededRandom } from "../random.js";
import { besides, Notes } from "./notes.js";
import { MOST_WRONG, OwnClock } from "./own-clock.js";
import type { World } from "./world.js";

/** The suite of all simulated clients. */
export const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** How long a person waits for the server, in simulated milliseconds. */
const PATIENCE = 8_000;

/**
 * How long the private keys of a key package are surely there after it was handed out: for the day
 * that it had to be good for, and the seven days of grace, less what two clocks can be apart.
 */
const SURELY_KEPT = 8 * 24 * 60 * 60 * 1000 - 2 * MOST_WRONG;

/** A client: its sessions, one after the other, and what its application does with them. */
export class Person {
  readonly name: Id;
  readonly world: World;
  /** Choices of this person. */
  readonly random: SeededRandom;
  /** Whether the session gets a `deliver`. */
  readonly delivers: boolean;
  /** What its application keeps. */
  readonly notes: Notes;
  /** The clock of its machine. */
  readonly clock: OwnClock;
  /** Invitations that could not be used any more, since they were read too late: the epoch, by conversation. */
  readonly missed = new Map<Id, bigint>();
  /** Conversations that have stalled since a commit was refused, until they are in another epoch. */
  readonly #stalled = new Map<Id, Id>();
  /** Conversations that were wiped, and the epoch they were in. */
  readonly left = new Map<Id, bigint>();
  /** External commits, by their hash, that were on their way or open when their conversation was wiped, and went with it. */
  readonly givenUp = new Set<Id>();
  /** The value of `setData` that is stored; undefined when that is not known. */
  noted: number | undefined = 0;
  /** Whether a transaction is under way. */
  transacting = false;
  session: Session | undefined;
  #credential: CredentialRef | undefined;
  #otherCredential: CredentialRef | undefined;
  #outbox: Uint8Array[] = [];
  #callsUntilCrash: number | undefined;
  readonly #epochs = new Map<Id, bigint>();
  /** The external commit that was sent last, by conversation. */
  readonly #joins = new Map<Id, Id>();
  readonly #file: { readonly path: string; readonly key: DatabaseKey } | undefined;
  readonly #jitter: SeededRandom;

  /** With a folder the keystore is a file there, and the person can crash. */
  constructor(name: Id, world: World, folder: string | undefined) {
    this.name = name;
    this.world = world;
    this.random = world.random.stream(name);
    this.#jitter = world.random.stream(`${name}/jitter`);
    this.delivers = this.random.chance(0.7);
    this.notes = new Notes(name, world);
    this.clock = new OwnClock(world, name);
    if (folder !== undefined) this.#file = { path: join(folder, `${name}.db`), key: DatabaseKey.generate() };
  }

  /** Whether the keystore survives a crash. */
  get canCrash(): boolean {
    return this.#file !== undefined;
  }

  /** The credential of this client. */
  get credential(): CredentialRef {
    if (this.#credential === undefined) throw new Error(`${this.name} has no session yet.`);
    return this.#credential;
  }

  /** The credential that a commit brings, if it brings one: either of two, which may be the one that it is known by already. */
  async nextCredential(session: Session): Promise<{ credential?: CredentialRef }> {
    if (!this.random.chance(0.3)) return {};
    return { credential: this.random.chance(0.5) ? this.credential : await this.otherCredential(session) };
  }

  /** A credential with the same name and another signature key; made when it is first asked for. */
  async otherCredential(session: Session): Promise<CredentialRef> {
    this.#otherCredential ??= await session.addCredential(Credential.basic(this.name, { cipherSuite }));
    return this.#otherCredential;
  }

  /** Opens the session, for the first time or again. */
  async comes(): Promise<void> {
    const { name } = this;
    const database = await (this.#file === undefined
      ? Database.inMemory()
      : Database.open(this.#file.path, this.#file.key));
    const options = {
      clientId: name,
      transport: this.#transport(),
      attempts: 4,
      sendTimeoutMs: PATIENCE,
      ...(this.delivers && { deliver: (received: readonly Received[]) => this.#deliver(received) }),
    };
    const session = await Session.open(database, withClock(options, this.#clock()));
    this.#credential ??= await session.addCredential(Credential.basic(name, { cipherSuite }));
    session.on("conversationChanged", (change) => this.#hears(change));
    session.on("conversationStalled", (stalled) => this.#stalls(stalled));
    this.session = session;
  }

  /** Ends the session without a warning to whatever is under way. */
  async crashes(): Promise<void> {
    const { session } = this;
    this.session = undefined;
    this.#callsUntilCrash = undefined;
    this.#stalled.clear(); // What ends it may have gone untold.
    if (session === undefined) return;
    this.noted = undefined;
    this.world.history.count("crashes");
    this.world.history.tell(this.name, "crashes");
    await session.close();
    this.notes.setBack(); // Only now: until here what was delivered last may still have been put back.
  }

  /** Lets the session crash after so many native calls more, wherever it is then; undefined: not at all. */
  crashesAfter(calls: number | undefined): void {
    if (this.canCrash) this.#callsUntilCrash = calls;
  }

  /** Receives what came, and joins when it is a Welcome. Says whether it is to be acknowledged, and what was received. */
  async receives(operations: Operations, entry: QueueEntry): Promise<{ done: boolean; received: Received[] }> {
    try {
      return await this.#receives(operations, entry);
    } catch (error) {
      // Without `deliver` it may be stored, and what it released too, and nobody has been told.
      if (!this.delivers) this.notes.endedAt(messageIdOf(entry.bytes));
      throw error;
    }
  }

  async #receives(operations: Operations, entry: QueueEntry): Promise<{ done: boolean; received: Received[] }> {
    const received = await this.#opens(operations, entry);
    if (!received.some(({ type }) => type === "welcome")) return { done: true, received };
    try {
      const joined = await operations.joinByWelcome(entry.bytes);
      this.world.history.tell(this.name, `joined ${joined.conversation.id}`);
      this.missed.delete(joined.conversation.id);
      return { done: true, received: joined.received };
    } catch (error) {
      const tampered = entry.cursor === 0;
      // Its key package is used up, or a join from outside has overtaken it, or it leads back.
      const useless = ["WELCOME_WITHOUT_KEY_PACKAGE", "WELCOME_OVERTAKEN", "ROLLBACK_REFUSED"] as const;
      if (MlsError.is(error, "ROLLBACK_REFUSED")) this.world.history.count("rollbacks refused");
      if (MlsError.is(error, "WELCOME_WITHOUT_KEY_PACKAGE")) this.#misses(entry.conversationId);
      if (MlsError.is(error, ...useless)) return { done: true, received };
      if (MlsError.is(error, "WELCOME_INVALID", "MESSAGE_INVALID") && tampered) return { done: true, received };
      // The commit that removed this client before it was invited again has not come yet.
      if (MlsError.is(error, "CONVERSATION_EXISTS")) return { done: false, received };
      throw error;
    }
  }

  /** Perhaps it came too late: its private keys are gone, when months have passed. */
  #misses(conversationId: Id): void {
    const stay = this.world.truth.conversations.get(conversationId)?.stay(this.name);
    if (stay === undefined || this.world.clock.now() - stay.at < SURELY_KEPT) return;
    this.missed.set(conversationId, stay.since);
  }

  /** By `receive`; now and then by `decrypt`, which makes errors of what `receive` reports, so that it is asked after all. */
  async #opens(operations: Operations, { bytes, conversationId }: QueueEntry): Promise<Received[]> {
    if (!this.random.chance(0.2)) return operations.receive(bytes);
    try {
      return await operations.conversation(conversationId).decrypt(bytes);
    } catch (error) {
      const refused = ["WRONG_CONVERSATION", "MESSAGE_INVALID", "EXTERNAL_JOIN_REFUSED", "STATE_DIVERGED"] as const;
      if (!MlsError.is(error, ...refused)) throw error;
      return operations.receive(bytes);
    }
  }

  /** Encrypts something new and keeps it until the server has it. Answers its messageId. */
  async seals(operations: Operations, conversationId: Id): Promise<Id> {
    const text = `${this.name}'s no. ${this.notes.sealed.size + 1}`;
    const [plaintext, aad] = [new TextEncoder().encode(text), new TextEncoder().encode(besides(text))];
    const refused = this.#stalled.get(conversationId);
    const message = await operations.conversation(conversationId).encrypt(plaintext, { aad });
    if (refused !== undefined && this.#stalled.get(conversationId) === refused)
      this.world.history.problem(this.name, `could say something in ${conversationId}, where others may have gone on`);
    const messageId = messageIdOf(message);
    this.notes.sealed.set(messageId, text);
    this.#outbox.push(message);
    return messageId;
  }

  /** Sends what is not known to be with the server, in order. */
  async posts(): Promise<void> {
    for (const message of [...this.#outbox]) {
      try {
        await this.asks(() => this.world.service.sendMessage(this.name, message));
      } catch (error) {
        // Removed meanwhile, too late, or in a conversation that nobody else has heard of: it is not sent.
        if (!DeliveryError.is(error, "NOT_A_MEMBER", "EPOCH_TOO_OLD", "CONVERSATION_UNKNOWN")) throw error;
      }
      this.#outbox = this.#outbox.filter((one) => one !== message);
    }
  }

  /** Tells the server that this is stored. Not waited for: if that does not arrive, the entry comes again. */
  acknowledges({ cursor }: QueueEntry): void {
    if (cursor !== 0) this.world.service.acknowledge(this.name, cursor).catch(() => {});
  }

  /** A conversation that this person is in, if there is one. */
  async somewhere(operations: Pick<Operations, "conversations" | "conversation">): Promise<Id | undefined> {
    const active: Id[] = [];
    for (const id of await operations.conversations()) {
      if (await operations.conversation(id).active()) active.push(id);
    }
    return active.length === 0 ? undefined : this.random.pick(active.sort());
  }

  /** Joins from outside. Refused is only who may be: by a closed conversation, or as a member that has another key there. */
  async joins(operations: Operations, id: Id, credential: CredentialRef): Promise<MlsConversation> {
    try {
      return await operations.joinByExternalCommit(id, { credential, ...this.patience() });
    } catch (error) {
      const { truth, history } = this.world;
      const wrongly =
        (MlsError.is(error, "EXTERNAL_JOIN_REFUSED") && truth.conversations.get(id)?.open === true) ||
        (MlsError.is(error, "ALREADY_MEMBER") && this.#otherCredential === undefined);
      if (MlsError.is(error, "ROLLBACK_REFUSED")) history.count("rollbacks refused");
      if (wrongly && !truth.isInDoubt(id)) history.problem(this.name, `could not join ${id}: ${error.code}`);
      throw error;
    }
  }

  /** Deletes a conversation, and with it what was sent to join it anew. */
  async wipes(session: Session, id: Id): Promise<void> {
    const conversation = session.conversation(id);
    this.left.set(id, await conversation.epoch());
    this.notes.wiped.add(id);
    const join = this.#joins.get(id);
    if (join !== undefined) this.givenUp.add(join);
    await conversation.wipe();
    this.#stalled.delete(id);
  }

  /** How long this person waits for a commit: sometimes not to the end. */
  patience(): CommitOptions {
    if (!this.random.chance(this.world.faults.givenUp)) return {};
    const controller = new AbortController();
    this.world.clock.after(this.random.below(3_000), () => controller.abort());
    return { signal: controller.signal };
  }

  /** Asks the server, some times if need be, and waits for its answer, but not for ever. */
  async asks<R>(request: () => Promise<R>): Promise<R> {
    for (let left = 3; ; left--) {
      try {
        return await this.#inTime(request());
      } catch (error) {
        if (left === 0 || !DeliveryError.is(error, "UNREACHABLE")) throw error;
      }
    }
  }

  async #inTime<R>(answer: Promise<R>): Promise<R> {
    answer.catch(() => {}); // It may come too late.
    const { clock } = this.world;
    const tooLate = deferred<never>();
    const giveUp = (): void => tooLate.reject(new DeliveryError("UNREACHABLE", "No answer came in time."));
    const stop = clock.after(PATIENCE, giveUp);
    try {
      return await Promise.race([answer, tooLate.promise]);
    } finally {
      stop();
    }
  }

  #transport(): MlsTransport {
    const transport = transportOf(this.world.service, this.name);
    return {
      ...transport,
      sendCommitBundle: (bundle, context) => {
        if (framingOf(bundle.commit).external) this.#joins.set(context.conversationId, context.commitId);
        return transport.sendCommitBundle(bundle, context);
      },
    };
  }

  /** The common clock, with jitter of this person's own, and the native calls counted. */
  #clock(): Clock {
    const { clock } = this.world;
    return {
      now: () => this.clock.now(),
      after: (ms, callback) => clock.after(ms, callback),
      random: () => this.#jitter.next(),
      through: (native) => clock.through(native, () => this.#countCall()),
    };
  }

  #countCall(): void {
    if (this.#callsUntilCrash === undefined) return;
    this.#callsUntilCrash -= 1;
    if (this.#callsUntilCrash >= 0) return;
    this.#callsUntilCrash = undefined;
    void this.world.clock.during(Promise.resolve().then(() => this.crashes()));
  }

  #deliver(received: readonly Received[]): void {
    this.notes.takes(received);
    if (!this.random.chance(this.world.faults.thrown)) return;
    this.notes.setBack();
    this.world.history.count("faults");
    this.world.history.count("throws");
    this.world.history.tell(this.name, "~ deliver throws");
    throw new Error("The application's store is full (simulated).");
  }

  /** Epochs are told one after the other, and none twice, however they begin. A crash can keep one from being told. */
  #hears({ conversationId, epoch }: ConversationChanged): void {
    const before = this.#epochs.get(conversationId);
    if (before !== undefined && epoch <= before) {
      this.world.history.problem(this.name, `was told of epoch ${epoch} of ${conversationId} after ${before}`);
    }
    this.#epochs.set(conversationId, epoch);
    this.#stalled.delete(conversationId);
  }

  /** The newest epoch of this conversation that this person was told of. */
  newestEpoch(conversationId: Id): bigint | undefined {
    return this.#epochs.get(conversationId);
  }

  /** A commit was not applied. It is a guest's: people make none that the others do not take. */
  #stalls({ conversationId, messageId, why, epoch }: ConversationStalled): void {
    const { history, truth } = this.world;
    history.count("stalls");
    history.tell(this.name, `is stalled in epoch ${epoch} of ${conversationId}: ${why}`);
    const conversation = truth.conversations.get(conversationId);
    if (conversation !== undefined) conversation.hasStalled = true;
    if (conversation?.ofGuests.has(messageId) !== true)
      history.problem(this.name, `is stalled in ${conversationId} by a commit that no guest has made`);
    if (why === "refused") this.#stalled.set(conversationId, messageId);
    else truth.notesInvalid(this.name, messageId);
  }
}
