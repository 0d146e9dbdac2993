/**
 * MLS messages as a delivery service sees them: genuine framing (RFC 9420 sections 6, 10, 12.4.3), and behind it random bytes
 * instead of ciphertext and signatures, which only members could check.
 */
import { createHash, randomBytes } from "node:crypto";
import type { CommitBundle, KeyPackage } from "conclave-mls";

const CIPHER_SUITE = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

const u8 = (n: number) => Buffer.from([n]);
const u16 = (n: number) => Buffer.from([n >> 8, n & 0xff]);
const u32 = (n: number) => Buffer.from([0, 0, n >> 8, n & 0xff]);
const u64 = (n: bigint) => {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(n);
  return out;
};
/** A vector with its length in front, in one, two or four bytes (RFC 9420 section 2.1.2). */
const vector = (...parts: Uint8Array[]) => {
  const body = Buffer.concat(parts);
  const long = Buffer.alloc(4);
  long.writeUInt32BE(0x80000000 + body.length);
  return Buffer.concat([
    body.length < 0x40 ? u8(body.length) : body.length < 0x4000 ? u16(0x4000 + body.length) : long,
    body,
  ]);
};
const mls10 = u16(1);
const suite1 = u16(1);
const opaque = (length = 32) => vector(randomBytes(length));

/** Wire formats of section 6, content types of section 6. */
const framed = (wireFormat: number, ...body: Buffer[]) =>
  new Uint8Array(Buffer.concat([mls10, u16(wireFormat), ...body]));
const privateMessage = (contentType: number, conversation: string | Uint8Array, epoch: bigint, size?: number) =>
  framed(2, vector(Buffer.from(conversation)), u64(epoch), u8(contentType), vector(), opaque(28), opaque(size));

export const messageIn = (conversation: string | Uint8Array, epoch: bigint, size?: number) =>
  privateMessage(1, conversation, epoch, size);
export const proposalIn = (conversation: string, epoch: bigint) => privateMessage(2, conversation, epoch);
export const commitIn = (conversation: string, epoch: bigint) => privateMessage(3, conversation, epoch);

export const aWelcome = () => framed(3, suite1, vector(Buffer.concat([opaque(), opaque(), opaque()])), opaque());

export const groupInfoOf = (conversation: string, epoch: bigint) => {
  const context = [mls10, suite1, vector(Buffer.from(conversation)), u64(epoch), opaque(), opaque(), vector()];
  return framed(4, ...context, vector(), opaque(), u32(0), opaque(64));
};

/** A commit of that epoch with all that belongs to it; with a Welcome when it adds somebody. */
export const bundleIn = (conversation: string, epoch: bigint, { welcome = false } = {}): CommitBundle => ({
  commit: commitIn(conversation, epoch),
  groupInfo: groupInfoOf(conversation, epoch + 1n),
  ...(welcome && { welcome: aWelcome() }),
});

export const keyPackageOf = (client: string, { lastResort = false, notAfter = Date.now() + 1e9 } = {}): KeyPackage => {
  const capabilities = [vector(mls10), vector(suite1), vector(), vector(), vector(u16(1))];
  const lifetime = [u8(1), u64(0n), u64(BigInt(Math.floor(notAfter / 1000)))];
  const leaf = [
    opaque(),
    opaque(),
    u16(1),
    vector(Buffer.from(client)),
    ...capabilities,
    ...lifetime,
    vector(),
    opaque(64),
  ];
  const bytes = framed(5, mls10, suite1, opaque(), ...leaf, vector(), opaque(64));
  // RFC 9420 section 5.2; longer than 63 bytes, as every key package is.
  const label = vector(Buffer.from("MLS 1.0 KeyPackage Reference"));
  const ref = createHash("sha256")
    .update(label)
    .update(vector(bytes.subarray(4)))
    .digest("hex");
  return { bytes, ref, cipherSuite: CIPHER_SUITE, notAfter: new Date(notAfter), lastResort };
};
