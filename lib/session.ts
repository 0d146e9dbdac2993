import type { Bytes } from "./bytes.js";
import { clockOf } from "./clock.js";
import type { CommitOptions } from "./commit.js";
import type { Invitee, MlsConversation } from "./conversation.js";
import type { Credential } from "./credential.js";
import { type Database, takeOver } from "./database.js";
import { DirectScope, refuseNested, SessionScope } from "./direct.js";
import { MlsError } from "./errors.js";
import type { SessionEvents } from "./events.js";
import { type Id, type IdLike, nameOf } from "./id.js";
import { type Joined, type JoinOptions, type Operations, ScopedOperations, type WelcomeOptions } from "./operations.js";
import { parse, sessionOptions, settleOptions } from "./options.js";
import type { Received } from "./received.js";
import type { CredentialRef, KeyPackage, StoredKeyPackage, UnsettledCommit } from "./records.js";
import { settle, unsettledCommits } from "./settle.js";
import { SessionState } from "./state.js";
import { type Deliver, transact, Transaction, type TransactionContext, TransactionScope } from "./transaction.js";
import type { MlsTransport } from "./transport.js";
import { Unit } from "./unit.js";

/** How a session is opened. */
export interface SessionOptions {
  /** Who this client is; a keystore belongs to one client for ever. */
  clientId: IdLike;
  /** The way to the server; without it every commit is `TRANSPORT_MISSING`. */
  transport?: MlsTransport;
  /** How long one call of the transport may take, in milliseconds. Default 30,000. */
  sendTimeoutMs?: number;
  /** How long a transaction may hold its turn, in milliseconds; then it is rolled back: `TRANSACTION_TIMEOUT`. Default 60,000. */
  transactionTimeoutMs?: number;
  /** How often one commit is sent at most. Default 8. */
  attempts?: number;
  /** The event `keyPackagesLow` comes when no more than so many key packages of a suite are left in the keystore. Default 10. */
  keyPackagesLowAt?: number;
  /**
   * Gets all that was received, by `receive`, `decrypt`, `joinByWelcome`, a retry, a settle or the
   * buffer, inside the transaction and before it is stored: with the `messageId` as key, in a store
   * of your own, that is exactly once. A throw puts it all back (in an explicit transaction: that
   * step), and the call rejects with `DELIVER_FAILED`. The call still returns what was delivered.
   *
   * Own commits are delivered too, as `commit` with `own: true`, in the transaction that merges
   * them: when the server's answer accepts them or when they come back, whichever is first, and
   * once. That holds for a commit that creates a conversation and for an external join; creating a
   * conversation alone makes no commit. A throw there leaves the commit open: it was accepted and
   * is not undone. The call rejects with `COMMIT_OUTCOME_UNKNOWN`, with the `DELIVER_FAILED` as its
   * cause, and the commit is merged and delivered when it is settled.
   *
   * Inside it use the `tx` it is given; commits cannot be sent from there. Without `deliver`
   * results are delivered at most once.
   */
  deliver?: Deliver;
}

/**
 * One client with its keystore: what it can do, and the loop that brings its commits to the server. Every call is a transaction of
 * its own and durable when it resolves; calls of one conversation take effect in the order in which they are made.
 *
 * Inside the callback of one of its own transactions a session refuses to be used: `TRANSACTION_NESTED`. After `close()` every call
 * rejects with `SESSION_CLOSED`.
 */
export class Session implements Operations, AsyncDisposable {
  /** Who this client is. */
  readonly clientId: Id;
  readonly #state: SessionState;
  readonly #operations: Operations;

  private constructor(clientId: Id, state: SessionState) {
    this.clientId = clientId;
    this.#state = state;
    this.#operations = new ScopedOperations(new SessionScope(state));
  }

  /**
   * Opens a session on a database and takes the database over: closing the session closes it. Local only, it never calls the
   * transport. `CLIENT_MISMATCH` when the keystore belongs to another client, `DATABASE_IN_USE` when another session has the
   * database; the database stays open then.
   */
  static async open(database: Database, options: SessionOptions): Promise<Session> {
    const { clientId, ...settings } = parse(sessionOptions, options, "options");
    const { id, bytes } = nameOf(clientId, "options.clientId");
    const keystore = takeOver(database, () => state.close());
    const state = new SessionState(
      keystore,
      { ...settings, clock: clockOf(options) },
      (shared) => new DirectScope(shared),
    );
    try {
      await state.call((native) => native.bind(bytes));
      state.refuseWhenClosed();
    } catch (error) {
      state.giveBack();
      throw error;
    }
    return new Session(id, state);
  }

  /**
   * Runs a callback whose operations on `tx` are stored together when it returns, and not at all when it throws. What it throws
   * comes out as it is. Bytes that you may send are safe to send as soon as you hold them, even if it throws later. A commit is
   * sent in the open: what came before it is stored first, other work goes on meanwhile, and nothing of it is taken back.
   *
   * One transaction runs at a time. Calls that the callback does not await are awaited before everything is stored.
   * `TRANSACTION_TIMEOUT` when the callback holds the turn longer than `transactionTimeoutMs`.
   */
  async transaction<R>(work: (tx: TransactionContext) => R | Promise<R>): Promise<R> {
    if (typeof work !== "function")
      throw new MlsError("INVALID_ARGUMENT", "work must be a function: transaction(async (tx) => …).");
    refuseNested(this.#state);
    return transact(this.#state, (scope) => work(new Transaction(scope)));
  }

  /**
   * Begins a transaction without a callback; the caller ends it with `finish()` or `abort()`. Other calls of the session wait
   * until then, also the caller's own: it cannot be told here whose they are. Prefer `transaction()` where a callback fits.
   */
  async newTransaction(): Promise<TransactionContext> {
    refuseNested(this.#state);
    return new Transaction(new TransactionScope(this.#state, await Unit.begin(this.#state)));
  }

  /** The commits that were sent or staged, are neither accepted nor lost as far as is known, and that no call waits for. */
  async unsettledCommits(): Promise<UnsettledCommit[]> {
    refuseNested(this.#state);
    return unsettledCommits(this.#state);
  }

  /**
   * When online: sends the same bytes of every unsettled commit again, or learns what became of
   * them. Returns what stays open. One that turns out to be lost is reported by `commitSettled`
   * with what it was to do, and not built again. `TRANSPORT_MISSING` when there is something to
   * settle and no transport, `ABORTED` when the signal is aborted before anything was sent,
   * `DELIVER_FAILED` when a commit, or what it released, could not be delivered: it stays open
   * then.
   */
  async settle(options: { signal?: AbortSignal } = {}): Promise<UnsettledCommit[]> {
    const { signal } = parse(settleOptions, options, "options");
    refuseNested(this.#state);
    return settle(this.#state, signal);
  }

  /**
   * Adds a listener and returns the way to stop it. Listeners are called in order, after the change is durable, and never
   * awaited; what one throws becomes a process warning. A listener of `keyPackagesLow` learns soon after it was added how things
   * are, if few are left.
   */
  on<E extends keyof SessionEvents>(event: E, listener: (data: SessionEvents[E]) => void): () => void {
    const { stop, tell } = this.#state.events.on(event, listener);
    if (event === "keyPackagesLow") {
      void this.#state.keyPackages.low().then((low) => low.forEach((one) => tell(one as SessionEvents[E])));
    }
    return stop;
  }

  /**
   * Ends local work and closes the database. What waits, also for the network, rejects with `SESSION_CLOSED`; a commit on its way is
   * found again by `unsettledCommits()` of the next session. Idempotent; resolves when the file is unlocked. It rejects
   * with what kept the log from being emptied (`DATABASE_IO`, `DATABASE_LOST`); the file is unlocked then, too.
   */
  close(): Promise<void> {
    return this.#state.close();
  }

  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** {@inheritDoc Operations.addCredential} */
  addCredential(credential: Credential): Promise<CredentialRef> {
    return this.#operations.addCredential(credential);
  }

  /** {@inheritDoc Operations.credentials} */
  credentials(): Promise<CredentialRef[]> {
    return this.#operations.credentials();
  }

  /** {@inheritDoc Operations.removeCredential} */
  removeCredential(credential: CredentialRef): Promise<void> {
    return this.#operations.removeCredential(credential);
  }

  /** {@inheritDoc Operations.generateKeyPackages} */
  generateKeyPackages(
    credential: CredentialRef,
    options: { count: number; lifetimeMs?: number; lastResort?: boolean },
  ): Promise<KeyPackage[]> {
    return this.#operations.generateKeyPackages(credential, options);
  }

  /** {@inheritDoc Operations.keyPackages} */
  keyPackages(options?: { bytes?: boolean }): Promise<StoredKeyPackage[]> {
    return this.#operations.keyPackages(options);
  }

  /** {@inheritDoc Operations.removeKeyPackages} */
  removeKeyPackages(refs: readonly Id[]): Promise<void> {
    return this.#operations.removeKeyPackages(refs);
  }

  /** {@inheritDoc Operations.createConversation} */
  createConversation(
    id: IdLike,
    options: { credential: CredentialRef; members?: readonly Invitee[]; externalJoin?: boolean },
  ): Promise<MlsConversation> {
    return this.#operations.createConversation(id, options);
  }

  /** {@inheritDoc Operations.joinByWelcome} */
  joinByWelcome(welcome: Uint8Array, options?: WelcomeOptions): Promise<Joined> {
    return this.#operations.joinByWelcome(welcome, options);
  }

  /** {@inheritDoc Operations.joinByExternalCommit} */
  joinByExternalCommit(
    id: IdLike,
    options: { credential: CredentialRef } & JoinOptions & CommitOptions,
  ): Promise<MlsConversation> {
    return this.#operations.joinByExternalCommit(id, options);
  }

  /** {@inheritDoc Operations.conversation} */
  conversation(id: IdLike): MlsConversation {
    return this.#operations.conversation(id);
  }

  /** {@inheritDoc Operations.conversations} */
  conversations(): Promise<Id[]> {
    return this.#operations.conversations();
  }

  /** {@inheritDoc Operations.receive} */
  receive(messages: Uint8Array | readonly Uint8Array[]): Promise<Received[]> {
    return this.#operations.receive(messages);
  }

  /** {@inheritDoc Operations.setData} */
  setData(key: string, value: Uint8Array | null): Promise<void> {
    return this.#operations.setData(key, value);
  }

  /** {@inheritDoc Operations.data} */
  data(key: string): Promise<Bytes | undefined> {
    return this.#operations.data(key);
  }
}
