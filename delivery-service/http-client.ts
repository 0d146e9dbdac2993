import { Agent, request as httpRequest } from "node:http";
import { z } from "zod";
import { onAbort } from "../lib/on-abort.js";
import { DeliveryError, deliveryErrorCodes, type DeliveryErrorCode } from "./errors.js";
import { answers, checked, LARGEST_REPLY, requests, type Method } from "./requests.js";
import type { DeliveryService } from "./service.js";
import { decode, encode } from "./wire.js";

/**
 * The delivery service behind a `serveOnLoopback` url. Without a connection, calls reject with `UNREACHABLE`: each may be
 * made again as it is. Closing it ends this side only.
 */
export function deliveryServiceAt(url: string): DeliveryService {
  const agent = new Agent({ keepAlive: true });
  let closed = false;

  async function call<M extends Method>(method: M, args: object, more?: object): Promise<Answer<M>> {
    const { signal, ...body }: { signal?: AbortSignal | undefined } = checked<z.ZodType<object>>(
      requests[method],
      args,
      more,
    );
    signal?.throwIfAborted();
    refuseWhenClosed();
    try {
      const reply = envelope.parse(decode(await post(method, encode(body), signal)));
      if (reply.error !== undefined) throw new DeliveryError(reply.error.code, reply.error.message);
      return answers[method].parse(reply.answer) as Answer<M>;
    } catch (cause) {
      signal?.throwIfAborted();
      refuseWhenClosed();
      if (DeliveryError.is(cause)) throw cause;
      throw new DeliveryError("UNREACHABLE", "The delivery service did not answer; the same call may be made again.", {
        cause,
      });
    }
  }

  function post(method: Method, body: string, signal: AbortSignal | undefined): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(`${url}/${method}`, { method: "POST", agent });
      const stopWaiting = onAbort(signal, () => request.destroy(new Error("The signal was aborted.")));
      request.once("close", stopWaiting);
      request.once("response", (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size <= LARGEST_REPLY) chunks.push(chunk);
          else request.destroy(new Error(`The answer is larger than ${LARGEST_REPLY} bytes.`));
        });
        response.once("end", () => resolve(Buffer.concat(chunks)));
        response.once("error", reject);
      });
      request.on("error", reject).end(body);
    });
  }

  function refuseWhenClosed(): void {
    if (closed) throw new DeliveryError("CLOSED", "The connection to the delivery service is closed.");
  }

  async function close(): Promise<void> {
    closed = true;
    agent.destroy(); // and with it the connections in use
  }

  return {
    publishKeyPackages: (clientId, keyPackages) => call("publishKeyPackages", { clientId, keyPackages }),
    claimKeyPackage: (ofClientId, cipherSuite) => call("claimKeyPackage", { ofClientId, cipherSuite }),
    countKeyPackages: (clientId, cipherSuite) => call("countKeyPackages", { clientId, cipherSuite }),
    withdrawKeyPackages: (clientId) => call("withdrawKeyPackages", { clientId }),
    sendCommit: (clientId, bundle, claim) => call("sendCommit", { clientId, bundle }, claim),
    sendMessage: (clientId, message) => call("sendMessage", { clientId, message }),
    fetch: (clientId, conversationId, options) => call("fetch", { clientId, conversationId }, options),
    groupInfo: (clientId, conversationId) => call("groupInfo", { clientId, conversationId }),
    pull: (clientId, options) => call("pull", { clientId }, options),
    acknowledge: (clientId, cursor) => call("acknowledge", { clientId, cursor }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Answer<M extends Method> = z.output<(typeof answers)[M]>;

const codes = Object.keys(deliveryErrorCodes) as DeliveryErrorCode[];
const envelope = z.object({
  answer: z.unknown().optional(),
  error: z.object({ code: z.enum(codes), message: z.string() }).optional(),
});
