import * as z from "zod";
import { cipherSuites } from "./cipher-suite.js";
import { MlsError } from "./errors.js";
import { limits } from "./limits.js";
import { unreadable } from "./lists.js";
import type { Deliver } from "./transaction.js";
import type { MlsTransport } from "./transport.js";

/**
 * The value as this schema describes it, or `INVALID_ARGUMENT` with the path of the option and what is expected there. The
 * value itself is never in the message: it may be a key that went to the wrong place.
 */
export function parse<S extends z.ZodType>(schema: S, value: unknown, name: string): z.output<S> {
  const result = safely(schema, value, name);
  if (result.success) return result.data;
  const { issues } = result.error;
  // A misspelt option may be the one that is missing.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  throw new MlsError("INVALID_ARGUMENT", issue === undefined ? `${name} is not valid.` : explain(issue, name, schema));
}

// Without the compiled fast path, options work the same where code generation from strings is forbidden (Electron, CSP).
const JITLESS = { jitless: true };

/** A getter or a proxy of the caller's may throw while it is read; that too is a bad argument. */
function safely<S extends z.ZodType>(schema: S, value: unknown, name: string): z.ZodSafeParseResult<z.output<S>> {
  try {
    return schema.safeParse(value, JITLESS);
  } catch (cause) {
    throw unreadable([name, ...placeThatThrows(schema, value)].join("."), cause);
  }
}

/** Looks for the property that throws; the value itself where it is none of them. */
function placeThatThrows(schema: z.ZodType, value: unknown): string[] {
  const shape = shapeOf(schema);
  if (shape === undefined || !throws(() => schema.safeParse(value, JITLESS))) return [];
  if (throws(() => Reflect.ownKeys(value as object))) return [];
  for (const [key, inner] of Object.entries(shape)) {
    let property: unknown;
    if (throws(() => (property = (value as Record<string, unknown>)[key]))) return [key];
    if (throws(() => inner.safeParse(property, JITLESS))) return [key, ...placeThatThrows(inner, property)];
  }
  return [];
}

function throws(read: () => unknown): boolean {
  try {
    read();
    return false;
  } catch {
    return true;
  }
}

/** The properties of an object that may be optional or have a default. */
function shapeOf(schema: unknown): Record<string, z.ZodType> | undefined {
  if (schema instanceof z.ZodObject) return schema.shape;
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault ? shapeOf(schema.unwrap()) : undefined;
}

function explain(issue: z.core.$ZodIssue, name: string, schema: z.ZodType): string {
  const where = [name, ...issue.path.map(String)].join(".");
  if (issue.code === "unrecognized_keys") {
    let shape = shapeOf(schema);
    for (const step of issue.path) shape = shapeOf(shape?.[String(step)]);
    const known = shape === undefined ? "" : ` Known here: ${Object.keys(shape).join(", ")}.`;
    return `${where} has the unknown property "${(issue.keys[0] ?? "").slice(0, 40)}".${known}`;
  }
  return issue.code === "custom" ? `${where} ${issue.message}.` : `${where} must be ${expected(issue)}.`;
}

function expected(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type") return `${/^[ao]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`;
  if (issue.code === "invalid_value") return `one of ${issue.values.map((value) => `"${String(value)}"`).join(", ")}`;
  return "of another form";
}

/** A whole number from one bound to the other. */
function whole(from: number, to: number): z.ZodType<number> {
  return z.custom<number>(
    (value) => Number.isSafeInteger(value) && (value as number) >= from && (value as number) <= to,
    `must be a whole number from ${from} to ${to}`,
  );
}

function within({ min, max }: { min: number; max: number }): z.ZodType<number> {
  return whole(min, max);
}

function callback<F>(): z.ZodType<F> {
  return z.custom<F>((value) => typeof value === "function", "must be a function");
}

/** Any object that behaves like an AbortSignal: polyfills and other realms have classes of their own. */
const signal = z.custom<AbortSignal>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    typeof (value as AbortSignal).aborted === "boolean" &&
    typeof (value as AbortSignal).addEventListener === "function",
  "must be an AbortSignal",
);

/** Class instances are welcome, so only what is called is looked at. */
const transport = z.custom<MlsTransport>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    typeof (value as { sendCommitBundle?: unknown }).sendCommitBundle === "function",
  "must be an object with the method sendCommitBundle",
);

/** What is copied and checked by hand, missing or not. */
const later = z.unknown().optional();

const DAY = 24 * 60 * 60 * 1000;
const cipherSuite = z.enum(cipherSuites);

export const databaseOptions = z.strictObject({ acceptRollback: z.boolean().default(false) });

export const credentialOptions = z.strictObject({ cipherSuite });

/** A `Credential`, read by what it shows: one that another copy of the package made is as good. */
export const credentialShape = z.strictObject({ clientId: z.string(), cipherSuite });

/** What `addCredential` and its kin gave out; it may have been through JSON or another realm. */
export const credentialRef = z.strictObject({
  ref: z.string(),
  clientId: z.string(),
  cipherSuite,
  credential: z.looseObject({ type: z.string() }).optional(),
});

export const sessionOptions = z.strictObject({
  clientId: later,
  transport: transport.optional(),
  sendTimeoutMs: whole(1, DAY).default(30_000),
  transactionTimeoutMs: whole(1, DAY).default(60_000),
  attempts: whole(1, 1000).default(8),
  keyPackagesLowAt: whole(0, 1_000_000).default(10),
  deliver: callback<Deliver>().optional(),
});

export const commitOptions = z.strictObject({ signal: signal.optional(), attempts: whole(1, 1000).optional() });
export const updateOptions = commitOptions.extend({ credential: credentialRef.optional() });
const allowRollback = z.boolean().default(false);
export const joinOptions = commitOptions.extend({ credential: credentialRef, allowRollback });
export const welcomeOptions = z.strictObject({ ratchetTree: later, allowRollback });
export const settleOptions = z.strictObject({ signal: signal.optional() });
export const encryptOptions = z.strictObject({ aad: later });
export const createOptions = z.strictObject({
  credential: credentialRef,
  members: later,
  externalJoin: z.boolean().default(false),
});
export const invitee = z.strictObject({ keyPackage: later, clientId: later });
/** A `Member` has more properties, which do not name it. */
export const leafName = z.object({ clientId: later, signatureKey: later });

export const keyPackageOptions = z.strictObject({
  count: within(limits.keyPackages),
  lifetimeMs: within(limits.keyPackageLifetimeMs).optional(),
  lastResort: z.boolean().default(false),
});

export const listOptions = z.strictObject({ bytes: z.boolean().default(false) });

/** A KeyPackageRef. */
export const keyPackageRef = z.custom<string>(
  (value) => typeof value === "string" && /^(?:[0-9a-f]{2}){1,64}$/.test(value),
  "must be the ref of a key package, lowercase hex",
);

/** A string that can be encoded, of so many bytes. */
function textOf({ min, max }: { min: number; max: number }): z.ZodType<string> {
  return z.custom<string>((value) => {
    if (typeof value !== "string" || /\p{Surrogate}/u.test(value)) return false;
    const length = Buffer.byteLength(value);
    return length >= min && length <= max;
  }, `must be a string of ${min} to ${max} bytes without lone surrogates`);
}

export const labelText = textOf(limits.labelBytes);
export const dataKey = textOf(limits.dataKeyBytes);
export const secretLength = within(limits.secretBytes);

/**
 * What `sendCommitBundle` may answer; `afterMs` may be a fraction, as clocks have them. With "success" it means nothing, and
 * does no harm: a transport may give it in every case.
 */
export const transportResponse = z.discriminatedUnion(
  "status",
  [
    z.strictObject({ status: z.literal("success"), afterMs: z.number().optional() }),
    z.strictObject({ status: z.literal("retry"), afterMs: z.number().min(0).optional() }),
    z.strictObject({ status: z.literal("abort"), reason: z.string() }),
  ],
  'must be { status: "success" }, { status: "retry", afterMs? } or { status: "abort", reason }',
);
