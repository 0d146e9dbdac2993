import { type Bytes, made } from "./bytes.js";
import { type Capabilities, type CredentialType, credentialTypeOf } from "./capabilities.js";
import { type CipherSuite, cipherSuiteOf } from "./cipher-suite.js";
import { type IntendedChange, type IntendedMember, MlsError } from "./errors.js";
import type { Id } from "./id.js";
import type {
  NativeChange,
  NativeCredential,
  NativeKeyPackage,
  NativeMember,
  NativeOtherChange,
  NativeRequirements,
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
  /** The type of its credential (RFC 9420 section 17.5): by its name, or by its number where it has none here. */
  readonly credentialType: CredentialType;
}

/** What a commit or proposal changes. */
export interface Change {
  /** Who is in now and was not before. */
  readonly added: Member[];
  /** Who was in before and is not now. */
  readonly removed: Member[];
  /** Who stays, with fresh keys. */
  readonly updated: Member[];
  /** What is no membership. */
  readonly other: OtherChange[];
}

/** A change that is no membership: the group context becomes another one (RFC 9420 section 12.1.7). */
export interface OtherChange {
  /** What kind of change it is; there is one. */
  readonly type: "context";
  /** What is set and what is taken away. */
  readonly patch: ContextPatch;
}

/** What is set in a group context or taken away from it (`null`). What is not named stays as it is. */
export interface ContextPatch {
  /** Extensions by the numbers of their types, with their contents. */
  readonly extensions?: Readonly<Record<number, Bytes | null>>;
  /** What every member must be able to do (RFC 9420 section 11.1). */
  readonly requiredCapabilities?: Capabilities | null;
}

/** A credential in the keystore, as `addCredential` and `credentials` name it. */
export interface CredentialRef {
  /** Lowercase hex; names the credential in this keystore. */
  readonly ref: Id;
  /** The identity in it. */
  readonly clientId: Id;
  /** What it is. */
  readonly credential: CredentialView;
  /** The suite of its signature key. */
  readonly cipherSuite: CipherSuite;
}

/** What a credential is (RFC 9420 section 5.3). There are basic ones only: a client id, and nothing that proves it. */
export interface CredentialView {
  /** Which kind of credential it is. */
  readonly type: "basic";
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
export function memberOf({ clientId, leafIndex, signatureKey, credentialType }: NativeMember): Member {
  return {
    clientId,
    leafIndex,
    signatureKey: new Uint8Array(signatureKey),
    credentialType: credentialTypeOf(credentialType),
  };
}

/** A change, with memory of its own: the same native record can be shown to the transport, the caller and listeners. */
export function changeOf({ added, removed, updated, other }: NativeChange): Change {
  return {
    added: added.map(memberOf),
    removed: removed.map(memberOf),
    updated: updated.map(memberOf),
    other: other.map((change) => ({ type: change.kind, patch: patchOf(change, (data) => new Uint8Array(data)) })),
  };
}

/** A change as plain data, for errors. */
export function intentOf({ added, removed, updated, other }: NativeChange): IntendedChange {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const plain = ({ clientId, leafIndex, signatureKey, credentialType }: NativeMember): IntendedMember => ({
    clientId,
    leafIndex,
    signatureKey: hex(signatureKey),
    credentialType: credentialTypeOf(credentialType),
  });
  return {
    added: added.map(plain),
    removed: removed.map(plain),
    updated: updated.map(plain),
    other: other.map((change) => ({ type: change.kind, patch: patchOf(change, hex) })),
  };
}

function patchOf<T>({ extensions, requirements }: NativeOtherChange, content: (data: Uint8Array) => T) {
  const entries = extensions.map(({ extensionType, data }) => [
    extensionType,
    data === undefined ? null : content(data),
  ]);
  return {
    ...(entries.length > 0 && { extensions: Object.fromEntries(entries) as Record<number, T | null> }),
    ...(requirements !== undefined && { requiredCapabilities: capabilitiesOf(requirements) }),
  };
}

function capabilitiesOf({ extensions, proposals, credentials }: NativeRequirements): Capabilities | null {
  if (extensions === undefined || proposals === undefined || credentials === undefined) return null;
  return { extensions, proposals, credentials: credentials.map(credentialTypeOf) };
}

/** The change that changes nothing. */
export function noChange(): Change {
  return { added: [], removed: [], updated: [], other: [] };
}

/** A credential, with the suite by its name. */
export function credentialRefOf({ ref, clientId, cipherSuite }: NativeCredential): CredentialRef {
  return { ref, clientId, credential: { type: "basic" }, cipherSuite: suiteOf(cipherSuite) };
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
