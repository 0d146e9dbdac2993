import { type Bytes, copyMessage } from "./bytes.js";
import { type CipherSuite, cipherSuiteOf } from "./cipher-suite.js";
import { fromNative } from "./errors.js";
import type { Id } from "./id.js";
import { native } from "./native.js";

/** What can be read of a message without any key. */
export interface MessageInspection {
  /** What it is; of an encrypted message the content type is visible too (RFC 9420 section 6.3). */
  readonly kind: "message" | "proposal" | "commit" | "welcome" | "group-info" | "key-package";
  /** Whether its content is encrypted. */
  readonly encrypted: boolean;
  /** Whether it is a commit or proposal of somebody who is not in the conversation (RFC 9420 section 12.4.3.2). */
  readonly external: boolean;
  /** Of a GroupInfo: whether its tree says that clients may join by an external commit; false where the tree is not in it. */
  readonly externalJoin?: boolean;
  /** The conversation it belongs to, where it says so: a Welcome and a key package do not. */
  readonly conversationId?: Id;
  /** The epoch it was made in, or that a GroupInfo describes. */
  readonly epoch?: bigint;
  /** The cipher suite, where it says so and this package carries it. */
  readonly cipherSuite?: CipherSuite;
}

/**
 * Reads the frame of a message, without any state and without proving anything: for delivery services, and for deciding where
 * a message goes. Throws `MESSAGE_INVALID` for bytes that are no MLSMessage (RFC 9420 section 6) and `INVALID_ARGUMENT` for
 * what is no bytes at all.
 */
export function inspectMessage(bytes: Uint8Array): MessageInspection {
  const copy = copyMessage(bytes, "bytes");
  const { kind, encrypted, external, externalJoin, conversationId, epoch, cipherSuite } = inspect(copy);
  const suite = cipherSuite === undefined ? undefined : cipherSuiteOf(cipherSuite);
  return {
    kind,
    encrypted,
    external,
    ...(externalJoin !== undefined && { externalJoin }),
    ...(conversationId !== undefined && { conversationId }),
    ...(epoch !== undefined && { epoch }),
    ...(suite !== undefined && { cipherSuite: suite }),
  };
}

function inspect(bytes: Bytes): ReturnType<ReturnType<typeof native>["inspectMessage"]> {
  try {
    return native().inspectMessage(bytes);
  } catch (error) {
    throw fromNative(error);
  }
}
