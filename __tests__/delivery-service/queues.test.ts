import { follow, type DeliveryService } from "conclave-mls/delivery-service";
import { commitIn, messageIn } from "./framed.js";
import { commit, hex, something, ways } from "./services.js";

describe.each(ways)("The queue of a client %s", (_way, open) => {
  let service: DeliveryService;
  beforeEach(async () => {
    service = await open();
    await commit(service, "alice", 0n, { adds: ["bob"] });
  });
  afterEach(() => service.close());

  test("a pull that waits is answered as soon as something arrives", async () => {
    const welcome = (await service.pull("bob"))[0]!;
    const waiting = service.pull("bob", { after: welcome.cursor, waitMs: 60_000 });
    const message = messageIn("team", 1n);
    await service.sendMessage("alice", message);
    expect(await waiting).toStrictEqual([{ cursor: something, conversationId: "team", bytes: message }]);
  });

  test("a pull that waits in vain is answered empty when its time is over", async () => {
    expect(await service.pull("nobody", { waitMs: 20 })).toEqual([]);
  });

  test("an answer has no more entries than asked for, and no more bytes than are good for it", async () => {
    for (let i = 0; i < 3; i++) await service.sendMessage("alice", messageIn("team", 1n));
    expect(await service.pull("bob", { limit: 2 })).toHaveLength(2);

    const last = (await service.pull("bob")).at(-1)!;
    for (let i = 0; i < 3; i++) await service.sendMessage("alice", messageIn("team", 1n, 5_000_000));
    const [large, ...others] = await service.pull("bob", { after: last.cursor });
    expect(others).toEqual([]);
    expect(await service.pull("bob", { after: large!.cursor })).toHaveLength(1); // and the next one brings the next
    expect(await service.fetch("bob", "team", { fromEpoch: 1n, limit: 3 })).toHaveLength(3);
    expect(await service.fetch("bob", "team", { fromEpoch: 1n, after: 4 })).toHaveLength(1);
  });

  test("a signal ends the waiting with its reason", async () => {
    const controller = new AbortController();
    const waiting = service.pull("nobody", { waitMs: 60_000, signal: controller.signal });
    controller.abort(new Error("the window was closed"));
    await expect(waiting).rejects.toThrow("the window was closed");
    await expect(service.pull("bob", { signal: controller.signal })).rejects.toThrow("the window was closed");
  });

  test("close ends the waiting with CLOSED, and everything afterwards too", async () => {
    const waiting = service.pull("nobody", { waitMs: 60_000 });
    await service.close();
    await service.close();
    await expect(waiting).rejects.toMatchObject({ code: "CLOSED" });
    await expect(service.pull("bob")).rejects.toMatchObject({ code: "CLOSED" });
    await expect(service.sendMessage("alice", messageIn("team", 1n))).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("following a queue yields what is there and what comes, in order, until the signal", async () => {
    const controller = new AbortController();
    const messages = Array.from({ length: 5 }, () => messageIn("team", 1n));
    await service.sendMessage("alice", messages[0]!);
    const seen: string[] = [];
    for await (const entry of follow(service, "bob", { signal: controller.signal })) {
      seen.push(hex(entry.bytes));
      await service.acknowledge("bob", entry.cursor);
      if (seen.length <= 4) await service.sendMessage("alice", messages[seen.length]!);
      if (seen.length === 6) controller.abort();
    }
    expect(seen.slice(1)).toEqual(messages.map(hex)); // behind the Welcome
    expect(await service.pull("bob")).toEqual([]);
  });

  test("following a queue that cannot be pulled any more throws", async () => {
    const following = follow(service, "nobody").next();
    await service.close();
    await expect(following).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("what a conversation refuses is delivered to nobody", async () => {
    const before = await service.pull("bob");
    await expect(service.sendMessage("mallory", messageIn("team", 1n))).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
    await expect(service.sendMessage("alice", commitIn("team", 1n))).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    await expect(service.sendMessage("alice", Uint8Array.of(1))).rejects.toMatchObject({ code: "INVALID_REQUEST" });
    expect(await service.pull("bob")).toEqual(before);
  });
});
