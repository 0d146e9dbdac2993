/** The cipher suites (RFC 9420 section 17.1) that this package carries, by their RFC names. */
export type CipherSuite =
  | "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519"
  | "MLS_128_DHKEMP256_AES128GCM_SHA256_P256"
  | "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519";

/** The number of each suite on the wire. The compiler holds them to the names, and a test to the suites of the addon. */
export const cipherSuiteNumbers: Readonly<Record<CipherSuite, number>> = {
  MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519: 1,
  MLS_128_DHKEMP256_AES128GCM_SHA256_P256: 2,
  MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519: 3,
};

/** The names, in the order of the RFC. */
export const cipherSuites = Object.keys(cipherSuiteNumbers) as [CipherSuite, ...CipherSuite[]];

/** The name of a suite number, or undefined for one that this package does not carry. */
export function cipherSuiteOf(number: number): CipherSuite | undefined {
  return cipherSuites.find((name) => cipherSuiteNumbers[name] === number);
}
