import type { Id } from "conclave-mls";
import { type DeliveryService, follow } from "conclave-mls/delivery-service";
import type { Connect } from "./connection.js";

/** Makes the package's delivery service look like a server with sockets. With a server of your own, this file is where a WebSocket goes. */
export function socketsTo(service: DeliveryService, clientId: Id): Connect {
  return (events) => {
    const end = new AbortController();
    void listen().finally(() => events.close());
    return {
      acknowledge: (cursor) => service.acknowledge(clientId, cursor),
      close: () => end.abort(),
    };

    async function listen(): Promise<void> {
      try {
        await service.pull(clientId, { limit: 1, signal: end.signal }); // Is the server there?
        events.open();
        for await (const entry of follow(service, clientId, { signal: end.signal })) events.message(entry);
      } catch {
        // Whatever it was, the connection is gone.
      }
    }
  };
}
