import { type Bytes, copyBytes, copyMessage, made } from "./bytes.js";
import { commit, type CommitOptions, type CommitResult, type Plan } from "./commit.js";
import { MlsError } from "./errors.js";
import { type Id, type IdLike, type Name, nameOf } from "./id.js";
import { limits } from "./limits.js";
import { copyList } from "./lists.js";
import { type ConversationState, conversationStateOf } from "./conversation-state.js";
import type { NativeRequest, NativeInvitee, NativeLeafName } from "./native-binding.js";
import {
  commitOptions,
  encryptOptions,
  invitee,
  labelText,
  leafName,
  parse,
  secretLength,
  updateOptions,
} from "./options.js";
import { decrypt } from "./receive.js";
import type { Received } from "./received.js";
import { type CredentialRef, type Member, memberOf } from "./records.js";
import type { Scope } from "./scope.js";

/** A key package, alone or with the client that it must belong to (else `KEY_PACKAGE_MISMATCH`). */
export type Invitee =
  | Uint8Array
  | {
      /** As its owner has published it: MLSMessage-framed. */
      keyPackage: Uint8Array;
      /** Whose it must be. */
      clientId: IdLike;
    };

/**
 * A leaf: by its name and signature key (a `Member` is that, too), or by a name alone, which stands for every leaf of that name.
 * Names prove nothing: two leaves of one name are told apart by their keys.
 */
export type LeafLike =
  | IdLike
  | {
      /** The identity in its credential. */
      readonly clientId: IdLike;
      /** Its public signature key. */
      readonly signatureKey: Uint8Array;
    };

/** How keys are to be updated. */
export interface UpdateOptions extends CommitOptions {
  /** What this client is to be known by in the conversation from then on. */
  credential?: CredentialRef;
}

/**
 * A conversation: an MLS group (RFC 9420). A handle without state of its own; all its calls reject
 * with `CONVERSATION_NOT_FOUND` while the keystore has no such conversation, and those that need a
 * member with `CONVERSATION_INACTIVE` after this client was removed.
 *
 * A commit goes through the session's transport and resolves when it is known to be accepted.
 * `COMMIT_REJECTED`: the server refused it. `COMMIT_OUTCOME_UNKNOWN`, `RETRY_EXHAUSTED`: it stays
 * open, see `Session.settle`. `COMMIT_LOST`: others were faster in every attempt, and nothing is
 * open. `CONVERSATION_BEHIND`: without `deliver`, the application has to receive first; nothing is
 * open. `STATE_DIVERGED`: the server contradicted itself. `TRANSPORT_MISSING`: the session has no
 * transport. `CONVERSATION_STALLED`: see `state`.
 */
export interface MlsConversation {
  /** Its id. */
  readonly id: Id;
  /** The epoch that it is in. */
  epoch(): Promise<bigint>;
  /** Who is in it, oneself included. */
  members(): Promise<Member[]>;
  /** Whether this client is in it: false after it was removed. */
  active(): Promise<boolean>;
  /**
   * What it may do now, and what stands in the way. Reads the keystore and waits for nothing else. Also answers while this
   * client is joining from outside, or after it was removed.
   */
  state(): Promise<ConversationState>;
  /** Its public state with the ratchet tree, signed, MLSMessage-framed (RFC 9420 section 12.4.3). */
  groupInfo(): Promise<Bytes>;
  /**
   * Adds members by their key packages, in one commit. Those who are in it on a later attempt are left out. `KEY_PACKAGE_INVALID` when one
   * of the others can no longer be used then: nothing is open after it, and nobody was added.
   */
  addMembers(invitees: readonly Invitee[], options?: CommitOptions): Promise<CommitResult>;
  /**
   * Removes these leaves, in one commit: as they are now, not another leaf that bears the name on a later attempt. A name alone
   * stands for every leaf of that name; a `Member`, or `{ clientId, signatureKey }`, for that leaf.
   */
  removeMembers(leaves: readonly LeafLike[], options?: CommitOptions): Promise<CommitResult>;
  /**
   * Gives this client fresh keys: who may have learned the old ones can no longer read (RFC 9420 section 16.6). With `credential`
   * also another signature key: this client is known by it once the commit is accepted, and until then by the present one. The
   * old credential stays in the keystore until `removeCredential`. `CREDENTIAL_NOT_FOUND` for a credential of another keystore,
   * `CIPHER_SUITE_UNSUPPORTED` for one of another suite than the conversation's.
   */
  updateKeys(options?: UpdateOptions): Promise<CommitResult>;
  /**
   * Commits the proposals that were received, those that go together, and by that ends all of them. "already-applied" when none
   * is pending, or when one is to remove this client and others can commit that. `updateKeys` ends them in any case.
   */
  commitPendingProposals(options?: CommitOptions): Promise<CommitResult>;
  /**
   * Encrypts a message to all members; `aad` is authenticated but not encrypted. `CONVERSATION_STALLED` where others may have
   * left the epoch; `EPOCH_EXHAUSTED` where too many messages were given up in it. Waits for a commit in flight if it must, and
   * rejects with `PENDING_PROPOSALS` while a received proposal waits for a commit (RFC 9420 section 12.4); inside a transaction
   * it rejects without waiting. The bytes may be sent as soon as you hold them, whatever happens to the transaction.
   */
  encrypt(plaintext: Uint8Array, options?: { aad?: Uint8Array }): Promise<Bytes>;
  /**
   * `receive` for one message of this conversation: its result, followed by what it released from the buffer. A message of
   * another conversation is `WRONG_CONVERSATION`, and what `receive` calls "rejected" rejects with its code.
   */
  decrypt(message: Uint8Array): Promise<Received[]>;
  /**
   * A secret that all members of this epoch can derive, and nobody else (RFC 9420 section 8.5). The label is 1 to 1,024 bytes of
   * text, the length 1 to 8,160 bytes: what the hash of the cipher suite can give. See {@link limits}.
   */
  exportSecret(label: string, context: Uint8Array, length: number): Promise<Bytes>;
  /** A value that two members compare to know that they share this epoch (RFC 9420 section 8.7). */
  epochAuthenticator(): Promise<Bytes>;
  /** Deletes it from the keystore, with all its secrets. The others are told nothing. */
  wipe(): Promise<void>;
}

/** The handle of a conversation in a scope. */
export class Conversation implements MlsConversation {
  readonly #scope: Scope;
  readonly #name: Name;

  constructor(scope: Scope, name: Name) {
    this.#scope = scope;
    this.#name = name;
  }

  get id(): Id {
    return this.#name.id;
  }

  async epoch(): Promise<bigint> {
    return this.#scope.step((native) => native.epoch(this.#name.bytes));
  }

  async members(): Promise<Member[]> {
    const members = await this.#scope.step((native) => native.members(this.#name.bytes));
    return members.map(memberOf);
  }

  async active(): Promise<boolean> {
    return this.#scope.step((native) => native.active(this.#name.bytes));
  }

  async state(): Promise<ConversationState> {
    return conversationStateOf(await this.#scope.step((native) => native.conversationState(this.#name.bytes)));
  }

  async groupInfo(): Promise<Bytes> {
    return made(await this.#scope.step((native) => native.groupInfo(this.#name.bytes)));
  }

  async addMembers(invitees: readonly Invitee[], options: CommitOptions = {}): Promise<CommitResult> {
    return this.#commit({ add: copyInvitees(invitees, "invitees") }, options);
  }

  async removeMembers(leaves: readonly LeafLike[], options: CommitOptions = {}): Promise<CommitResult> {
    const names = copyList(leaves, "leaves", leafNameOf, LIST);
    return this.#commit({ remove: names }, options);
  }

  async updateKeys(options: UpdateOptions = {}): Promise<CommitResult> {
    const { credential, ...sending } = parse(updateOptions, options, "options");
    return this.#commit({ update: true, ...(credential && { credentialRef: credential.ref }) }, sending);
  }

  async commitPendingProposals(options: CommitOptions = {}): Promise<CommitResult> {
    return this.#commit({ pending: true }, options);
  }

  async encrypt(plaintext: Uint8Array, options: { aad?: Uint8Array } = {}): Promise<Bytes> {
    const { aad } = parse(encryptOptions, options, "options");
    const copy = copyBytes(plaintext, "plaintext", limits.plaintextBytes);
    const copyOfAad = aad === undefined ? undefined : copyBytes(aad, "options.aad", limits.aadBytes);
    for (;;) {
      try {
        return made(await this.#scope.step((native) => native.encrypt(this.#name.bytes, copy, copyOfAad)));
      } catch (error) {
        if (!this.#endsWithCommitInFlight(error)) throw error;
      }
      await this.#scope.state.lanes.of(this.id).turn.shared(async () => {});
    }
  }

  async decrypt(message: Uint8Array): Promise<Received[]> {
    return decrypt(this.#scope, this.#name, copyMessage(message, "message"));
  }

  async exportSecret(label: string, context: Uint8Array, length: number): Promise<Bytes> {
    const copy = copyBytes(context, "context");
    parse(labelText, label, "label");
    parse(secretLength, length, "length");
    return made(await this.#scope.step((native) => native.exportSecret(this.#name.bytes, label, copy, length)));
  }

  async epochAuthenticator(): Promise<Bytes> {
    return made(await this.#scope.step((native) => native.epochAuthenticator(this.#name.bytes)));
  }

  async wipe(): Promise<void> {
    await this.#scope.step((native) => native.wipe(this.#name.bytes));
  }

  #commit(request: NativeRequest, options: CommitOptions): Promise<CommitResult> {
    const plan: Plan = {
      conversation: this.#name,
      stage: (native) => native.stageCommit(this.#name.bytes, request),
      founding: false,
    };
    return commit(this.#scope, plan, parse(commitOptions, options, "options"));
  }

  /** Whether a commit of this session is on its way whose end lets this client encrypt. A transaction cannot wait for it. */
  #endsWithCommitInFlight(error: unknown): boolean {
    if (this.#scope.holdsTurn || !MlsError.is(error, "PENDING_PROPOSALS", "COMMIT_OUTCOME_UNKNOWN")) return false;
    return this.#scope.state.lanes.find(this.id)?.turn.free === false;
  }
}

/** Copies key packages and the clients that they must belong to. */
export function copyInvitees(invitees: unknown, name: string): NativeInvitee[] {
  const copy = (one: unknown, path: string): NativeInvitee => {
    if (ArrayBuffer.isView(one)) return { keyPackage: copyMessage(one, path, limits.keyPackageBytes.max) };
    const { keyPackage, clientId } = parse(invitee, one, path);
    return {
      keyPackage: copyMessage(keyPackage, `${path}.keyPackage`, limits.keyPackageBytes.max),
      clientId: nameOf(clientId, `${path}.clientId`).bytes,
    };
  };
  return copyList(invitees, name, copy, LIST);
}

function leafNameOf(leaf: unknown, name: string): NativeLeafName {
  if (typeof leaf === "string" || ArrayBuffer.isView(leaf)) return { clientId: nameOf(leaf, name).bytes };
  if (typeof leaf !== "object" || leaf === null) {
    throw new MlsError("INVALID_ARGUMENT", `${name} must be a string, a Uint8Array, or { clientId, signatureKey }.`);
  }
  const { clientId, signatureKey } = parse(leafName, leaf, name);
  return {
    clientId: nameOf(clientId, `${name}.clientId`).bytes,
    signatureKey: copyBytes(signatureKey, `${name}.signatureKey`, { min: 1, max: 1024 }),
  };
}

const LIST = limits.listLength;
