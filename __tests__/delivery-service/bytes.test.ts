/** "Which bytes say so" in docs/server.md: a server that reads by that table reads what `inspectMessage` reads. */
import { Credential, Database, inspectMessage, type MlsTransport, Session } from "conclave-mls";
import { EmbeddedDeliveryService, transportOf } from "conclave-mls/delivery-service";

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const CONTENT = ["", "message", "proposal", "commit"];

/** Reads numbers and vectors one after the other, as the page explains them. */
class Reader {
  readonly #bytes: Uint8Array;
  #place = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  number(size: number): bigint {
    let value = 0n;
    for (const byte of this.#take(size)) value = value * 256n + BigInt(byte);
    return value;
  }

  vector(): Uint8Array {
    const size = 2 ** (this.#bytes[this.#place]! >> 6);
    const length = this.number(size) & (2n ** BigInt(size * 8 - 2) - 1n);
    return this.#take(Number(length));
  }

  #take(size: number): Uint8Array {
    return this.#bytes.subarray(this.#place, (this.#place += size));
  }
}

/** The table, as code. */
function readAsThePageSays(bytes: Uint8Array) {
  const reader = new Reader(bytes);
  expect(reader.number(2)).toBe(1n);
  const text = (vector: Uint8Array) => new TextDecoder().decode(vector);
  switch (reader.number(2)) {
    case 1n: {
      const [conversationId, epoch] = [text(reader.vector()), reader.number(8)];
      const sender = reader.number(1);
      if (sender === 1n || sender === 2n) reader.number(4);
      reader.vector();
      return { kind: CONTENT[Number(reader.number(1))], conversationId, epoch, external: sender !== 1n };
    }
    case 2n: {
      const [conversationId, epoch] = [text(reader.vector()), reader.number(8)];
      return { kind: CONTENT[Number(reader.number(1))], conversationId, epoch, external: false };
    }
    case 3n: {
      expect(reader.number(2)).toBe(1n);
      const invitees = new Reader(reader.vector());
      return { kind: "welcome", invitee: Buffer.from(invitees.vector()).toString("hex") };
    }
    case 4n: {
      expect([reader.number(2), reader.number(2)]).toEqual([1n, 1n]);
      return { kind: "group-info", conversationId: text(reader.vector()), epoch: reader.number(8) };
    }
    case 5n:
      expect([reader.number(2), reader.number(2)]).toEqual([1n, 1n]);
      return { kind: "key-package" };
    default:
      throw new Error("The page knows no such wire format.");
  }
}

test("kind, conversation and epoch of everything that a session makes", async () => {
  await using server = await EmbeddedDeliveryService.inMemory();
  const sent: Uint8Array[] = [];
  const listening = (clientId: string): MlsTransport => {
    const transport = transportOf(server, clientId);
    return {
      ...transport,
      sendCommitBundle(bundle, context) {
        sent.push(bundle.commit, bundle.groupInfo, ...(bundle.welcome === undefined ? [] : [bundle.welcome]));
        return transport.sendCommitBundle(bundle, context);
      },
    };
  };
  await using alice = await Session.open(await Database.inMemory(), {
    clientId: "alice",
    transport: listening("alice"),
  });
  await using bob = await Session.open(await Database.inMemory(), { clientId: "bob", transport: listening("bob") });
  const credential = await alice.addCredential(Credential.basic("alice", { cipherSuite }));
  const bobs = await bob.addCredential(Credential.basic("bob", { cipherSuite }));
  const [keyPackage] = await bob.generateKeyPackages(bobs, { count: 1 });
  await server.publishKeyPackages("bob", [keyPackage!]);

  const id = "a conversation with a name of more than sixty-four bytes, so that its length takes two of them";
  const members = [keyPackage!.bytes];
  const team = await alice.createConversation(id, { credential, members, externalJoin: true });
  sent.push(keyPackage!.bytes, await team.encrypt(new Uint8Array(100), { aad: new Uint8Array(70) }));
  await bob.joinByExternalCommit(id, { credential: bobs });

  const read = sent.map(readAsThePageSays);
  const welcome = { kind: "welcome", invitee: keyPackage!.ref };
  const [commit, groupInfo] = [
    { kind: "commit", conversationId: id, epoch: 0n, external: false },
    { kind: "group-info", conversationId: id, epoch: 1n },
  ];
  const message = { kind: "message", conversationId: id, epoch: 1n, external: false };
  const joining = [
    { ...commit, epoch: 1n, external: true },
    { ...groupInfo, epoch: 2n },
  ];
  expect(read).toEqual([commit, groupInfo, welcome, { kind: "key-package" }, message, ...joining]);
  const inspected = sent.map(inspectMessage).map(({ kind, conversationId }) => ({ kind, conversationId }));
  expect(inspected).toEqual(read.map(({ kind, conversationId }) => ({ kind, conversationId })));
});
