import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import {
  deliveryServiceAt,
  EmbeddedDeliveryService,
  serveOnLoopback,
  type LoopbackServer,
} from "conclave-mls/delivery-service";
import { LARGEST_KEY_PACKAGE, LARGEST_MESSAGE, MOST_CHANGED } from "../../delivery-service/limits.js";
import { bundleIn, keyPackageOf, messageIn } from "./framed.js";
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

  test("a request is no larger than what its kind can need", async () => {
    const refusal = { error: { code: "TOO_LARGE", message: something } };
    const sizes = { pull: 256 * 1024, acknowledge: 256 * 1024, sendMessage: 24 * 1024 * 1024 };
    for (const [method, size] of Object.entries(sizes)) {
      const response = await post(`/${method}`, " ".repeat(size));
      expect([method, response.status, await response.json()]).toEqual([method, 413, refusal]);
    }
    await using client = deliveryServiceAt(server.url);
    await client.publishKeyPackages("bob", [keyPackageOf("bob")]);
    const one = new Uint8Array(17 * 1024 * 1024);
    await expect(client.sendMessage("bob", one)).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    const large = { ...keyPackageOf("bob"), bytes: new Uint8Array(64 * 1024 + 1) };
    await expect(client.publishKeyPackages("bob", [large])).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  });

  test("what is beyond the limits of the wire format is refused before it is parsed", async () => {
    const parse = jest.spyOn(JSON, "parse");
    const commit = (rest: string) => `{"clientId": "bob", ${rest}}`;
    const beyond: [string, string, RegExp][] = [
      ["/sendCommit", "[".repeat(10_000_000), /nested deeper than 8 levels/],
      ["/sendCommit", `{"a":`.repeat(1_000_000), /nested deeper than 8 levels/],
      ["/sendCommit", `[${"[],".repeat(3_000_000)}[]]`, /more than 16448 values/],
      ["/sendCommit", commit(`"removed": [${"1,".repeat(20_000)}1]`), /more than 16448 values/],
      ["/sendCommit", commit(`"removed": {${'"a":1,'.repeat(20_000)}"a":1}`), /more than 16448 values/],
      ["/sendCommit", " ".repeat(2_000_000), /outside of strings/],
      ["/sendCommit", commit(`"removed": ${"9".repeat(2_000_000)}`), /outside of strings/],
      ["/sendCommit", `{"clientId": "${"a".repeat(60_000)}"}`, /a string is longer/],
      ["/sendCommit", `{"clientId": "${'\\"'.repeat(60_000)}"}`, /a string is longer/],
      ["/sendCommit", `{"${"a".repeat(60_000)}": 1}`, /a string is longer/],
      ["/sendCommit", `{"clientId": {"$bigint":"${"9".repeat(10_000_000)}"}}`, /a string is longer/],
      ["/sendCommit", `{"clientId": {"$bytes":"${"A".repeat(30_000_000)}"}}`, /bytes are longer/],
      ["/sendCommit", `{"clientId": {"$bytes":"${"A".repeat(60_000)}`, /bytes are longer/],
      ["/sendCommit", `{"clientId": {"$bytes":"${"\\u0041".repeat(60_000)}"}}`, /not in base64/],
      ["/pull", '{"clientId": "bob', /a string is longer/],
    ];
    const parsed = () => parse.mock.calls.filter(([text]) => beyond.some(([, body]) => body === text));
    for (const [path, body, reason] of beyond) {
      const response = await post(path, body);
      const said = (await response.json()) as { error: { code: string; message: string } };
      expect([reason, response.status, said.error.code]).toEqual([reason, 400, "INVALID_REQUEST"]);
      expect(said.error.message).toMatch(reason);
    }
    expect(parsed()).toEqual([]);
    parse.mockRestore();
  });

  test("a bigint has no more digits than an epoch", async () => {
    const from = (digits: string) =>
      post("/fetch", `{"clientId": "bob", "conversationId": "team", "fromEpoch": {"$bigint": "${digits}"}}`);
    expect((await from("18446744073709551615")).status).toBe(404);
    for (const digits of ["18446744073709551616", "9".repeat(21), "9".repeat(40_000), "-1", "0x10", "", " 1"]) {
      expect([digits, (await from(digits)).status]).toEqual([digits, 400]);
    }
  });

  test("what names may be long and what lists may be long is taken", async () => {
    const id = '"'.repeat(8194);
    await using client = deliveryServiceAt(server.url);
    expect(await client.pull(id)).toEqual([]);
    const bundle = bundleIn("team", 0n, { welcome: true });
    const welcomeTo = Array.from({ length: 4096 }, (_, n) => ({ clientId: `client ${n}`, keyPackageRef: `${n}` }));
    const removed = Array.from({ length: 4096 }, (_, n) => `${"x".repeat(4000)}${n}`);
    expect(await client.sendCommit("alice", bundle, { welcomeTo, removed })).toEqual({ status: "success" });
    const more = { welcomeTo: [...welcomeTo, ...welcomeTo], removed };
    await expect(client.sendCommit("alice", bundle, more)).rejects.toMatchObject({
      code: "INVALID_REQUEST",
      message: textWith("welcomeTo: must have 0 to 4096 entries"),
    });
  });

  test("lists and objects that cannot be read are refused, like the service in process", async () => {
    await using client = deliveryServiceAt(server.url);
    const trap = {
      get limit(): number {
        throw new Error("trap");
      },
    };
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    const endless = new Array<string>(2 ** 32 - 1);
    for (const way of [client, service]) {
      const refused = [
        way.pull("bob", trap),
        way.fetch("bob", "team", proxy as never),
        way.sendCommit("bob", bundleIn("team", 0n), proxy as never),
        way.sendCommit("bob", bundleIn("team", 0n), { welcomeTo: [], removed: proxy }),
        way.sendCommit("bob", bundleIn("team", 0n), { welcomeTo: [], removed: endless }),
        way.publishKeyPackages("bob", endless as never),
        way.publishKeyPackages("bob", proxy),
      ];
      for (const call of refused) await expect(call).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    }
  });

  test("an answer without end is not waited for", async () => {
    const endless = createServer((_request, response) => {
      const more = () => {
        while (!response.destroyed && response.write("a".repeat(65_536)));
      };
      response.on("drain", more);
      more();
    });
    await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
    await using client = deliveryServiceAt(`http://127.0.0.1:${(endless.address() as AddressInfo).port}/x`);
    await expect(client.pull("bob")).rejects.toMatchObject({ code: "UNREACHABLE", cause: something });
    await new Promise((resolve) => endless.close(resolve));
  });

  test("the limits are those of the sessions", () => {
    const core = readFileSync(join(__dirname, "../../native/core/src/limits.rs"), "utf8");
    const limit = (name: string) =>
      core
        .match(new RegExp(`pub const ${name}: usize = ([0-9_* ]+);`))![1]!
        .replaceAll("_", "")
        .split("*")
        .reduce((product, factor) => product * Number(factor), 1);
    expect(LARGEST_MESSAGE).toBeGreaterThan(limit("MAX_PLAINTEXT") + limit("MAX_AAD") + 4096 + limit("PADDING"));
    expect(LARGEST_KEY_PACKAGE).toBe(limit("MAX_KEY_PACKAGE"));
    expect(MOST_CHANGED).toBe(limit("MAX_LIST"));
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
