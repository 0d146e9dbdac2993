import {
  deliveryServiceAt,
  EmbeddedDeliveryService,
  serveOnLoopback,
  type LoopbackServer,
} from "conclave-mls/delivery-service";
import { keyPackageOf, messageIn } from "./framed.js";
import { commit, objectWith, queueOf, something, textWith } from "./services.js";

describe("The loopback server", () => {
  let service: EmbeddedDeliveryService;
  let server: LoopbackServer;
  beforeEach(async () => {
    service = await EmbeddedDeliveryService.inMemory();
    server = await serveOnLoopback(service);
  });
  afterEach(async () => {
    await server.close();
    await service.close();
  });
  const post = (path: string, body: string) => fetch(`${server.url}${path}`, { method: "POST", body });

  test("listens on the loopback address, behind a secret", async () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}$/);
    await using guess = deliveryServiceAt(server.url.replace(/[0-9a-f]{32}$/, "0".repeat(32)));
    await expect(guess.pull("bob")).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await using short = deliveryServiceAt(new URL(server.url).origin);
    await expect(short.pull("bob")).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  test("two clients on it share one service with the process that serves", async () => {
    await using alice = deliveryServiceAt(server.url);
    await using bob = deliveryServiceAt(server.url);
    await commit(alice, "alice", 0n, { adds: ["bob"] });
    const waiting = bob.pull("bob", { after: (await bob.pull("bob"))[0]!.cursor, waitMs: 60_000 });
    await alice.sendMessage("alice", messageIn("team", 1n));
    expect(await waiting).toHaveLength(1);
    expect(await queueOf(service, "bob")).toHaveLength(2);
  });

  test("a wrong request is refused with a code, before it reaches the service", async () => {
    const wrong: [string, string][] = [
      ["/pull", "no JSON"],
      ["/pull", '{"clientId": {"$bigint": "one"}}'],
      ["/pull", '{"clientId": ""}'],
      ["/pull", '{"clientId": "bob", "after": -1}'],
      ["/pull", '{"clientId": "bob", "waitMs": 3600000}'],
      ["/pull", '{"clientId": "bob", "limits": 3}'],
      ["/pull", '{"clientId": "\\ud800"}'],
      ["/fetch", '{"clientId": "bob", "conversationId": "team", "fromEpoch": 0}'],
      ["/sendMessage", '{"clientId": "bob", "message": [1, 2, 3]}'],
      ["/acknowledge", "null"],
      ["/close", "{}"],
      ["/toString", "{}"],
      ["/pull/more", "no JSON"],
      ["", "{}"],
    ];
    for (const [path, body] of wrong) {
      const response = await post(path, body);
      expect([path, body, response.status, await response.json()]).toEqual([
        path,
        body,
        400,
        { error: { code: "INVALID_REQUEST", message: something } },
      ]);
    }
    expect((await fetch(`${server.url}/pull`)).status).toBe(400); // GET
  });

  test("the client tells what is wrong without asking the server, like the service in process", async () => {
    await using client = deliveryServiceAt("http://127.0.0.1:1/nobody-listens");
    await expect(client.pull("")).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: "clientId: must not be empty",
    });
    await expect(service.pull("")).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: "clientId: must not be empty",
    });
  });

  test("a request that is too large is refused, and the connection goes on", async () => {
    await using client = deliveryServiceAt(server.url);
    const huge = Array.from({ length: 5 }, () => ({ ...keyPackageOf("bob"), bytes: new Uint8Array(16 * 1024 * 1024) }));
    await expect(client.publishKeyPackages("bob", huge)).rejects.toMatchObject({ code: "TOO_LARGE" });
    await client.publishKeyPackages("bob", [keyPackageOf("bob")]);
    const one = new Uint8Array(16 * 1024 * 1024 + 1);
    await expect(client.sendMessage("bob", one)).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  test("without a server, and with one that talks nonsense, the client says UNREACHABLE", async () => {
    await using client = deliveryServiceAt(server.url);
    await client.pull("bob");
    await server.close();
    await expect(client.pull("bob")).rejects.toMatchObject({ code: "UNREACHABLE", cause: something });

    await using confused = await serveOnLoopback({
      ...client,
      countKeyPackages: async () => "many" as unknown as number,
    });
    await using listener = deliveryServiceAt(confused.url);
    await expect(listener.countKeyPackages("bob", keyPackageOf("bob").cipherSuite)).rejects.toMatchObject({
      code: "UNREACHABLE",
    });
  });

  test("what the service throws without a code arrives as INTERNAL_ERROR", async () => {
    await using behind = deliveryServiceAt(server.url);
    await using broken = await serveOnLoopback({ ...behind, pull: () => Promise.reject(new TypeError("a defect")) });
    await using client = deliveryServiceAt(broken.url);
    await expect(client.pull("bob")).rejects.toMatchObject({
      code: "INTERNAL_ERROR",
      message: textWith("a defect"),
    });
  });

  test("closing the server ends the pulls that wait on it", async () => {
    await using client = deliveryServiceAt(server.url);
    const pulls = Promise.allSettled([
      client.pull("bob", { waitMs: 60_000 }),
      client.pull("carol", { waitMs: 60_000 }),
    ]);
    await client.countKeyPackages("bob", keyPackageOf("bob").cipherSuite); // they have reached the server by now
    await server.close();
    await server.close();
    const unreachable = { status: "rejected", reason: objectWith({ code: "UNREACHABLE" }) };
    expect(await pulls).toEqual([unreachable, unreachable]);
  });

  test("a client that goes away while it waits leaves nothing behind in the server", async () => {
    let ended: (reason: unknown) => void;
    const end = new Promise<unknown>((resolve) => (ended = resolve));
    let arrived: () => void;
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    await using behind = deliveryServiceAt(server.url);
    await using watched = await serveOnLoopback({
      ...behind,
      pull: (_client, options) => {
        options!.signal!.addEventListener("abort", ended);
        arrived();
        return new Promise(() => {});
      },
    });
    const client = deliveryServiceAt(watched.url);
    const waiting = client.pull("bob", { waitMs: 60_000 });
    await arrival;
    await client.close();
    await expect(waiting).rejects.toMatchObject({ code: "CLOSED" });
    await end; // the signal that the server gave to the service
  });

  test("nothing keeps the process alive after the last close", async () => {
    const alive = () => process.getActiveResourcesInfo().filter((kind) => /^(TCP|Timeout)/.test(kind)).length;
    const before = alive();
    const other = await EmbeddedDeliveryService.inMemory();
    const served = await serveOnLoopback(other);
    const client = deliveryServiceAt(served.url);
    const waiting = [other.pull("bob", { waitMs: 60_000 }), client.pull("bob", { waitMs: 60_000 })].map((pull) =>
      pull.catch(() => []),
    );
    await client.countKeyPackages("bob", keyPackageOf("bob").cipherSuite);
    await client.close();
    await served.close();
    await other.close();
    await Promise.all(waiting);
    // Sockets close in the next turns of the event loop.
    for (let turn = 0; alive() > before && turn < 10_000; turn++) await new Promise(setImmediate);
    expect(alive()).toBeLessThanOrEqual(before);
  });
});
