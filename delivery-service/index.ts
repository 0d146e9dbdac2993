/**
 * The embedded delivery service: what stands between the clients of MLS groups (RFC 9750 section 5), small enough for a
 * test, a demo or one machine. `docs/server.md` says what every delivery service owes, and how to write one's own.
 *
 * Only this entry needs better-sqlite3, and loads it when a service is opened.
 *
 * @module conclave-mls/delivery-service
 */
export { EmbeddedDeliveryService } from "./embedded.js";
export { serveOnLoopback, type LoopbackServer } from "./http-server.js";
export { deliveryServiceAt } from "./http-client.js";
export { follow, transportOf } from "./transport.js";
export { DeliveryError, type DeliveryErrorCode } from "./errors.js";
export type {
  Addressee,
  DeliveryService,
  FetchOptions,
  LogEntry,
  MembershipClaim,
  PullOptions,
  PublishedKeyPackage,
  QueueEntry,
  SentBundle,
  SentMessage,
  StoredGroupInfo,
} from "./service.js";
