/// <reference lib="esnext.disposable" preserve="true" />
/**
 * End-to-end encrypted groups for Node and Electron: Messaging Layer Security (RFC 9420) with an encrypted keystore.
 *
 * Begin with {@link Session.open}. Every call that fails rejects with an {@link MlsError}, whose `code` says why.
 *
 * @module conclave-mls
 */
export type { Bytes } from "./bytes.js";
export type { CipherSuite } from "./cipher-suite.js";
export type { CommitOptions, CommitResult } from "./commit.js";
export type { Invitee, LeafLike, MlsConversation, UpdateOptions } from "./conversation.js";
export type { ConversationState, Stalled } from "./conversation-state.js";
export { Credential } from "./credential.js";
export { Database, type DatabaseOptions } from "./database.js";
export { DatabaseKey } from "./database-key.js";
export {
  errorCodes,
  type IntendedChange,
  type IntendedMember,
  type IntendedOtherChange,
  MlsError,
  type MlsErrorCode,
  type MlsErrorContext,
} from "./errors.js";
export type {
  CommitSettled,
  ConversationChanged,
  ConversationStalled,
  KeyPackagesLow,
  SessionEvents,
} from "./events.js";
export type { Id, IdLike } from "./id.js";
export { type Limit, limits, type Limits } from "./limits.js";
export { inspectMessage, type MessageInspection } from "./inspect-message.js";
export type { Joined, JoinOptions, Operations, WelcomeOptions } from "./operations.js";
export type {
  Received,
  ReceivedCommit,
  ReceivedIgnored,
  ReceivedInConversation,
  ReceivedMessage,
  ReceivedProposal,
  ReceivedRejected,
  ReceivedUnreadable,
  ReceivedWaiting,
  ReceivedWelcome,
} from "./received.js";
export type { Capabilities, CredentialType } from "./capabilities.js";
export type {
  Change,
  ContextPatch,
  CredentialRef,
  CredentialView,
  KeyPackage,
  Member,
  OtherChange,
  StoredKeyPackage,
  UnsettledCommit,
} from "./records.js";
export { Session, type SessionOptions } from "./session.js";
export type { Deliver, TransactionContext } from "./transaction.js";
export type { CommitBundle, MlsTransport, MlsTransportResponse, SendContext } from "./transport.js";
