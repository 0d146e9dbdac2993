import {
  type DeliveryService,
  deliveryServiceAt,
  EmbeddedDeliveryService,
  serveOnLoopback,
} from "conclave-mls/delivery-service";

/**
 * The server under test, empty, as its clients reach it. This one is the package's own, over loopback. Put yours in its place:
 * start it, and return an object with the methods of `DeliveryService` that makes your requests.
 */
export async function openServer(): Promise<DeliveryService> {
  const service = await EmbeddedDeliveryService.inMemory();
  const server = await serveOnLoopback(service);
  const client = deliveryServiceAt(server.url);
  const close = async (): Promise<void> => {
    await client.close();
    await server.close();
    await service.close();
  };
  return { ...client, close, [Symbol.asyncDispose]: close };
}
