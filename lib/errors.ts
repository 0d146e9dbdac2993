/**
 * The one error class of the package and the closed table of its codes.
 *
 * `docs/errors.md` is generated from {@link errorCodes}: what stands here is what people read.
 */

import type { Capabilities, CredentialType } from "./capabilities.js";
import type { Id } from "./id.js";

/** What a code means, what to do about it, and whether the same call can succeed later. */
interface ErrorCodeEntry {
  /** What happened, in one sentence. */
  readonly meaning: string;
  /** What the caller can do, in one sentence. */
  readonly whatToDo: string;
  /** Whether the same call, later and unchanged, can succeed. */
  readonly retryable: boolean;
}

/** Every code an {@link MlsError} can carry, with its meaning, what to do, and whether the same call can succeed later. */
export const errorCodes = {
  INVALID_ARGUMENT: {
    meaning: "An argument has the wrong type, size or form, or an option is not known. Nothing was changed.",
    whatToDo: "Correct the call; the message names the argument and what is expected.",
    retryable: false,
  },
  KEY_PACKAGE_INVALID: {
    meaning:
      "Nobody can be added by this key package: it cannot be decoded, a signature, a key or an extension of it is wrong, its " +
      "client cannot take part in this conversation, or its time is not now. The message says which, and `context.index` which " +
      "key package.",
    whatToDo:
      "Fetch a fresh key package of this client and try with that one, or leave this client out; if its time is the reason, look at both clocks.",
    retryable: false,
  },
  KEY_PACKAGE_MISMATCH: {
    meaning:
      "A key package is of another cipher suite than the conversation, or of another client than the one named with it.",
    whatToDo: "Fetch the right one; if the directory hands out foreign key packages, find out why.",
    retryable: false,
  },
  ALREADY_MEMBER: {
    meaning:
      "An invitee is a member of the conversation already, bears the name of a member, or is named twice; or who joins from outside bears the name of a member with another signature key. The message says which.",
    whatToDo:
      "Leave this invitee out. To join from outside, use the credential that this client is known by; after the loss of a keystore, ask a member to remove the old client first.",
    retryable: false,
  },
  NOT_A_MEMBER: {
    meaning: "A client that is to be removed is not a member of the conversation.",
    whatToDo: "Leave this client out: `context.index` is its place in the list. `members()` has who is there.",
    retryable: false,
  },
  CIPHER_SUITE_UNSUPPORTED: {
    meaning: "The cipher suite is not supported, or is not the one of the conversation.",
    whatToDo: "Use a credential and key packages of the conversation's cipher suite.",
    retryable: false,
  },
  CREDENTIAL_NOT_FOUND: {
    meaning: "The keystore has no credential with this reference.",
    whatToDo: "Use a reference that `credentials()` or `addCredential()` of this session returned.",
    retryable: false,
  },
  CREDENTIAL_IN_USE: {
    meaning: "The credential is needed by a conversation, or by a commit that is not settled.",
    whatToDo:
      "Give these conversations another one by `updateKeys({ credential })`, or `wipe()` them; call `settle()`; then remove it.",
    retryable: false,
  },
  CLIENT_MISMATCH: {
    meaning: "The keystore belongs to another client, or a credential names another client than the session.",
    whatToDo: "Open the keystore with the client id it was made for; give every client a keystore of its own.",
    retryable: false,
  },
  CONVERSATION_NOT_FOUND: {
    meaning: "The keystore has no conversation with this id.",
    whatToDo: "Create it or join it by a Welcome first; `conversations()` lists what is there.",
    retryable: false,
  },
  CONVERSATION_EXISTS: {
    meaning: "A conversation with this id exists already.",
    whatToDo:
      "Use it, or choose another id. If the Welcome invites this client anew, receive the removal first, then join; where the server has that no more, `wipe()` the conversation and join.",
    retryable: false,
  },
  CONVERSATION_INACTIVE: {
    meaning: "This client was removed from the conversation.",
    whatToDo: "Ask a member to be added again; the new Welcome replaces it.",
    retryable: false,
  },
  CONVERSATION_STALLED: {
    meaning:
      "A commit that a member has signed was not applied here, and the others may have gone on with it: somebody may have been removed. Nothing is encrypted for an epoch that others may have left.",
    whatToDo:
      "Look at `state().stalled`. Receive another commit of that epoch, join from outside by `joinByExternalCommit` where that is allowed, or ask to be invited again: the new Welcome replaces the conversation.",
    retryable: false,
  },
  CONVERSATION_CORRUPT: {
    meaning:
      "What the keystore has of this conversation is damaged, or work on it has failed as it never should. Other conversations go on.",
    whatToDo:
      "Where the message says so, close the database and open it again first. Otherwise call `wipe()`, which always works, and join the conversation anew: by `joinByExternalCommit` where that is allowed, or by a new Welcome.",
    retryable: false,
  },
  EPOCH_EXHAUSTED: {
    meaning:
      "So many messages of this epoch were given up after their bytes had been handed out, or so many commits were not accepted, that the others would not find the next one. Or the keystore goes on from an older state (`acceptRollback`), and the lost one may have used the keys of this epoch.",
    whatToDo:
      "Where `encrypt` says so, call `updateKeys()`, which begins a new epoch, and encrypt again. Where a commit does, receive the commit of another member, join from outside, or wipe the conversation and ask to be invited again.",
    retryable: false,
  },
  ROLLBACK_REFUSED: {
    meaning:
      "A Welcome or GroupInfo leads to an older epoch than this client has known of the conversation, or a Welcome was used before with a last-resort key package. Nothing was changed.",
    whatToDo:
      "Fetch the newest GroupInfo, or ask to be invited again. If you know that the group was founded anew under the same id, pass `allowRollback: true`.",
    retryable: false,
  },
  WRONG_CONVERSATION: {
    meaning: "The message belongs to another conversation than the one it was given to.",
    whatToDo: "Give it to the right conversation, or to `session.receive`, which finds the conversation by itself.",
    retryable: false,
  },
  PENDING_PROPOSALS: {
    meaning: "A received proposal waits for a commit, and nothing may be encrypted before it (RFC 9420 section 12.4).",
    whatToDo:
      "Call `commitPendingProposals()`, or receive another member's commit, then encrypt again. `updateKeys()` ends proposals in any case.",
    retryable: true,
  },
  MESSAGE_INVALID: {
    meaning: "The bytes are not a valid MLS message, or were tampered with or forged.",
    whatToDo: "Discard them; the state is as it was, and the genuine message can still be received.",
    retryable: false,
  },
  WELCOME_INVALID: {
    meaning: "The Welcome cannot be decoded or verified.",
    whatToDo: "Discard it and ask to be invited again; the key package stays usable.",
    retryable: false,
  },
  WELCOME_WITHOUT_KEY_PACKAGE: {
    meaning:
      "The keystore has no private key for this Welcome: it is for another client, or its key package was used or removed, or " +
      "has expired or been replaced more than a week ago.",
    whatToDo: "Discard it, publish fresh key packages and ask to be invited again.",
    retryable: false,
  },
  WELCOME_OVERTAKEN: {
    meaning:
      "This client has joined the conversation in the epoch that the Welcome leads to, or in a later one: from outside, for example.",
    whatToDo:
      "Discard the Welcome. If the others do not see this client, join from outside, or `wipe()` the conversation and ask to be invited again.",
    retryable: false,
  },
  RATCHET_TREE_MISSING: {
    meaning:
      "The Welcome comes without the ratchet tree of its conversation, and none was given beside it, or one that is of " +
      "another epoch or conversation, damaged, or too large. The message says which. Nothing was changed.",
    whatToDo:
      "Fetch the tree of `context.conversationId` at `context.epoch` and call `joinByWelcome(welcome, { ratchetTree })`. " +
      "Where it cannot be had, ask to be invited again.",
    retryable: false,
  },
  GROUP_INFO_INVALID: {
    meaning: "The GroupInfo cannot be decoded or verified, or belongs to another conversation or cipher suite.",
    whatToDo: "Fetch the newest GroupInfo of the conversation and try with that one.",
    retryable: false,
  },
  GROUP_INFO_UNAVAILABLE: {
    meaning: "The transport's `fetchGroupInfo` threw, took too long or answered no bytes (`cause`). Nothing was sent.",
    whatToDo:
      "Call again when the delivery service can be reached. A service that gives the GroupInfo to members only, as the embedded one for a conversation without `externalJoin`, never will: ask a member to add this client.",
    retryable: true,
  },
  EXTERNAL_JOIN_REFUSED: {
    meaning: "The conversation does not allow joining by an external commit.",
    whatToDo: "Ask a member to be added.",
    retryable: false,
  },
  DELIVER_FAILED: {
    meaning: "The `deliver` callback threw (`cause`); what was received was put back.",
    whatToDo: "Mend what it threw about, then make the same call again: everything is delivered again.",
    retryable: true,
  },
  COMMIT_REJECTED: {
    meaning: "The transport answered `abort`: the commit was not accepted and never will be. It was cleared.",
    whatToDo: "Read `context.reason`, which the server gave; the conversation is as it was before the call.",
    retryable: false,
  },
  COMMIT_OUTCOME_UNKNOWN: {
    meaning:
      "A commit was sent and is not known to be accepted or lost: the transport threw, timed out or answered nonsense, the call was aborted, or something failed here (`cause`).",
    whatToDo:
      "Go on receiving, mend what the `cause` names, and call `session.settle()` when online; `commitSettled` tells what became of it. Where `context.earlier` is true the open commit is that of an earlier call, and nothing of this one was staged: settle, then make the call again. Otherwise do not make it again before the commit is settled: it may have been accepted.",
    retryable: true,
  },
  RETRY_EXHAUSTED: {
    meaning:
      "The transport answered `retry` to every attempt, or asked to wait for more than an hour; the commit stays unsettled.",
    whatToDo:
      "Go on receiving and call `session.settle()` later; `commitSettled` tells what became of it. `context.earlier` is as with `COMMIT_OUTCOME_UNKNOWN`.",
    retryable: true,
  },
  COMMIT_LOST: {
    meaning:
      "Other commits were faster in every attempt. Nothing is left open; `context.intent` has what the commit was to do.",
    whatToDo:
      "Make the call again if it is still wanted; with more `attempts` where many commit at the same time. If others have done it meanwhile, the new call says `ALREADY_MEMBER` or `NOT_A_MEMBER`: then it is done.",
    retryable: true,
  },
  CONVERSATION_BEHIND: {
    meaning:
      "This client is behind, and a session without `deliver` cannot read on without losing the application's messages. Nothing is left open.",
    whatToDo: "Receive what the server has, then make the call again; receive while a commit is on its way.",
    retryable: true,
  },
  STATE_DIVERGED: {
    meaning:
      "The delivery service contradicts itself: it accepted two commits of one epoch, so members may no longer share one group.",
    whatToDo: "Mend the delivery service; create the conversation anew with everybody who is to be in it.",
    retryable: false,
  },
  TRANSPORT_MISSING: {
    meaning:
      "A commit was asked for, and the session has no transport; or a join from outside, and the transport has no `fetchGroupInfo`. Nothing was staged.",
    whatToDo: "Open the session with the `transport` option, and for joins from outside give it `fetchGroupInfo`.",
    retryable: false,
  },
  TRANSACTION_NESTED: {
    meaning: "A session was used inside its own transaction or `deliver` callback, which would wait for itself.",
    whatToDo: "Use the `tx` that the callback was given, or make the call after the callback has returned.",
    retryable: false,
  },
  TRANSACTION_ENDED: {
    meaning: "A transaction, or a conversation handle made from it, was used after the transaction had ended.",
    whatToDo: "Await all calls before the callback returns; take handles for later from `session.conversation(id)`.",
    retryable: false,
  },
  TRANSACTION_TIMEOUT: {
    meaning: "A transaction held its turn longer than `transactionTimeoutMs` and was rolled back.",
    whatToDo: "Do slow work before the transaction, never inside it; or open the session with a longer limit.",
    retryable: true,
  },
  ABORTED: {
    meaning: "The caller's `signal` was aborted before anything was sent. Nothing was changed.",
    whatToDo: "Nothing, or make the call again.",
    retryable: true,
  },
  SESSION_CLOSED: {
    meaning: "The session was closed before or during the call.",
    whatToDo: "Open a new session; a commit that was on its way is found again by `unsettledCommits()`.",
    retryable: false,
  },
  DATABASE_CLOSED: {
    meaning: "The database was closed.",
    whatToDo: "Open it again.",
    retryable: false,
  },
  DATABASE_IN_USE: {
    meaning: "Another process, thread or session has this database open.",
    whatToDo: "Close it there first; the lock of a process that died is free at once.",
    retryable: true,
  },
  DATABASE_KEY_WRONG: {
    meaning: "The key does not open this file, or the file is not a keystore.",
    whatToDo: "Check path and key; nothing was changed.",
    retryable: false,
  },
  DATABASE_CORRUPT: {
    meaning:
      "The keystore file is damaged, cut off, or empty: an open has read it twice, and found the same. An open database says so only of " +
      "a single value of no conversation that came whole from the disk and cannot be read.",
    whatToDo:
      "Keep a copy for examination and start with a fresh keystore, at a path where no file is; join the conversations again.",
    retryable: false,
  },
  DATABASE_TOO_NEW: {
    meaning: "The keystore was written by a newer version of this package.",
    whatToDo: "Update the package; nothing was changed.",
    retryable: false,
  },
  DATABASE_LOST: {
    meaning:
      "The keystore's file, or the log beside it, was deleted, renamed or replaced while it was open. What was stored after that is in files that nobody finds.",
    whatToDo:
      "Close the session, put the newest file back into its place, and open it again; keep other programs away from it.",
    retryable: false,
  },
  DATABASE_ROLLED_BACK: {
    meaning:
      "The newest state of the keystore is missing: an older file was put back, or its log was deleted or damaged after a crash.",
    whatToDo:
      "Put the newest files back. If they are lost, open it with `acceptRollback` and call `updateKeys()` in each conversation before you send.",
    retryable: false,
  },
  DATABASE_IO: {
    meaning:
      "The keystore file could not be read or written (disk full, permissions, device error, a page that came damaged). Nothing of the call " +
      "was stored.",
    whatToDo:
      "Mend the cause and make the call again. After a failed read every call says this until the database is closed and opened again: " +
      "do that, and the open tells whether the file is damaged. What was stored before is intact.",
    retryable: true,
  },
  ADDON_NOT_LOADED: {
    meaning: "The native addon for this platform is missing, cannot be loaded or has another version than the package.",
    whatToDo:
      "Do what the message says. Mostly: install the package again on this platform; in Electron unpack `prebuilds/**` from the asar archive; keep the package external to bundles; with `--permission` (on Node 20 `--experimental-permission`) pass `--allow-addons`.",
    retryable: false,
  },
  INTERNAL_ERROR: {
    meaning:
      "Something happened that never should; after a panic the session refuses further calls. The keystore is intact.",
    whatToDo: "Close the session, open it again, and report the message and its cause.",
    retryable: false,
  },
} as const satisfies Record<string, ErrorCodeEntry>;

/** The closed list of codes; later versions add to it. */
export type MlsErrorCode = keyof typeof errorCodes;

/** Where an error happened; JSON-safe, never keys, plaintext or payloads. */
export interface MlsErrorContext {
  /**
   * The conversation that a failed step was about, or in which a batch of messages or a Welcome failed. Missing where a call was
   * refused before any step: for its arguments, its signal, or for want of a transport.
   */
  readonly conversationId?: Id;
  /** The epoch that the failed step was about, in decimal. */
  readonly epoch?: string;
  /** The number of the send that was the last one. */
  readonly attempt?: number;
  /**
   * The place in the list that was given, from 0, of the client or key package that cannot be added or removed: of
   * `KEY_PACKAGE_INVALID`, `KEY_PACKAGE_MISMATCH`, `ALREADY_MEMBER` and `NOT_A_MEMBER`, and of `INVALID_ARGUMENT` where a leaf is
   * oneself or named twice.
   */
  readonly index?: number;
  /**
   * True where the commit that stays open is that of an earlier call, for example of `COMMIT_OUTCOME_UNKNOWN`: nothing of this call was
   * staged, and no event will tell of it.
   */
  readonly earlier?: true;
  /** Of `COMMIT_REJECTED`: the `reason` of the transport's `abort`, as it was given. */
  readonly reason?: string;
  /** Of `COMMIT_LOST`: what the commit was to do, without what others have done meanwhile. */
  readonly intent?: IntendedChange;
}

/** What a commit was to do to the members, as plain data. */
export interface IntendedChange {
  /** Who was to be added. */
  readonly added: readonly IntendedMember[];
  /** Who was to be removed. */
  readonly removed: readonly IntendedMember[];
  /** Who was to get fresh keys. */
  readonly updated: readonly IntendedMember[];
  /** What is no membership, as in `Change`, with contents in lowercase hex. */
  readonly other: readonly IntendedOtherChange[];
}

/** A change of the group context, as plain data. */
export interface IntendedOtherChange {
  /** What kind of change it is. */
  readonly type: "context";
  /** What was to be set, or with `null` taken away: as in `ContextPatch`, with contents in lowercase hex. */
  readonly patch: {
    /** Extensions by the numbers of their types. */
    readonly extensions?: Readonly<Record<number, string | null>>;
    /** What every member was to be able to do. */
    readonly requiredCapabilities?: Capabilities | null;
  };
}

/** A member of a change, as plain data. */
export interface IntendedMember {
  /** The identity in its credential. */
  readonly clientId: string;
  /** Its place in the tree, or for one who was to be added the place that it would have got. */
  readonly leafIndex: number;
  /** Its public signature key, lowercase hex. */
  readonly signatureKey: string;
  /** The type of its credential. */
  readonly credentialType: CredentialType;
}

const brand = Symbol.for("conclave-mls.MlsError");

/** Whether this is an object that bears the symbol; never throws, also not for a proxy that was revoked. */
export function hasBrand(value: unknown, symbol: symbol): value is object {
  try {
    return typeof value === "object" && value !== null && symbol in value;
  } catch {
    return false;
  }
}

/**
 * The only error that this package makes. `code` says what happened in a word that a program can act on, the message says it
 * to people together with what to do, and `cause` keeps what was underneath: what a callback or transport threw, or, of a
 * failure in the addon, an `Error` with the words of the operating system, SQLite or OpenMLS, and so on by its own `cause`.
 * Causes of the addon carry no keys, no ids and no payloads.
 *
 * One kind of failure is not wrapped: what the callback of `transaction` throws comes out by identity.
 */
export class MlsError extends Error {
  /** The stable code: see {@link errorCodes}. */
  readonly code: MlsErrorCode;
  /**
   * Whether the same call, later and unchanged, can succeed. After `COMMIT_OUTCOME_UNKNOWN` and `RETRY_EXHAUSTED` call
   * `Session.settle` first: the commit is open.
   */
  readonly retryable: boolean;
  /** Where it happened; JSON-safe, never keys, plaintext or payloads. */
  readonly context: MlsErrorContext;

  /** Makes an error of this code. */
  constructor(code: MlsErrorCode, message: string, details: { cause?: unknown; context?: MlsErrorContext } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = errorCodes[code].retryable;
    this.context = { ...details.context };
    Object.defineProperty(this, brand, { value: true });
  }

  /**
   * Whether this is an error of this package, and of one of these codes when some are named. Works where `instanceof` does not:
   * across realms, copies of the package, and the CommonJS build next to the ES module build.
   */
  static is(error: unknown): error is MlsError;
  static is<C extends MlsErrorCode>(
    error: unknown,
    ...codes: C[]
  ): error is MlsError & {
    /** One of these. */
    readonly code: C;
  };
  static is(error: unknown, ...codes: MlsErrorCode[]): boolean {
    if (!hasBrand(error, brand)) return false;
    return codes.length === 0 || codes.includes((error as unknown as MlsError).code);
  }

  /** A plain object for logs and IPC, without stack and cause. */
  toJSON(): {
    /** Always the same. */
    name: "MlsError";
    /** The stable code. */
    code: MlsErrorCode;
    /** For people. */
    message: string;
    /** Whether the same call, later and unchanged, can succeed. */
    retryable: boolean;
    /** Where it happened. */
    context: MlsErrorContext;
  } {
    const { code, message, retryable, context } = this;
    return { name: "MlsError", code, message, retryable, context };
  }
}

// On the prototype, like the names of the built-in errors: not an own property of each error, so that printing one stays short.
Object.defineProperty(MlsError.prototype, "name", { value: "MlsError", configurable: true, writable: true });

/** Whether this text is one of the codes; for codes that arrive as data. */
export function isErrorCode(code: unknown): code is MlsErrorCode {
  return typeof code === "string" && Object.hasOwn(errorCodes, code);
}

/**
 * Makes the error of a failed native call. The addon's errors carry `code`, a finished message and `details`, with the words of
 * what was underneath. An error that is an {@link MlsError} already stays as it is, and everything else is an `INTERNAL_ERROR`.
 */
export function fromNative(error: unknown): MlsError {
  if (MlsError.is(error)) return error;
  const { code, message, details } = (typeof error === "object" && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  if (!isErrorCode(code) || typeof message !== "string") {
    return new MlsError(
      "INTERNAL_ERROR",
      "The native addon failed in an unexpected way. Please report this with its cause.",
      {
        cause: error,
      },
    );
  }
  const known = typeof details === "object" && details !== null ? (details as Record<string, unknown>) : {};
  return new MlsError(code, message, {
    cause: causeOf(known["causes"]),
    context: contextOf(known),
  });
}

/** The chain of causes, the nearest first; each has the words of one link, and the next one as its own cause. */
function causeOf(words: unknown): Error | undefined {
  if (!Array.isArray(words)) return undefined;
  return words
    .filter((link) => typeof link === "string")
    .reduceRight<Error | undefined>((cause, link) => withoutStack(new Error(link, cause && { cause })), undefined);
}

/** It happened in the addon: where this object was made says nothing. */
function withoutStack(error: Error): Error {
  const stack = `${error.name}: ${error.message}`;
  return Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
}

/** Only the known fields, and only of their types: whatever else an addon might add is not known to be safe to show. */
function contextOf({ conversationId, epoch, index }: Record<string, unknown>): MlsErrorContext {
  return {
    ...(typeof conversationId === "string" && { conversationId }),
    ...(typeof epoch === "string" && { epoch }),
    ...(typeof index === "number" && { index }),
  };
}
