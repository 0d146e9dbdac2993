import type * as Lib from "conclave-mls";
import { EmbeddedDeliveryService } from "conclave-mls/delivery-service";
import { aWelcome, bundleIn, commitIn, groupInfoOf, messageIn } from "./framed.js";
import { commit, hex, queueOf, textWith } from "./services.js";

describe("Which commits are accepted", () => {
  let service: EmbeddedDeliveryService;
  beforeEach(async () => (service = await EmbeddedDeliveryService.inMemory()));
  afterEach(() => service.close());

  test("a commit of epoch 0 founds a conversation; its sender is the first member and gets its echo", async () => {
    const founding = bundleIn("team", 0n);
    expect(await commit(service, "alice", 0n, { bundle: founding })).toEqual({ status: "success" });
    expect(await queueOf(service, "alice")).toEqual([hex(founding.commit)]);
    expect(await commit(service, "alice", 1n)).toEqual({ status: "success" });
  });

  test("a conversation is founded once: the second founder of that id is a stranger in it", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    expect(await commit(service, "mallory", 0n, { adds: ["carol"] })).toMatchObject({ status: "abort" });
    expect(await queueOf(service, "carol")).toEqual([]);
  });

  test("a later commit of an unknown conversation is aborted", async () => {
    const answer = await commit(service, "alice", 3n);
    expect(answer).toMatchObject({ status: "abort", reason: textWith("not known here") });
  });

  test("a bundle that contradicts itself is aborted, with the reason, and leaves nothing behind", async () => {
    const good = () => bundleIn("team", 0n, { welcome: true });
    const wrong: [string, object][] = [
      ["not an MLS commit", { commit: Uint8Array.of(0, 1, 0, 2) }],
      ["not an MLS commit", { commit: messageIn("team", 0n) }],
      ["only one of them", { welcome: undefined }],
      ["not an MLS Welcome", { welcome: commitIn("team", 0n) }],
      ["not an MLS GroupInfo", { groupInfo: aWelcome() }],
      ["does not describe the epoch", { groupInfo: groupInfoOf("team", 0n) }],
      ["does not describe the epoch", { groupInfo: groupInfoOf("other", 1n) }],
    ];
    for (const [reason, difference] of wrong) {
      const answer = await commit(service, "alice", 0n, { adds: ["bob"], bundle: { ...good(), ...difference } });
      expect(answer).toMatchObject({ status: "abort", reason: textWith(reason) });
    }
    expect(await commit(service, "alice", 0n, { bundle: good() })).toMatchObject({ status: "abort" }); // a Welcome for nobody
    await expect(service.groupInfo("alice", "team")).rejects.toMatchObject({ code: "CONVERSATION_UNKNOWN" });
    expect(await queueOf(service, "bob")).toEqual([]);
  });

  test("a client with two leaves stays until both are removed", async () => {
    await commit(service, "alice", 0n, { adds: ["bob", "bob"] });
    expect(await queueOf(service, "bob")).toHaveLength(1); // one Welcome for both
    await commit(service, "alice", 1n, { removes: ["bob"] });
    await service.sendMessage("bob", messageIn("team", 2n));
    await commit(service, "alice", 2n, { removes: ["bob"] });
    await expect(service.sendMessage("bob", messageIn("team", 2n))).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
  });

  test("a client that a commit removes and adds again gets the commit, then the Welcome, and stays", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const bundle = bundleIn("team", 1n, { welcome: true });
    await commit(service, "alice", 1n, { removes: ["bob"], adds: ["bob"], bundle });
    expect((await queueOf(service, "bob")).slice(1)).toEqual([hex(bundle.commit), hex(bundle.welcome)]);
    await service.sendMessage("bob", messageIn("team", 2n));
  });

  test("who was removed and comes back sees what it was there for, and not what lies between", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    await commit(service, "alice", 1n, { removes: ["bob"] });
    await service.sendMessage("alice", messageIn("team", 2n));
    await commit(service, "alice", 2n, { adds: ["bob"] });
    const message = messageIn("team", 3n);
    await service.sendMessage("alice", message);
    const entries = await service.fetch("bob", "team", { fromEpoch: 0n });
    expect(entries.map((entry) => hex(entry.bytes))).toEqual([hex(message)]);
  });

  test("a removal of somebody who is no member takes nobody away", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    expect(await commit(service, "alice", 1n, { removes: ["mallory"] })).toEqual({ status: "success" });
    await service.sendMessage("bob", messageIn("team", 2n));
  });

  test("fifty commits of one epoch at once: one is accepted, and of its Welcomes only that one is delivered", async () => {
    await commit(service, "alice", 0n, { adds: ["bob"] });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => commit(service, i % 2 ? "alice" : "bob", 1n, { adds: [`guest ${i}`] })),
    );
    expect(answers.filter((answer) => answer.status === "success")).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === "retry")).toHaveLength(49);
    const guests = await Promise.all(answers.map((_, i) => queueOf(service, `guest ${i}`)));
    expect(guests.flat()).toHaveLength(1);
  });

  test("a signal that is aborted already sends nothing", async () => {
    const signal = AbortSignal.abort(new Error("the user changed her mind"));
    const sent = service.sendCommit("alice", bundleIn("team", 0n), { welcomeTo: [], removed: [], signal });
    await expect(sent).rejects.toThrow("the user changed her mind");
    await expect(service.groupInfo("alice", "team")).rejects.toMatchObject({ code: "CONVERSATION_UNKNOWN" });
  });

  test("a service that cannot read messages is in doubt, and throws instead of aborting", async () => {
    jest.resetModules();
    jest.doMock("conclave-mls", () => {
      const lib = jest.requireActual<typeof Lib>("conclave-mls");
      const inspectMessage = () => {
        throw new lib.MlsError("ADDON_NOT_LOADED", "The addon is missing.");
      };
      return { ...lib, inspectMessage };
    });
    const blind = await import("conclave-mls/delivery-service");
    jest.dontMock("conclave-mls");
    await using broken = await blind.EmbeddedDeliveryService.inMemory();
    const bundle = bundleIn("team", 0n);
    await expect(commit(broken, "alice", 0n, { bundle })).rejects.toMatchObject({ code: "ADDON_NOT_LOADED" });
    await expect(broken.sendMessage("alice", bundle.commit)).rejects.toMatchObject({ code: "ADDON_NOT_LOADED" });
  });
});
