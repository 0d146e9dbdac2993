/** The door: every request is checked here, in process and at the loopback server; behind it the types are trusted. */
import { isUint8Array } from "node:util/types";
import { z } from "zod";
import type { CipherSuite } from "../lib/index.js";
import { DeliveryError } from "./errors.js";

/** The largest message, commit, Welcome or GroupInfo, in bytes. A Welcome for 10,000 members takes about 4 MiB. */
const LARGEST_MESSAGE = 16 * 1024 * 1024;
/** An identity has at most 4,096 bytes; one that is not text becomes an `Id` of twice that length and two characters. */
const LONGEST_ID = 2 * 4096 + 2;

const id = z
  .string()
  .min(1, "must not be empty")
  .max(LONGEST_ID, `must not be longer than ${LONGEST_ID} characters`)
  .refine((text) => !/\p{Surrogate}/u.test(text), "must be well-formed Unicode");
const bytes = z
  .custom<Uint8Array>(isUint8Array, "must be a Uint8Array")
  .refine((value) => value.length > 0, "must not be empty")
  .refine((value) => value.length <= LARGEST_MESSAGE, `must not be larger than ${LARGEST_MESSAGE} bytes`);
const cipherSuite = z.enum([
  "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
  "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
  "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
]) satisfies z.ZodType<CipherSuite>;
const keyPackage = z.object({ bytes, ref: id, cipherSuite, notAfter: z.date(), lastResort: z.boolean() });
const cursor = z.int().min(0);
const signal = z.instanceof(AbortSignal).optional();
const limit = z.int().min(1).max(1000).default(100);

export const requests = {
  publishKeyPackages: z.strictObject({ clientId: id, keyPackages: z.array(keyPackage).min(1).max(1000) }),
  claimKeyPackage: z.strictObject({ ofClientId: id, cipherSuite }),
  countKeyPackages: z.strictObject({ clientId: id, cipherSuite }),
  sendCommit: z.strictObject({
    clientId: id,
    bundle: z.object({ commit: bytes, welcome: bytes.optional(), groupInfo: bytes }),
    welcomeTo: z.array(z.object({ clientId: id, keyPackageRef: id })),
    removed: z.array(id),
    signal,
  }),
  sendMessage: z.strictObject({ clientId: id, message: bytes }),
  fetch: z.strictObject({
    clientId: id,
    conversationId: id,
    fromEpoch: z.bigint().min(0n),
    after: cursor.default(0),
    limit,
    signal,
  }),
  groupInfo: z.strictObject({ clientId: id, conversationId: id }),
  pull: z.strictObject({
    clientId: id,
    after: cursor.default(0),
    limit,
    waitMs: z.int().min(0).max(60_000).default(0),
    signal,
  }),
  acknowledge: z.strictObject({ clientId: id, cursor }),
};

/** What comes back over loopback, checked before it is believed. */
export const answers = {
  publishKeyPackages: z.undefined(),
  claimKeyPackage: keyPackage.optional(),
  countKeyPackages: z.int(),
  sendCommit: z.discriminatedUnion("status", [
    z.object({ status: z.literal("success") }),
    z.object({ status: z.literal("retry"), afterMs: z.number().optional() }),
    z.object({ status: z.literal("abort"), reason: z.string() }),
  ]),
  sendMessage: z.object({ sequence: z.int() }),
  fetch: z.array(z.object({ sequence: z.int(), bytes })),
  groupInfo: z.object({ epoch: z.bigint(), groupInfo: bytes }),
  pull: z.array(z.object({ cursor, conversationId: id, bytes })),
  acknowledge: z.undefined(),
};

export type Method = keyof typeof requests;
export type Request<M extends Method> = z.output<(typeof requests)[M]>;

/** The request as its schema has it, with defaults; else `INVALID_REQUEST` naming the first argument that is wrong. */
export function checked<S extends z.ZodType>(schema: S, request: unknown): z.output<S> {
  const result = schema.safeParse(request);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.map(String).join(".") || "request";
  throw new DeliveryError("INVALID_REQUEST", `${where}: ${issue?.message ?? "invalid"}`);
}
