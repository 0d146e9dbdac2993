import { type Bytes, made } from "./bytes.js";
import { type CipherSuite, cipherSuiteOf } from "./cipher-suite.js";
import { type IntendedChange, type IntendedMember, MlsError } from "./errors.js";
import type { Id } from "./id.js";
import type {
  NativeChange,
  NativeCredential,
  NativeKeyPackage,
  NativeMember,
  NativeUnsettledCommit,
} from "./native-binding.js";

/** A client in a conversation: a leaf of its tree (RFC 9420 section 7.2). */
export interface Member {
  /** The identity in its credential. */
  readonly clientId: Id;
  /** Its place in the tree; a later member can take the place of a removed one. */
  readonly leafIndex: number;
  /** Its public signature key, as the cipher suite encodes it. */
  readonly signatureKey: Bytes;
}

/** What a commit or proposal does to the members. */
export interface Change {
  /** Who is in now and was not before. */
  readonly added: Member[];
  /** Who was in before and is not now. */
  readonly removed: Member[];
  /** Who stays, with fresh keys. */
  readonly updated: Member[];
}

/** A credential in the keystore, as `addCredential` and `credentials` name it. */
export interface CredentialRef {
  /** Lowercase hex; names the credential in this keystore. */
  readonly ref: Id;
  /** The identity in it. */
  readonly clientId: Id;
  /** The suite of its signature key. */
  readonly cipherSuite: CipherSuite;
}

/** A key package (RFC 9420 section 10): with it others can add this client while it is offline. */
export interface KeyPackage {
  /** What to publish: MLSMessage-framed. */
  readonly bytes: Bytes;
  /** Its KeyPackageRef (RFC 9420 section 5.2), lowercase hex: a Welcome names it. */
  readonly ref: Id;
  /** The suite of the conversations it is good for. */
  readonly cipherSuite: CipherSuite;
  /** When it expires. */
  readonly notAfter: Date;
  /** Whether it may be used again and again: for the time when all others are used up. */
  readonly lastResort: boolean;
}

/** A key package whose private keys are in the keystore. */
export interface StoredKeyPackage extends Omit<KeyPackage, "bytes"> {
  /** Whether its time is over. Its private keys stay for 7 days more, since a Welcome for it may be under way. */
  readonly expired: boolean;
  /**
   * Where they were asked for: what `generateKeyPackages` gave, to publish it again. Missing when it has expired, or is a last-resort
   * one that another has replaced.
   */
  readonly bytes?: Bytes;
}

/** A commit that was sent or staged and is neither accepted nor known to be lost. */
export interface UnsettledCommit {
  /** The conversation that waits for it. */
  readonly conversationId: Id;
  /** The epoch that it was made in. */
  readonly epoch: bigint;
  /** The SHA-256 of its bytes, lowercase hex. */
  readonly commitId: Id;
  /** What it does if it is accepted. */
  readonly intent: Change;
  /** When it was staged. */
  readonly since: Date;
  /** The outcome of its last send is unknown; all attempts are used up; or the process ended while it was on its way. */
  readonly why: "unknown" | "exhausted" | "restart";
}

/** A member, with memory of its own. */
export function memberOf({ clientId, leafIndex, signatureKey }: NativeMember): Member {
  return { clientId, leafIndex, signatureKey: new Uint8Array(signatureKey) };
}

/** A change, with memory of its own: the same native record can be shown to the transport, the caller and listeners. */
export function changeOf({ added, removed, updated }: NativeChange): Change {
  return { added: added.map(memberOf), removed: removed.map(memberOf), updated: updated.map(memberOf) };
}

/** A change as plain data, for errors. */
export function intentOf({ added, removed, updated }: NativeChange): IntendedChange {
  const plain = ({ clientId, leafIndex, signatureKey }: NativeMember): IntendedMember => ({
    clientId,
    leafIndex,
    signatureKey: Buffer.from(signatureKey).toString("hex"),
  });
  return { added: added.map(plain), removed: removed.map(plain), updated: updated.map(plain) };
}

/** The change that changes nothing. */
export function noChange(): Change {
  return { added: [], removed: [], updated: [] };
}

/** A credential, with the suite by its name. */
export function credentialRefOf({ ref, clientId, cipherSuite }: NativeCredential): CredentialRef {
  return { ref, clientId, cipherSuite: suiteOf(cipherSuite) };
}

/** A key package that was just made. */
export function keyPackageOf(record: NativeKeyPackage): KeyPackage {
  if (record.bytes === undefined) throw unexpected("a new key package without its bytes");
  return { bytes: made(record.bytes), ...termsOf(record) };
}

/** A key package of the keystore. */
export function storedKeyPackageOf(record: NativeKeyPackage): StoredKeyPackage {
  const { bytes, expired } = record;
  return { ...(bytes !== undefined && { bytes: made(bytes) }), ...termsOf(record), expired };
}

function termsOf({ ref, cipherSuite, notAfterMs, lastResort }: NativeKeyPackage): Omit<KeyPackage, "bytes"> {
  return { ref, cipherSuite: suiteOf(cipherSuite), notAfter: new Date(notAfterMs), lastResort };
}

/** A commit that stays open. */
export function unsettledCommitOf(record: NativeUnsettledCommit): UnsettledCommit {
  const { conversationId, epoch, commitId, why } = record;
  return { conversationId, epoch, commitId, intent: changeOf(record.change), since: new Date(record.sinceMs), why };
}

/** The error for a record that the addon should never make: the two halves of the package do not fit together. */
export function unexpected(what: string): MlsError {
  return new MlsError("INTERNAL_ERROR", `The native addon answered ${what}. Please report this.`);
}

function suiteOf(number: number): CipherSuite {
  const name = cipherSuiteOf(number);
  if (name === undefined) throw unexpected(`the cipher suite ${number}`);
  return name;
}
