import { type Bytes, copyBytes, copyMessage, made } from "./bytes.js";
import { cipherSuiteNumbers } from "./cipher-suite.js";
import { commit, type CommitOptions, type Plan } from "./commit.js";
import { Conversation, copyInvitees, type Invitee, type MlsConversation } from "./conversation.js";
import type { Credential } from "./credential.js";
import { joinByExternalCommit } from "./external-join.js";
import { type Id, type IdLike, type Name, nameOf } from "./id.js";
import { limits } from "./limits.js";
import { copyList } from "./lists.js";
import {
  createOptions,
  credentialRef,
  credentialShape,
  dataKey,
  joinOptions,
  keyPackageOptions,
  keyPackageRef,
  listOptions,
  parse,
  welcomeOptions,
} from "./options.js";
import { copyMessages, joinByWelcome, receive } from "./receive.js";
import type { Received } from "./received.js";
import {
  type CredentialRef,
  credentialRefOf,
  type KeyPackage,
  keyPackageOf,
  type Member,
  memberOf,
  noChange,
  type StoredKeyPackage,
  storedKeyPackageOf,
} from "./records.js";
import type { Scope } from "./scope.js";

/** What came of a Welcome. */
export interface Joined {
  /** The conversation that this client is in now. */
  readonly conversation: MlsConversation;
  /** Who is in it, oneself included. Two leaves of one name are shown as two: tell them apart by `signatureKey`. */
  readonly members: Member[];
  /** Who made the commit that added this client. */
  readonly inviter: Member;
  /** Whether the last-resort key package was used: time to publish fresh ones, and to update the keys here. */
  readonly lastResort: boolean;
  /** What had been waiting for this Welcome. */
  readonly received: Received[];
}

/** How a conversation is joined. */
export interface JoinOptions {
  /** Consent to an epoch before the newest that this client has known of the conversation. Default false. */
  allowRollback?: boolean;
}

/** How a conversation is joined by a Welcome. */
export interface WelcomeOptions extends JoinOptions {
  /**
   * The ratchet tree of the epoch that the Welcome leads to, where it is not in the Welcome: the bare vector of nodes of RFC 9420
   * section 12.4.3.3, without a frame, of `limits.groupInfoBytes` at most. Not read where the Welcome has its tree.
   */
  ratchetTree?: Uint8Array;
}

/** What a session and a transaction can do. On a session each call is a transaction of its own; on a transaction they are stored together. */
export interface Operations {
  /**
   * Makes a signature key pair for this credential and keeps it. `CLIENT_MISMATCH` when it names another client than the
   * session.
   */
  addCredential(credential: Credential): Promise<CredentialRef>;
  /** The credentials of this client. */
  credentials(): Promise<CredentialRef[]>;
  /**
   * Deletes a credential with its private key, and the key packages that were made with it: take those off the server first,
   * nobody can be added by them afterwards. `CREDENTIAL_IN_USE` while this client is known by it in a conversation, or a commit
   * that would bring it there is open; `CREDENTIAL_NOT_FOUND` when it is not there.
   */
  removeCredential(credential: CredentialRef): Promise<void>;
  /**
   * Makes 1 to 1,000 key packages for others to add this client with (RFC 9420 section 10). Their private keys are stored before you
   * get their bytes, also inside a transaction that is aborted later. `CREDENTIAL_NOT_FOUND` for a reference of another keystore.
   *
   * `lifetimeMs` counts from now: one second to 84 days, 83 days if it is not given. The lifetime begins a day in the past, for
   * clocks that are behind; with more than 83 days it is longer than clients of other makes may accept. Nobody is added by a key
   * package with less than a day left. With `lastResort` it replaces the last-resort one of this credential that was made before: publish
   * it in its place. The private keys of what has expired or was replaced are deleted 7 days later.
   */
  generateKeyPackages(
    credential: CredentialRef,
    options: { count: number; lifetimeMs?: number; lastResort?: boolean },
  ): Promise<KeyPackage[]>;
  /**
   * The key packages that were made and not used yet, as far as is known here. With `bytes` those that can be published come with
   * their bytes, so that publishing can be repeated.
   */
  keyPackages(options?: { bytes?: boolean }): Promise<StoredKeyPackage[]>;
  /**
   * Deletes key packages with their private keys, by their refs: withdraw them from the server first, a Welcome for one of them is
   * `WELCOME_WITHOUT_KEY_PACKAGE` afterwards. What is not there is no failure. `INVALID_ARGUMENT` for what is not lowercase hex, and
   * for more than 4,096.
   */
  removeKeyPackages(refs: readonly Id[]): Promise<void>;
  /**
   * Creates a conversation, with oneself or with `members` as well. With them one commit is sent; unless it is accepted the
   * conversation does not stay. When its outcome is unknown the conversation stays, unsettled: it shows epoch 0 and oneself, and
   * `encrypt` rejects with `COMMIT_OUTCOME_UNKNOWN`. `CONVERSATION_EXISTS` when there is one of this id.
   *
   * With `externalJoin` whoever gets the conversation's GroupInfo can join by `joinByExternalCommit`, for good and as all members
   * see it; decide with your server who gets it. Clients of other makes can be members, and can join this way, too.
   */
  createConversation(
    id: IdLike,
    options: { credential: CredentialRef; members?: readonly Invitee[]; externalJoin?: boolean },
  ): Promise<MlsConversation>;
  /**
   * Joins the conversation that this Welcome is for, and receives what has been waiting for it. A Welcome that comes again, after a
   * crash before it was acknowledged, answers the conversation as it is now, and does nothing. `WELCOME_INVALID` and
   * `WELCOME_WITHOUT_KEY_PACKAGE` leave everything as it was. So does `CONVERSATION_EXISTS`: receive the removal first, then join.
   * `WELCOME_OVERTAKEN`, where this client has joined in that epoch or a later one, uses up the key package. A conversation that
   * is stalled is replaced by a Welcome to a later epoch.
   *
   * `ROLLBACK_REFUSED` for a Welcome to an epoch before the newest that this client has known of the conversation, also before it
   * was removed or has wiped it, and for one that was used before with a last-resort key package: a server that replays old
   * Welcomes would lead into an epoch with members who were removed since. `allowRollback: true` is consent.
   *
   * `RATCHET_TREE_MISSING` for a Welcome whose ratchet tree travels separately, without it or with another one: `error.context`
   * says of which conversation and epoch it is needed. Everything is as it was: fetch it, and join with `ratchetTree`.
   *
   * To look at a conversation before joining it, call this in a transaction and throw: all is as it was then, the key package
   * included, and the Welcome can be used again.
   */
  joinByWelcome(welcome: Uint8Array, options?: WelcomeOptions): Promise<Joined>;
  /**
   * Joins by an external commit (RFC 9420 section 12.4.3.2), from a GroupInfo that the transport fetches for each attempt. Also
   * heals: once it is accepted it replaces a conversation that is behind, removed or forked, and until then that one stays as
   * it is. Members see the client's former leaf removed and a new one added; messages of before cannot be read afterwards.
   * What this client has committed in it and is still open is sent once more before, and settled if that can be.
   *
   * `ALREADY_MEMBER` when somebody of this name is in it with another signature key: after the loss of a keystore a member has to
   * remove the old client first. `EXTERNAL_JOIN_REFUSED` for a conversation that was not created with `externalJoin`, `GROUP_INFO_UNAVAILABLE` and
   * `GROUP_INFO_INVALID` for what the transport answers, `TRANSPORT_MISSING` when it has no `fetchGroupInfo`. When the outcome is
   * unknown the commit stays, listed by `unsettledCommits`; the conversation is not there until it is accepted. To `wipe` a conversation
   * while it is joined anew takes the commit along: `CONVERSATION_NOT_FOUND`. `ROLLBACK_REFUSED` for a GroupInfo of an epoch before
   * the newest that this client has known of the conversation, unless `allowRollback: true`.
   */
  joinByExternalCommit(
    id: IdLike,
    options: { credential: CredentialRef } & JoinOptions & CommitOptions,
  ): Promise<MlsConversation>;
  /** A handle, without asking the keystore. Throws `INVALID_ARGUMENT` for what is no id. */
  conversation(id: IdLike): MlsConversation;
  /**
   * The ids of all conversations, also of those that removed this client: `MlsConversation.active` tells
   * them apart, and `wipe` takes one out of the list.
   */
  conversations(): Promise<Id[]>;
  /**
   * Receives one message or a batch, finds the conversations by itself, and answers in display order. It rejects only for
   * failures of this machine or of `deliver`, and then nothing was consumed; when it returns, acknowledge to the server.
   *
   * A batch is given oldest first, in the order of the server's log. Results are not in the places of the
   * messages, and may be more or fewer: `messageId`, the SHA-256 of a message, says which one a result is of.
   */
  receive(messages: Uint8Array | readonly Uint8Array[]): Promise<Received[]>;
  /**
   * Keeps a small value of the application in the keystore, for example how far it has read; null deletes it. The key is 1 to
   * 1,024 bytes of text, the value 1 MiB at most.
   */
  setData(key: string, value: Uint8Array | null): Promise<void>;
  /** What `setData` keeps under this key. */
  data(key: string): Promise<Bytes | undefined>;
}

/** The operations, whichever scope they run in. */
export class ScopedOperations implements Operations {
  readonly #scope: Scope;
  readonly #keyPackagesChanged = (): void => void this.#scope.state.keyPackages.changed();

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  async addCredential(credential: Credential): Promise<CredentialRef> {
    const { clientId, cipherSuite } = parse(credentialShape, credential, "credential");
    const { bytes } = nameOf(clientId, "credential.clientId");
    return credentialRefOf(
      await this.#scope.step((native) => native.addCredential(cipherSuiteNumbers[cipherSuite], bytes)),
    );
  }

  async credentials(): Promise<CredentialRef[]> {
    const credentials = await this.#scope.step((native) => native.credentials());
    return credentials.map(credentialRefOf);
  }

  async removeCredential(credential: CredentialRef): Promise<void> {
    const { ref } = parse(credentialRef, credential, "credential");
    await this.#scope.step((native) => native.removeCredential(ref), this.#keyPackagesChanged);
  }

  async generateKeyPackages(
    credential: CredentialRef,
    options: { count: number; lifetimeMs?: number; lastResort?: boolean },
  ): Promise<KeyPackage[]> {
    const { ref } = parse(credentialRef, credential, "credential");
    const { count, lifetimeMs, lastResort } = parse(keyPackageOptions, options, "options");
    const made = await this.#scope.step(
      (native) => native.generateKeyPackages(ref, count, lifetimeMs, lastResort),
      this.#keyPackagesChanged,
    );
    return made.map(keyPackageOf);
  }

  async keyPackages(options: { bytes?: boolean } = {}): Promise<StoredKeyPackage[]> {
    const { bytes } = parse(listOptions, options, "options");
    const stored = await this.#scope.step((native) => native.keyPackages(bytes));
    return stored.map(storedKeyPackageOf);
  }

  async removeKeyPackages(refs: readonly Id[]): Promise<void> {
    const copy = copyList(refs, "refs", (ref, name) => parse(keyPackageRef, ref, name), { max: limits.listLength.max });
    await this.#scope.step((native) => native.removeKeyPackages(copy), this.#keyPackagesChanged);
  }

  async createConversation(
    id: IdLike,
    options: { credential: CredentialRef; members?: readonly Invitee[]; externalJoin?: boolean },
  ): Promise<MlsConversation> {
    const name = nameOf(id, "id");
    const { credential, members, externalJoin } = parse(createOptions, options, "options");
    if (members === undefined) {
      await this.#createAlone(name, credential.ref, externalJoin);
    } else {
      const invitees = copyInvitees(members, "options.members");
      const plan: Plan = {
        conversation: name,
        stage: (native) => native.stageCreate(name.bytes, credential.ref, invitees, externalJoin),
        founding: true,
      };
      await commit(this.#scope, plan, {});
    }
    return new Conversation(this.#scope, name);
  }

  async joinByWelcome(welcome: Uint8Array, options: WelcomeOptions = {}): Promise<Joined> {
    const copy = copyMessage(welcome, "welcome");
    const { ratchetTree, allowRollback } = parse(welcomeOptions, options, "options");
    const tree = ratchetTree === undefined ? undefined : copyMessage(ratchetTree, "options.ratchetTree");
    const { joined, received } = await joinByWelcome(this.#scope, copy, tree, allowRollback);
    const conversation = new Conversation(this.#scope, nameOf(joined.conversationId, "conversationId"));
    const { members, inviter, lastResort } = joined;
    return { conversation, members: members.map(memberOf), inviter: memberOf(inviter), lastResort, received };
  }

  async joinByExternalCommit(
    id: IdLike,
    options: { credential: CredentialRef } & JoinOptions & CommitOptions,
  ): Promise<MlsConversation> {
    const name = nameOf(id, "id");
    const { credential, allowRollback, ...sending } = parse(joinOptions, options, "options");
    await joinByExternalCommit(this.#scope, name, { credentialRef: credential.ref, allowRollback }, sending);
    return new Conversation(this.#scope, name);
  }

  conversation(id: IdLike): MlsConversation {
    return new Conversation(this.#scope, nameOf(id, "id"));
  }

  async conversations(): Promise<Id[]> {
    return this.#scope.step((native) => native.conversations());
  }

  async receive(messages: Uint8Array | readonly Uint8Array[]): Promise<Received[]> {
    return receive(this.#scope, copyMessages(messages));
  }

  async setData(key: string, value: Uint8Array | null): Promise<void> {
    parse(dataKey, key, "key");
    const copy = value === null ? undefined : copyBytes(value, "value", limits.dataValueBytes);
    await this.#scope.step((native) => native.setData(key, copy));
  }

  async data(key: string): Promise<Bytes | undefined> {
    parse(dataKey, key, "key");
    const value = await this.#scope.step((native) => native.data(key));
    return value === null ? undefined : made(value);
  }

  async #createAlone({ id, bytes }: Name, credentialRef: string, externalJoin: boolean): Promise<void> {
    await this.#scope.step(
      async (native) => {
        await native.createConversation(bytes, credentialRef, externalJoin);
        return native.members(bytes);
      },
      (members) => {
        const change = { ...noChange(), added: members.map(memberOf) };
        this.#scope.state.events.emit("conversationChanged", {
          conversationId: id,
          epoch: 0n,
          change,
          active: true,
          cause: "created",
        });
      },
    );
  }
}
