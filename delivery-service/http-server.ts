import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { z } from "zod";
import { DeliveryError, type DeliveryErrorCode } from "./errors.js";
import { checked, largestBodies, requests, type Method } from "./requests.js";
import type { DeliveryService } from "./service.js";
import { BeyondLimits, decode, encode } from "./wire.js";

/** A service that other processes of this machine can reach. */
export interface LoopbackServer extends AsyncDisposable {
  /** For `deliveryServiceAt`. Whoever has it can act as any client: it carries the server's random secret. */
  readonly url: string;
  /** Ends what is under way and stops listening; the service stays open. Idempotent; nothing keeps the process alive after it. */
  close(): Promise<void>;
}

/**
 * Serves a delivery service over HTTP on 127.0.0.1, on a free port. For tests, demos and the programs of one machine: one
 * secret for everybody, no TLS, no log-in.
 */
export async function serveOnLoopback(service: DeliveryService): Promise<LoopbackServer> {
  const secret = randomBytes(16).toString("hex");
  const server = createServer((request, response) => {
    void answer(service, secret, request, response);
  });
  // Idle connections stay until a side closes: ending them by time would break the call that is just being made on one.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject).listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve()); // an error here says that it is closed already
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}/${secret}`, close, [Symbol.asyncDispose]: close };
}

/** POST /<secret>/<method> with the request as body; the answer is `{ answer }` or `{ error: { code, message } }`. */
async function answer(
  service: DeliveryService,
  secret: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    const method = methodOf(secret, request);
    const body = await read(request, largestBodies[method]);
    respond(response, 200, { answer: await routes[method](service, body, gone.signal) });
  } catch (error) {
    const known = DeliveryError.is(error)
      ? error
      : new DeliveryError("INTERNAL_ERROR", `The delivery service failed; this is a defect of it: ${String(error)}`);
    respond(response, statuses[known.code], { error: { code: known.code, message: known.message } });
  }
}

const routes: Record<Method, (service: DeliveryService, body: unknown, signal: AbortSignal) => Promise<unknown>> = {
  publishKeyPackages: route(requests.publishKeyPackages, (service, { clientId, keyPackages }) =>
    service.publishKeyPackages(clientId, keyPackages),
  ),
  claimKeyPackage: route(requests.claimKeyPackage, (service, { ofClientId, cipherSuite }) =>
    service.claimKeyPackage(ofClientId, cipherSuite),
  ),
  countKeyPackages: route(requests.countKeyPackages, (service, { clientId, cipherSuite }) =>
    service.countKeyPackages(clientId, cipherSuite),
  ),
  withdrawKeyPackages: route(requests.withdrawKeyPackages, (service, { clientId }) =>
    service.withdrawKeyPackages(clientId),
  ),
  sendCommit: route(requests.sendCommit, (service, { clientId, bundle, ...claim }) =>
    service.sendCommit(clientId, bundle, claim),
  ),
  sendMessage: route(requests.sendMessage, (service, { clientId, message }) => service.sendMessage(clientId, message)),
  fetch: route(requests.fetch, (service, { clientId, conversationId, ...options }) =>
    service.fetch(clientId, conversationId, options),
  ),
  groupInfo: route(requests.groupInfo, (service, { clientId, conversationId }) =>
    service.groupInfo(clientId, conversationId),
  ),
  pull: route(requests.pull, (service, { clientId, ...options }, signal) =>
    service.pull(clientId, { ...options, signal }),
  ),
  acknowledge: route(requests.acknowledge, (service, { clientId, cursor }) => service.acknowledge(clientId, cursor)),
};

function route<S extends z.ZodType>(
  schema: S,
  call: (service: DeliveryService, request: z.output<S>, signal: AbortSignal) => Promise<unknown>,
) {
  return (service: DeliveryService, body: unknown, signal: AbortSignal) => call(service, checked(schema, body), signal);
}

const statuses: Record<DeliveryErrorCode, number> = {
  INVALID_REQUEST: 400,
  TOO_LARGE: 413,
  KEY_PACKAGE_TAKEN: 409,
  CONVERSATION_UNKNOWN: 404,
  NOT_A_MEMBER: 403,
  EPOCH_AHEAD: 409,
  EPOCH_TOO_OLD: 409,
  SQLITE_MISSING: 500,
  DATABASE_IN_USE: 500,
  DATABASE_FOREIGN: 500,
  STORAGE_FAILED: 500,
  INTERNAL_ERROR: 500,
  CLOSED: 503,
  UNREACHABLE: 502,
};

function methodOf(secret: string, { method, url = "" }: IncomingMessage): Method {
  const [, given = "", name = ""] = url.split("/");
  const [ours, theirs] = [Buffer.from(secret), Buffer.from(given)];
  const equal = ours.length === theirs.length && timingSafeEqual(ours, theirs);
  if (equal && method === "POST" && Object.hasOwn(routes, name)) return name as Method;
  throw new DeliveryError("INVALID_REQUEST", "No such call; use the url of serveOnLoopback with deliveryServiceAt.");
}

async function read(request: IncomingMessage, largest: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    // Read to the end all the same: a client that is still sending would not see the answer.
    if (size <= largest) chunks.push(chunk);
  }
  if (size > largest) {
    throw new DeliveryError("TOO_LARGE", `A request of this kind must not be larger than ${largest} bytes.`);
  }
  try {
    return decode(Buffer.concat(chunks));
  } catch (cause) {
    // What the parser says may quote the request.
    const how = cause instanceof BeyondLimits ? `: ${cause.message}` : "";
    throw new DeliveryError("INVALID_REQUEST", `The request is not JSON as deliveryServiceAt sends it${how}.`, {
      cause,
    });
  }
}

function respond(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return;
  // A body that was not read to its end would be taken for the next request.
  const headers = { "content-type": "application/json", ...(status === 200 ? {} : { connection: "close" }) };
  response.writeHead(status, headers).end(encode(body));
}
