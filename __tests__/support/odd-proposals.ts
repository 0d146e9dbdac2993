import { type Credential, encodeRequiredCapabilities, type Proposal } from "ts-mls";
import { addition } from "./foreign-messages.js";
import { Foreigner } from "./foreigner.js";
import { bytes } from "./text.js";

const named = (name: string): Credential => ({ credentialType: "basic", identity: bytes(name) });
const certificate: Credential = { credentialType: "x509", certificates: [bytes("a certificate")] };
const p256 = "MLS_128_DHKEMP256_AES128GCM_SHA256_P256";

/** What Conclave does about it: it is not even kept; it is kept, but in no commit; or one of two is in the commit. */
export type Fate = "rejected" | "left out" | "done once";

/** Frank, who proposes, and alice, who is a member; bob is one, too. */
interface Setting {
  readonly frank: Foreigner;
  readonly alice: { keyPackage(): Promise<Uint8Array> };
}

/** What frank proposes although no commit may contain it, or not both of it. */
export const oddProposals: [string, Fate, (setting: Setting) => Promise<unknown>][] = [
  [
    "an addition of a member with the key it has",
    "rejected",
    async ({ frank, alice }) => frank.proposesToAdd(await alice.keyPackage()),
  ],
  [
    "an addition under the name of a member",
    "rejected",
    async ({ frank }) => frank.proposesToAdd(await packageOf("alice", frank)),
  ],
  [
    "two additions with one key package",
    "done once",
    async ({ frank }) => {
      const keyPackage = await packageOf("dora", frank);
      await frank.proposesToAdd(keyPackage);
      await frank.proposesToAdd(keyPackage);
    },
  ],
  [
    "two additions under one name",
    "done once",
    async ({ frank }) => {
      await frank.proposesToAdd(await packageOf("dora", frank));
      await frank.proposesToAdd(await packageOf("dora", frank));
    },
  ],
  [
    "an addition for another cipher suite",
    "rejected",
    async ({ frank }) => {
      const dora = await Foreigner.comes("dora", frank.server, { cipherSuite: p256 });
      return frank.proposesToAdd(await dora.keyPackage());
    },
  ],
  [
    "an addition with a damaged key package",
    "rejected",
    async ({ frank }) => {
      const proposal = addition(await packageOf("dora", frank));
      if (proposal.proposalType !== "add") throw new Error("no addition");
      const { keyPackage } = proposal.add;
      const signature = keyPackage.signature.map((byte, place) => (place === 9 ? byte ^ 1 : byte));
      return frank.proposes({ proposalType: "add", add: { keyPackage: { ...keyPackage, signature } } });
    },
  ],
  [
    "an addition that is over",
    "left out",
    async ({ frank }) => {
      const dora = await Foreigner.comes("dora", frank.server);
      return frank.proposesToAdd(await dora.keyPackage({ lifetime: { notBefore: 0n, notAfter: 1n } }));
    },
  ],
  [
    "an addition that never ends",
    "left out",
    async ({ frank }) => {
      const dora = await Foreigner.comes("dora", frank.server);
      return frank.proposesToAdd(await dora.keyPackage({ lifetime: { notBefore: 0n, notAfter: 2n ** 63n } }));
    },
  ],
  [
    "an addition with a certificate",
    "rejected",
    async ({ frank }) => {
      const dora = await Foreigner.comes("dora", frank.server);
      return frank.proposesToAdd(await dora.keyPackage({ credential: certificate }));
    },
  ],
  ["a removal of nobody", "left out", ({ frank }) => frank.proposes(removalOf(3))],
  ["a removal of a leaf far outside the tree", "left out", ({ frank }) => frank.proposes(removalOf(2 ** 31))],
  [
    "two removals of the same member",
    "done once",
    async ({ frank }) => {
      await frank.proposesToRemove("bob");
      await frank.proposesToRemove("bob");
    },
  ],
  [
    "two updates",
    "done once",
    async ({ frank }) => {
      await frank.proposesUpdate();
      await frank.proposesUpdate();
    },
  ],
  ["an update under another name", "rejected", ({ frank }) => frank.proposesUpdate({ credential: named("alice") })],
  ["an update to a certificate", "rejected", ({ frank }) => frank.proposesUpdate({ credential: certificate })],
  [
    "an update with the key of another member",
    "left out",
    ({ frank }) => frank.proposesUpdate({ hpkePublicKey: frank.leafOf("alice").hpkePublicKey }),
  ],
  [
    "an update with the key that it replaces",
    "left out",
    ({ frank }) => frank.proposesUpdate({ hpkePublicKey: frank.leafOf("frank").hpkePublicKey }),
  ],
  [
    "an update that another key has signed",
    "rejected",
    ({ frank }) => frank.proposesUpdate({ signaturePublicKey: frank.leafOf("alice").signaturePublicKey }),
  ],
  [
    "an update that takes back what the conversation stands on",
    "left out",
    ({ frank }) =>
      frank.proposesUpdate({ capabilities: { ...frank.leafOf("frank").capabilities, credentials: ["x509"] } }),
  ],
  [
    "an update with what its own leaf cannot do",
    "left out",
    ({ frank }) => frank.proposesUpdate({ extensions: [{ extensionType: 0xf123, extensionData: new Uint8Array() }] }),
  ],
  [
    "a pre-shared key of the conversation itself",
    "rejected",
    ({ frank }) => {
      const from = { psktype: "resumption", usage: "application", pskGroupId: bytes("team"), pskEpoch: 1n } as const;
      return frank.proposes({
        proposalType: "psk",
        psk: { preSharedKeyId: { ...from, pskNonce: new Uint8Array(32) } },
      });
    },
  ],
  [
    "a pre-shared key that nobody has",
    "rejected",
    ({ frank }) => {
      const pskNonce = new Uint8Array(32);
      const preSharedKeyId = { psktype: "external", pskId: bytes("key"), pskNonce } as const;
      return frank.proposes({ proposalType: "psk", psk: { preSharedKeyId } });
    },
  ],
  [
    "a re-initialisation",
    "rejected",
    ({ frank }) => {
      const reinit = { groupId: bytes("other"), version: "mls10", cipherSuite: p256, extensions: [] } as const;
      return frank.proposes({ proposalType: "reinit", reinit: { ...reinit, extensions: [] } });
    },
  ],
  [
    "an external initialisation",
    "rejected",
    ({ frank }) => frank.proposes({ proposalType: "external_init", externalInit: { kemOutput: new Uint8Array(32) } }),
  ],
  [
    "a group context with what nobody supports",
    "rejected",
    ({ frank }) =>
      frank.proposes({
        proposalType: "group_context_extensions",
        groupContextExtensions: { extensions: [{ extensionType: 0xf123, extensionData: new Uint8Array() }] },
      }),
  ],
  [
    "a group context that asks for what nobody can do",
    "rejected",
    ({ frank }) => {
      const extensionData = encodeRequiredCapabilities({
        extensionTypes: [],
        proposalTypes: [0xf123],
        credentialTypes: [],
      });
      const extensions = [{ extensionType: "required_capabilities" as const, extensionData }];
      return frank.proposes({ proposalType: "group_context_extensions", groupContextExtensions: { extensions } });
    },
  ],
  [
    "two group contexts",
    "done once",
    async ({ frank }) => {
      for (const authenticatedBy of ["one", "two"]) {
        await frank.proposes(
          { proposalType: "group_context_extensions", groupContextExtensions: { extensions: [] } },
          bytes(authenticatedBy),
        );
      }
    },
  ],
  [
    "something that nobody knows",
    "left out",
    ({ frank }) => frank.proposes({ proposalType: 0xf123, proposalData: new Uint8Array() }),
  ],
];

const packageOf = async (name: string, { server }: Foreigner) => (await Foreigner.comes(name, server)).keyPackage();

const removalOf = (removed: number): Proposal => ({ proposalType: "remove", remove: { removed } });
