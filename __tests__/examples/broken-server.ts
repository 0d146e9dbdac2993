import { type Id, inspectMessage } from "conclave-mls";
import { type DeliveryService, EmbeddedDeliveryService } from "conclave-mls/delivery-service";

declare global {
  var brokenDuty: number;
}

/** In the place of examples/server-test/server.ts: a server that neglects one duty. */
export async function openServer(): Promise<DeliveryService> {
  const service = await EmbeddedDeliveryService.inMemory();
  const broken = neglecting[globalThis.brokenDuty]!(service);
  return new Proxy<DeliveryService>(service, {
    get(target, name: keyof DeliveryService) {
      const method: unknown = broken[name] ?? Reflect.get(target, name);
      return typeof method === "function" ? (method.bind(target) as unknown) : method; // A promise looks for `then`.
    },
  });
}

const isWelcome = (bytes: Uint8Array) => inspectMessage(bytes).kind === "welcome";
const isCommit = (bytes: Uint8Array) => inspectMessage(bytes).kind === "commit";

/** By the number of the duty. */
const neglecting: Record<number, (service: DeliveryService) => Partial<DeliveryService>> = {
  1: (service) => ({
    sendCommit: async (...call) => (await service.sendCommit(...call), { status: "success" }),
  }),
  2: (service) => {
    const known = new Set<string>();
    return {
      async sendCommit(client, bundle, claim) {
        const commit = Buffer.from(bundle.commit).toString("hex");
        if (known.has(commit)) return { status: "retry" };
        known.add(commit);
        return service.sendCommit(client, bundle, claim);
      },
    };
  },
  3: (service) => ({
    pull: async (client, options) =>
      (await service.pull(client, options)).filter(({ bytes }) => client !== "bob" || !isCommit(bytes)),
  }),
  4: (service) => ({
    pull: async (client, options) => {
      const entries = await service.pull(client, options);
      return client === "carol" ? entries.reverse() : entries;
    },
  }),
  5: (service) => {
    const lost = new Map<Id, Uint8Array>();
    return {
      async sendCommit(client, bundle, claim) {
        const answer = await service.sendCommit(client, bundle, claim);
        if (answer.status === "retry" && bundle.welcome) {
          for (const { clientId } of claim.welcomeTo) lost.set(clientId, bundle.welcome);
        }
        return answer;
      },
      async pull(client, options) {
        const bytes = lost.get(client);
        if (bytes && isWelcome(bytes)) return [{ cursor: 1, conversationId: "team", bytes }];
        return service.pull(client, options);
      },
    };
  },
  6: (service) => ({
    async pull(client, options) {
      const entries = await service.pull(client, options);
      await service.acknowledge(client, entries.at(-1)?.cursor ?? 0);
      return entries;
    },
  }),
  7: (service) => ({
    sendCommit: (client, bundle, claim) => service.sendCommit(client, bundle, { ...claim, removed: [] }),
  }),
  8: (service) => {
    let epoch = 0n;
    return {
      async sendCommit(client, bundle, claim) {
        if (inspectMessage(bundle.commit).epoch! > epoch) return { status: "abort", reason: "too early" };
        const answer = await service.sendCommit(client, bundle, claim);
        if (answer.status === "success") epoch += 1n;
        return answer;
      },
    };
  },
  9: (service) => {
    const known = new Set<string>();
    return {
      async sendMessage(client, message) {
        const text = Buffer.from(message).toString("hex");
        if (known.has(text)) throw new Error("409 Conflict");
        known.add(text);
        return service.sendMessage(client, message);
      },
    };
  },
  10: (service) => ({
    sendMessage: (client, message) => service.sendMessage(client, message).catch(() => ({ sequence: 1 })),
  }),
  11: () => ({ fetch: async () => [] }),
  12: (service) => {
    const claimed = new Map<Id, ReturnType<DeliveryService["claimKeyPackage"]>>();
    return {
      claimKeyPackage(client, suite) {
        const again = claimed.get(client) ?? service.claimKeyPackage(client, suite);
        claimed.set(client, again);
        return again;
      },
    };
  },
  13: (service) => ({
    async sendCommit(client, bundle, claim) {
      if (inspectMessage(bundle.commit).external) return { status: "abort", reason: "not a member" };
      return service.sendCommit(client, bundle, claim);
    },
  }),
  14: () => ({ withdrawKeyPackages: async () => {} }),
};
