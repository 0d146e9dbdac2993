import type { MlsConversation, MlsErrorCode } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { decoded, encoded } from "../support/foreign-messages.js";
import { Foreigner } from "../support/foreigner.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import type { Server } from "../support/server.js";
import { aliceAndBob } from "../support/teams.js";

afterEach(everybodyLeaves);

const UNKNOWN_SUITE = Uint8Array.of(0x77, 0x77);
const signatureOf = 64;

/** The same bytes with others in one place. */
function withBytes(at: number, key: Uint8Array, ...others: number[]): Uint8Array {
  const changed = key.slice();
  changed.set(others, at < 0 ? changed.length + at : at);
  return changed;
}

type Make = (frank: Foreigner, server: Server, team: MlsConversation) => Promise<Uint8Array>;
type Case = [fault: string, sentence: RegExp, make: Make];

const invalid: Case[] = [
  ["is none", /it is not an MLSMessage/, async () => bytes("no key package")],
  ["is cut off", /it is not an MLSMessage/, async (frank) => (await frank.keyPackage()).slice(0, -1)],
  ["is another message", /another kind of MLSMessage/, async (_, server) => server.log("team")[0]!],
  ["is too large", /more than 65536 bytes/, async () => new Uint8Array(65_537)],
  ["is of another version", /another version of MLS/, async (frank) => withBytes(4, await frank.keyPackage(), 0, 2)],
  ["has a wrong signature", /: its signature is wrong/, async (frank) => withBytes(-1, await frank.keyPackage(), 0)],
  [
    "has a leaf with a wrong signature",
    /the signature of its leaf is wrong/,
    (frank) => frank.oddKeyPackage({ unsignedLeaf: { signature: new Uint8Array(signatureOf) } }),
  ],
  [
    "has one key for two purposes",
    /its init key is the key of its leaf/,
    async (frank) => {
      const key = new Uint8Array(32).fill(9);
      return frank.oddKeyPackage({ leaf: { hpkePublicKey: key }, itself: { initKey: key } });
    },
  ],
  [
    "has a key that nothing can be encrypted to",
    /nothing can be encrypted to the key of its leaf/,
    (frank) => frank.oddKeyPackage({ leaf: { hpkePublicKey: new Uint8Array(32) } }),
  ],
  [
    "has an init key that nothing can be encrypted to",
    /nothing can be encrypted to its init key/,
    (frank) => frank.oddKeyPackage({ itself: { initKey: new Uint8Array(32) } }),
  ],
  [
    "has an extension that it does not know",
    /an extension that its capabilities do not list/,
    (frank) => frank.oddKeyPackage({ itself: { extensions: [{ extensionType: 0xf123, extensionData: bytes("x") }] } }),
  ],
  [
    "has a leaf with an extension that it does not know",
    /its leaf has an extension that its capabilities do not list/,
    (frank) => frank.oddKeyPackage({ leaf: { extensions: [{ extensionType: 0xf123, extensionData: bytes("x") }] } }),
  ],
  [
    "does not know the cipher suite",
    /capabilities do not list the conversation's cipher suite/,
    (frank) => {
      frank.capabilities = { ...frank.capabilities, ciphersuites: ["MLS_128_DHKEMP256_AES128GCM_SHA256_P256"] };
      return frank.keyPackage();
    },
  ],
  [
    "does not know the version",
    /capabilities do not list MLS 1\.0/,
    (frank) => {
      frank.capabilities = { ...frank.capabilities, versions: [] };
      return frank.keyPackage();
    },
  ],
  [
    "does not know its own credential",
    /capabilities do not list the kind of its own credential/,
    (frank) => {
      frank.capabilities = { ...frank.capabilities, credentials: [] };
      return frank.keyPackage();
    },
  ],
  [
    "has another kind of credential",
    /its credential is not a basic one/,
    (frank) => frank.keyPackage({ credential: { credentialType: "x509", certificates: [bytes("certificate")] } }),
  ],
  [
    "has run out",
    /it has expired, or will within a day/,
    (frank) => frank.keyPackage({ lifetime: { notBefore: 0n, notAfter: 86_400n } }),
  ],
  [
    "is about to run out",
    /it has expired, or will within a day/,
    (frank) => {
      const now = BigInt(Math.floor(Date.now() / 1000));
      return frank.keyPackage({ lifetime: { notBefore: now - 60n, notAfter: now + 3600n } });
    },
  ],
  [
    "has the encryption key of a member",
    /its leaf has the encryption key of a member/,
    async (frank, server, team) => {
      const first = await Foreigner.comes("first", server);
      const hpkePublicKey = await first.freshPublicKey();
      await team.addMembers([await first.keyPackageWithLeafKey(hpkePublicKey)]);
      return frank.keyPackageWithLeafKey(hpkePublicKey);
    },
  ],
];

/** Alice adds a good one and this one, and is told which of them is wrong and why; then the good one alone. */
async function isRefused(make: Make, code: MlsErrorCode, sentence: RegExp): Promise<void> {
  const { server, team } = await aliceAndBob();
  await team.updateKeys();
  const carol = await Person.comes("carol", server);
  const frank = await Foreigner.comes("frank", server);
  const good = await carol.keyPackage();
  const bad = await make(frank, server, team);
  const epoch = await team.epoch();
  const error = await expectCode(team.addMembers([good, bad]), code);
  expect(error.message).toMatch(sentence);
  expect(error.context).toMatchObject({ conversationId: "team", index: 1 });
  expect(await team.epoch()).toBe(epoch);
  expect((await team.addMembers([good])).change.added).toMatchObject([{ clientId: "carol" }]);
}

describe("a key package that", () => {
  it.each(invalid)("%s is refused for that", async (_, sentence, make) => {
    await isRefused(make, "KEY_PACKAGE_INVALID", sentence);
  });

  it("is for another cipher suite is the wrong one, also for a suite that nobody knows", async () => {
    const other = "MLS_128_DHKEMP256_AES128GCM_SHA256_P256";
    const sentence = /another cipher suite than the conversation's/;
    const ofOther = async (_: Foreigner, server: Server) =>
      (await Foreigner.comes("gina", server, { cipherSuite: other })).keyPackage();
    await isRefused(ofOther, "KEY_PACKAGE_MISMATCH", sentence);
    const ofNone: Make = async (frank) => withBytes(6, await frank.keyPackage(), ...UNKNOWN_SUITE);
    await isRefused(ofNone, "KEY_PACKAGE_MISMATCH", sentence);
  });
});

describe("two invitees", () => {
  const pairs: [string, MlsErrorCode, RegExp, (one: Foreigner, other: Foreigner) => Promise<Uint8Array[]>][] = [
    [
      "with one encryption key",
      "KEY_PACKAGE_INVALID",
      /the encryption key of another key package in the list/,
      async (one, other) => {
        const key = await one.freshPublicKey();
        return [await one.keyPackageWithLeafKey(key), await other.keyPackageWithLeafKey(key)];
      },
    ],
    [
      "with one init key",
      "KEY_PACKAGE_INVALID",
      /the init key of another key package in the list/,
      async (one, other) => {
        const initKey = await one.freshPublicKey();
        return [await one.oddKeyPackage({ itself: { initKey } }), await other.oddKeyPackage({ itself: { initKey } })];
      },
    ],
    [
      "that are the same",
      "ALREADY_MEMBER",
      /Two key packages in the list have the same signature key/,
      async (one) => {
        const keyPackage = await one.keyPackage();
        return [keyPackage, keyPackage];
      },
    ],
    [
      "of one name",
      "ALREADY_MEMBER",
      /Two clients of one name are in the list/,
      async (one) => [await one.keyPackage(), await one.keyPackage()],
    ],
  ];

  it.each(pairs)("%s: the second is told", async (_, code, sentence, make) => {
    const { server, team } = await aliceAndBob();
    const both = await make(await Foreigner.comes("frank", server), await Foreigner.comes("gina", server));
    const error = await expectCode(team.addMembers(both), code);
    expect(error.message).toMatch(sentence);
    expect(error.context).toMatchObject({ conversationId: "team", index: 1 });
    await team.addMembers(both.slice(0, 1));
  });

  it("one of whom is a member, or bears the name of one: each has its sentence", async () => {
    const { server, team, bob } = await aliceAndBob();
    const again = await expectCode(team.addMembers([await bob.keyPackage()]), "ALREADY_MEMBER");
    expect(again.message).toMatch(/its signature key is in the conversation/);
    const namesake = await Foreigner.comes("bob", server);
    const other = await expectCode(team.addMembers([await namesake.keyPackage()]), "ALREADY_MEMBER");
    expect(other.message).toMatch(/A member bears the name of a client to add/);
  });
});

describe("a leaf to remove", () => {
  it("is named by its place where it is oneself, or comes twice", async () => {
    const { team } = await aliceAndBob();
    const oneself = await expectCode(team.removeMembers(["bob", "alice"]), "INVALID_ARGUMENT");
    expect(oneself.context).toMatchObject({ conversationId: "team", index: 1 });
    const twice = await expectCode(team.removeMembers(["bob", "bob"]), "INVALID_ARGUMENT");
    expect(twice.context.index).toBe(1);
  });
});

describe("a Welcome that", () => {
  const faults: [string, RegExp, (welcome: ReturnType<typeof welcomeIn>) => object][] = [
    [
      "has a GroupInfo that was changed",
      /the GroupInfo in it cannot be decrypted|its secrets cannot be decrypted/,
      ({ encryptedGroupInfo }) => ({ encryptedGroupInfo: withBytes(-2, encryptedGroupInfo, 1, 2) }),
    ],
    [
      "has secrets that were changed",
      /its secrets cannot be decrypted with the key package that it names/,
      ({ secrets }) => ({
        secrets: secrets.map((one) => ({
          ...one,
          encryptedGroupSecrets: {
            ...one.encryptedGroupSecrets,
            ciphertext: withBytes(-1, one.encryptedGroupSecrets.ciphertext, 1),
          },
        })),
      }),
    ],
  ];

  it.each(faults)("%s is refused for that", async (_, sentence, change) => {
    const { server, team } = await aliceAndBob();
    const carol = await Person.comes("carol", server);
    await team.addMembers([await carol.keyPackage()]);
    const [bytesOfWelcome] = server.takeWelcomes("carol");
    const welcome = welcomeIn(bytesOfWelcome!);
    const changed = { ...welcome, ...change(welcome) };
    const odd = encoded({ version: "mls10", wireformat: "mls_welcome", welcome: changed });
    const error = await expectCode(carol.session.joinByWelcome(odd), "WELCOME_INVALID");
    expect(error.message).toMatch(sentence);
    expect(error.cause).toBeInstanceOf(Error);
    await carol.session.joinByWelcome(bytesOfWelcome!);
  });
});

function welcomeIn(message: Uint8Array) {
  const { wireformat, ...rest } = decoded(message);
  if (wireformat !== "mls_welcome" || !("welcome" in rest)) throw new Error("This is no Welcome.");
  return rest.welcome;
}
