/** examples/electron under plain Node: started, killed and started again like the real thing. */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Credential, type CredentialRef, Database, type Received, Session } from "conclave-mls";
import {
  type DeliveryService,
  EmbeddedDeliveryService,
  type LoopbackServer,
  type QueueEntry,
  serveOnLoopback,
  transportOf,
} from "conclave-mls/delivery-service";
import { cleanUp, freshPath } from "../support/files.js";
import { Application } from "./application.js";

const suite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const MINUTE = 60_000;

/** Asked about every call that reaches the server; may do without it, do it and not answer, or change the answer. */
type Gate = (method: keyof DeliveryService, client: string, call: () => Promise<unknown>) => Promise<unknown>;
const open: Gate = (_method, _client, call) => call();
const never = new Promise<never>(() => {});

describe("the Electron example", () => {
  let service: EmbeddedDeliveryService;
  let server: LoopbackServer;
  let gate: Gate = open;
  let folder: string;
  let alice: Session;
  let credential: CredentialRef;
  const running: Application[] = [];

  beforeEach(async () => {
    gate = open;
    folder = dirname(await freshPath());
    service = await EmbeddedDeliveryService.inMemory();
    server = await serveOnLoopback(gated(service));
    const transport = transportOf(service, "alice");
    alice = await Session.open(await Database.inMemory(), { clientId: "alice", transport });
    credential = await alice.addCredential(Credential.basic("alice", { cipherSuite: suite }));
    await service.publishKeyPackages("alice", await alice.generateKeyPackages(credential, { count: 5 }));
  });

  afterEach(async () => {
    for (const application of running.splice(0)) await application.kill();
    await alice.close();
    await server.close();
    await service.close();
    await cleanUp();
  });

  function gated(behind: EmbeddedDeliveryService): DeliveryService {
    return new Proxy<DeliveryService>(behind, {
      get(target, name: keyof DeliveryService) {
        const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
        return (...args: unknown[]) => gate(name, String(args[0]), () => method.apply(target, args));
      },
    });
  }

  function start(environment: Record<string, string> = {}): Application {
    const all = { CLIENT_ID: "bob", DELIVERY_SERVICE: server.url, USER_DATA: folder, ...environment };
    const application = new Application(all);
    running.push(application);
    return application;
  }

  /** Bob's application has been started and can be invited; Alice creates the team with him. */
  async function teamWithBob(): Promise<void> {
    const published = reached("publishKeyPackages");
    const bob = start();
    await published;
    const keyPackage = await service.claimKeyPackage("bob", suite);
    await alice.createConversation("team", { credential, members: [keyPackage!.bytes] });
    bob.happens("quit");
    expect(await bob.ended).toEqual({ code: 0, signal: null });
  }

  async function aliceSays(...texts: string[]): Promise<void> {
    for (const text of texts) {
      await service.sendMessage("alice", await alice.conversation("team").encrypt(Buffer.from(text)));
    }
  }

  /** The texts that Alice has got by now, in the order of the server. */
  async function aliceReads(): Promise<string[]> {
    const all: Received[] = [];
    for (const { bytes, cursor } of await service.pull("alice")) {
      const received = await alice.receive(bytes);
      if (received.some(({ type }) => type === "welcome")) await alice.joinByWelcome(bytes);
      all.push(...received);
      await service.acknowledge("alice", cursor);
    }
    return all.flatMap((one) => (one.type === "message" ? [Buffer.from(one.plaintext).toString()] : []));
  }

  /** Resolves when the server has done what this call asks for. */
  function reached(wanted: keyof DeliveryService): Promise<void> {
    return new Promise((resolve) => {
      gate = async (method, _client, call) => {
        const answer = await call();
        if (method === wanted) setImmediate(resolve);
        return answer;
      };
    });
  }

  /** Lets no call of this kind be answered, and resolves at the first; it may take effect all the same. */
  function heldAt(wanted: keyof DeliveryService, takesEffect: boolean): Promise<void> {
    return new Promise((resolve) => {
      gate = async (method, _client, call) => {
        if (method !== wanted) return call();
        if (takesEffect) await call();
        resolve();
        return never;
      };
    });
  }

  const textsOf = (messages: unknown) => (messages as { text: string }[]).map(({ text }) => text);
  const isComplete = (count: number) => (messages: unknown[]) => messages.length >= count;

  test(
    "killed between delivery and acknowledgement, at each message, has each once",
    async () => {
      await teamWithBob();
      const said = ["one", "two", "three", "four", "five", "six"];
      await aliceSays(...said);
      for (let kills = 0; kills < 7; kills++) {
        const acknowledging = heldAt("acknowledge", kills % 2 === 1);
        const bob = start();
        await acknowledging;
        await bob.kill();
      }
      gate = open;
      const bob = start();
      await aliceSays("the end");
      const messages = await bob.until("messages", ["team"], isComplete(said.length + 1));
      expect(textsOf(messages)).toEqual([...said, "the end"]);
      expect(await bob.ask("notices")).toEqual([]);
    },
    2 * MINUTE,
  );

  test(
    "killed when its own database has a message and the keystore has not, has it once",
    async () => {
      await teamWithBob();
      const said = ["one", "two", "three", "four"];
      await aliceSays(...said);
      // The first changes are the Welcome and the joining. Each run gets one further than the one before it.
      for (const STOP_AT_CHANGE of ["1", "2", "2", "2", "2", "2"]) {
        const bob = start({ STOP_AT_CHANGE });
        await bob.stopped();
        await bob.kill();
      }
      const bob = start();
      await aliceSays("the end");
      const messages = await bob.until("messages", ["team"], isComplete(said.length + 1));
      expect(textsOf(messages)).toEqual([...said, "the end"]);
    },
    2 * MINUTE,
  );

  test(
    "killed while sending, before or after the server has taken it, says everything once and in order",
    async () => {
      await teamWithBob();
      const said = ["one", "two", "three", "four"];
      let bob = start();
      await bob.until("conversations", [], (ids: string[]) => ids.includes("team"));
      const holding = heldAt("sendMessage", false);
      for (const text of said) await bob.ask("send", "team", text);
      await holding;
      await bob.kill();
      for (const takesEffect of [true, false, true]) {
        const sending = heldAt("sendMessage", takesEffect);
        bob = start();
        await sending;
        await bob.kill();
      }
      gate = open;
      bob = start();
      const messages = await bob.until("messages", ["team"], isComplete(said.length));
      expect(textsOf(messages)).toEqual(said);
      expect(await bob.ask("drafts")).toEqual([]);
      expect(await aliceReads()).toEqual(said);
    },
    2 * MINUTE,
  );

  test.each([
    ["was accepted", true],
    ["has never arrived", false],
  ])(
    "killed before it learns that its commit %s, settles it when it is started again",
    async (_what, takesEffect) => {
      const committing = heldAt("sendCommit", takesEffect);
      const bob = start();
      const created = bob.ask("create", "trip", ["alice"]);
      await committing;
      await bob.kill();
      await expect(created).rejects.toThrow("ended");

      gate = open;
      const again = start();
      await again.ask("send", "trip", "Where to?");
      await again.until("messages", ["trip"], isComplete(1));
      expect(await aliceReads()).toEqual(["Where to?"]);
    },
    MINUTE,
  );

  test(
    "connects again by itself, settles what was open, and sends what has waited",
    async () => {
      let offline = true;
      gate = async (method, client, call) => {
        if (client === "bob" && offline && method === "sendCommit") await call(); // And the answer is lost.
        if (client === "bob" && offline) throw new Error("no route to host");
        return call();
      };
      const bob = start();
      await expect(bob.ask("create", "trip", ["alice"])).rejects.toThrow("nobody knows whether it was accepted");
      await bob.ask("send", "trip", "Where to?");
      expect(await bob.ask("messages", "trip")).toEqual([]);
      offline = false;
      await bob.until("messages", ["trip"], isComplete(1));
      expect(await aliceReads()).toEqual(["Where to?"]);
    },
    MINUTE,
  );

  test(
    "tells the user what was forged and what is lost, and goes on",
    async () => {
      await teamWithBob();
      await aliceSays("too late");
      for (let epochs = 0; epochs < 7; epochs++) await alice.conversation("team").updateKeys();
      await aliceSays("in time");
      gate = async (method, client, call) => {
        const answer = await call();
        if (method !== "pull" || client !== "bob" || (answer as QueueEntry[]).length < 10) return answer;
        const [welcome, late, ...others] = answer as QueueEntry[];
        const last = others.pop()!;
        const order = [welcome!, ...others, late!, { ...last, bytes: Buffer.from("nonsense") }, last];
        return order.map((entry, place) => ({ ...entry, cursor: place + 1 }));
      };
      const bob = start();
      const messages = await bob.until("messages", ["team"], isComplete(1));
      expect(textsOf(messages)).toEqual(["in time"]);
      expect(textsOf(await bob.ask("notices"))).toEqual([
        expect.stringContaining("lost (epoch-too-old)"),
        expect.stringContaining("no valid message"),
      ]);
    },
    MINUTE,
  );

  test(
    "keeps to one instance, closes before it quits, and says what is wrong with the key",
    async () => {
      const second = start({ SECOND_INSTANCE: "yes" });
      expect(await second.ended).toEqual({ code: 0, signal: null });
      expect(readdirSync(folder)).toEqual([]);

      const first = start();
      await first.told("loaded");
      first.happens("second-instance");
      await first.told("focused");
      first.happens("window-all-closed");
      expect(await first.ended).toEqual({ code: 0, signal: null });
      expect(readdirSync(folder)).not.toContain("keystore.db-wal");

      const refused = async (environment: Record<string, string> = {}) => {
        const application = start(environment);
        expect(await application.ended).toEqual({ code: 1, signal: null });
        return application.printed;
      };
      expect(await refused({ KEYRING: "basic_text" })).toContain("no keyring");
      rmSync(join(folder, "keystore.key"));
      expect(await refused()).toContain("keystore.key is missing");
      mkdirSync(join(folder, "empty"));
      expect(await refused({ KEYRING: "none", USER_DATA: join(folder, "empty") })).toContain("no keyring");
      expect(readdirSync(join(folder, "empty"))).toEqual([]);
    },
    MINUTE,
  );
});
