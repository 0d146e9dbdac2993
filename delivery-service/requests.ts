/** The door: every request is checked here, in process and at the loopback server; behind it the types are trusted. */
import { isUint8Array } from "node:util/types";
import { z } from "zod";
import { cipherSuites } from "../lib/cipher-suite.js";
import { DeliveryError } from "./errors.js";
import {
  inBase64,
  LARGEST_ANSWER,
  LARGEST_KEY_PACKAGE,
  LARGEST_MESSAGE,
  LONGEST_ID,
  MOST_CHANGED,
  MOST_ENTRIES,
  MOST_KEY_PACKAGES,
} from "./limits.js";

/** A limit ends the check: nothing goes over what is too long. */
const id = z
  .string()
  .min(1, "must not be empty")
  .max(LONGEST_ID, { error: `must not be longer than ${LONGEST_ID} characters`, abort: true })
  .refine((text) => !/\p{Surrogate}/u.test(text), "must be well-formed Unicode");
const bytesUpTo = (most: number) =>
  z
    .custom<Uint8Array>(isUint8Array, "must be a Uint8Array")
    .refine((value) => value.length > 0, "must not be empty")
    .refine((value) => value.length <= most, `must not be larger than ${most} bytes`);
const bytes = bytesUpTo(LARGEST_MESSAGE);

/** A list whose length is looked at before anything in it: `new Array(2 ** 32 - 1)` costs nothing. */
function list<S extends z.ZodType>(of: S, least: number, most: number) {
  return z
    .custom<unknown[]>(Array.isArray, "must be an array")
    .refine((value) => value.length >= least && value.length <= most, `must have ${least} to ${most} entries`)
    .pipe(z.array(of));
}

/** An epoch is a uint64 (RFC 9420 section 8.1). */
const epoch = z
  .bigint()
  .min(0n)
  .max(2n ** 64n - 1n);
const cipherSuite = z.enum(cipherSuites);
const keyPackage = z.object({
  bytes: bytesUpTo(LARGEST_KEY_PACKAGE),
  ref: id,
  cipherSuite,
  notAfter: z.date(),
  lastResort: z.boolean(),
});
const cursor = z.int().min(0);
/** Whatever behaves like one: other realms have a class of their own. */
const signal = z
  .custom<AbortSignal>(
    (value) =>
      typeof (value as AbortSignal | undefined)?.addEventListener === "function" && "aborted" in (value as object),
    "must be an AbortSignal",
  )
  .optional();
const limit = z.int().min(1).max(MOST_ENTRIES).default(100);

export const requests = {
  publishKeyPackages: z.strictObject({ clientId: id, keyPackages: list(keyPackage, 1, MOST_KEY_PACKAGES) }),
  claimKeyPackage: z.strictObject({ ofClientId: id, cipherSuite }),
  countKeyPackages: z.strictObject({ clientId: id, cipherSuite }),
  withdrawKeyPackages: z.strictObject({ clientId: id }),
  sendCommit: z.strictObject({
    clientId: id,
    bundle: z.object({ commit: bytes, welcome: bytes.optional(), groupInfo: bytes }),
    welcomeTo: list(z.object({ clientId: id, keyPackageRef: id }), 0, MOST_CHANGED),
    removed: list(id, 0, MOST_CHANGED),
    signal,
  }),
  sendMessage: z.strictObject({ clientId: id, message: bytes }),
  fetch: z.strictObject({
    clientId: id,
    conversationId: id,
    fromEpoch: epoch,
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

/** Small requests have two ids at most, and each of their characters may be escaped. */
const SMALL = 128 * 1024;

/** The largest request over loopback by its method, in bytes of the text that carries it. */
export const largestBodies: Record<keyof typeof requests, number> = {
  publishKeyPackages: MOST_KEY_PACKAGES * (inBase64(LARGEST_KEY_PACKAGE) + 1024) + SMALL,
  claimKeyPackage: SMALL,
  countKeyPackages: SMALL,
  withdrawKeyPackages: SMALL,
  // Three messages; and a name for all who are added, with the ref of a key package, and for all who are removed.
  sendCommit: 3 * inBase64(LARGEST_MESSAGE) + MOST_CHANGED * (2 * LONGEST_ID + 1024) + SMALL,
  sendMessage: inBase64(LARGEST_MESSAGE) + SMALL,
  fetch: SMALL,
  groupInfo: SMALL,
  pull: SMALL,
  acknowledge: SMALL,
};

/** The largest answer over loopback, in bytes of the text that carries it: its messages, and an id for each of them. */
export const LARGEST_REPLY =
  inBase64(Math.max(LARGEST_ANSWER, LARGEST_MESSAGE)) + MOST_ENTRIES * (3 * LONGEST_ID + 1024);

/** What comes back over loopback, checked before it is believed. */
export const answers = {
  publishKeyPackages: z.undefined(),
  claimKeyPackage: keyPackage.optional(),
  countKeyPackages: z.int(),
  withdrawKeyPackages: z.undefined(),
  sendCommit: z.discriminatedUnion("status", [
    z.object({ status: z.literal("success") }),
    z.object({ status: z.literal("retry"), afterMs: z.number().optional() }),
    z.object({ status: z.literal("abort"), reason: z.string() }),
  ]),
  sendMessage: z.object({ sequence: z.int() }),
  fetch: list(z.object({ sequence: z.int(), bytes }), 0, MOST_ENTRIES),
  groupInfo: z.object({ epoch, groupInfo: bytes }),
  pull: list(z.object({ cursor, conversationId: id, bytes }), 0, MOST_ENTRIES),
  acknowledge: z.undefined(),
};

export type Method = keyof typeof requests;
export type Request<M extends Method> = z.output<(typeof requests)[M]>;

/**
 * The request as its schema has it, with defaults; else `INVALID_REQUEST` naming the first argument that is wrong. What
 * comes in an object of the caller's own is `more`, and is read here: its getters may throw.
 */
export function checked<S extends z.ZodType>(schema: S, request: unknown, more?: object): z.output<S> {
  const result = safely(() => schema.safeParse(more === undefined ? request : Object.assign({ ...more }, request)));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.map(String).join(".") || "request";
  throw new DeliveryError("INVALID_REQUEST", `${where}: ${issue?.message ?? "invalid"}`);
}

function safely<R>(read: () => R): R {
  try {
    return read();
  } catch (cause) {
    throw new DeliveryError("INVALID_REQUEST", "request: one of its properties could not be read.", { cause });
  }
}
