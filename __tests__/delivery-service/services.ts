import {
  deliveryServiceAt,
  EmbeddedDeliveryService,
  serveOnLoopback,
  type DeliveryService,
} from "conclave-mls/delivery-service";
import type { Store } from "../../delivery-service/store.js";
import { bundleIn } from "./framed.js";
import { MemoryStore } from "./memory-store.js";

/** The ways to a service: what one promises, the others must keep. For `describe.each`. */
export const ways: [string, () => Promise<DeliveryService>][] = [
  ["in process", () => EmbeddedDeliveryService.inMemory()],
  ["over loopback", overLoopback],
  ["on another store", async () => serviceOn(new MemoryStore())],
];

/**
 * The embedded service on another store than its own. Only tests do that: its constructor is
 * private.
 */
export function serviceOn(store: Store): DeliveryService {
  const Service = EmbeddedDeliveryService as unknown as new (store: Store) => DeliveryService;
  return new Service(store);
}

async function overLoopback(): Promise<DeliveryService> {
  const service = await EmbeddedDeliveryService.inMemory();
  const server = await serveOnLoopback(service);
  const client = deliveryServiceAt(server.url);
  const close = async () => {
    await client.close();
    await server.close();
    await service.close();
  };
  return { ...client, close, [Symbol.asyncDispose]: close };
}

/** Sends the commit of this epoch that adds and removes these clients. */
export function commit(
  service: DeliveryService,
  by: string,
  epoch: bigint,
  {
    adds = [],
    removes = [],
    bundle,
  }: { adds?: string[]; removes?: string[]; bundle?: ReturnType<typeof bundleIn> } = {},
) {
  return service.sendCommit(by, bundle ?? bundleIn("team", epoch, { welcome: adds.length > 0 }), {
    welcomeTo: adds.map((clientId) => ({ clientId, keyPackageRef: `a key package of ${clientId}` })),
    removed: removes,
  });
}

/** What waits for a client, as hex, so that a failing comparison can be read. */
export async function queueOf(service: DeliveryService, client: string): Promise<string[]> {
  return (await service.pull(client)).map((entry) => hex(entry.bytes));
}

export const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");

/** jest's matchers, whose type `any` would spread. */
export const textWith = (part: string): unknown => expect.stringContaining(part);
export const objectWith = (part: object): unknown => expect.objectContaining(part);
export const something: unknown = expect.anything();
