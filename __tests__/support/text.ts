import type { CipherSuite } from "conclave-mls";

/** The suite of the tests that are not about suites. */
export const suite: CipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** The bytes of a text. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The text of bytes. */
export const text = (content: Uint8Array): string => new TextDecoder().decode(content);
