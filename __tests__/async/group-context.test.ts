import { encodeRequiredCapabilities, type Extension, type RequiredCapabilities } from "ts-mls";
import type * as UpdatePath from "ts-mls/updatePath.js";
import { everybodyLeaves } from "../support/people.js";
import { Trio } from "../support/trio.js";

/** The context that frank's next commit brings. */
let mockExtensions: Extension[] = [];

// ts-mls encrypts the secrets of a path under the extensions before the commit, and RFC 9420 section
// 12.4.2 asks for those after it. So nobody could merge a commit with both.
jest.mock("ts-mls/updatePath.js", () => {
  const actual = jest.requireActual<typeof UpdatePath>("ts-mls/updatePath.js");
  const createUpdatePath: typeof actual.createUpdatePath = (tree, leaf, context, ...rest) =>
    actual.createUpdatePath(tree, leaf, { ...context, extensions: mockExtensions }, ...rest);
  return { ...actual, createUpdatePath };
});

afterEach(everybodyLeaves);

/** Of the private range; only frank's ts-mls would take it. */
const PRIVATE = 0xf0f0;
/** A proposal type that our leaves list and frank's does not. */
const SELF_REMOVE = 10;

/** Frank commits this group context and the removal of bob, whose removal only gives the commit a path. */
async function aliceGets(...extensions: Extension[]) {
  const trio = await Trio.meets();
  const { frank } = trio;
  mockExtensions = extensions;
  await frank.commits(frank.removal("bob"), {
    proposalType: "group_context_extensions",
    groupContextExtensions: { extensions },
  });
  return { trio, told: await trio.alice.reads("team") };
}

/** By its number, since ts-mls holds its own commits against what it knows by name. */
function required(capabilities: Partial<RequiredCapabilities>): Extension {
  const nothing = { extensionTypes: [], proposalTypes: [], credentialTypes: [] };
  return { extensionType: 3, extensionData: encodeRequiredCapabilities({ ...nothing, ...capabilities }) };
}

it("a group context that everybody supports is merged", async () => {
  const { trio, told } = await aliceGets(required({ credentialTypes: ["basic"] }));
  const requiredCapabilities = { extensions: [], proposals: [], credentials: ["basic"] };
  expect(told).toMatchObject([
    {
      type: "commit",
      by: { clientId: "frank", credentialType: "basic" },
      change: { removed: [{ clientId: "bob" }], other: [{ type: "context", patch: { requiredCapabilities } }] },
    },
  ]);
  await trio.endsWell();
});

it.each<[string, Extension]>([
  ["an extension", { extensionType: PRIVATE, extensionData: new Uint8Array() }],
  ["a GREASE value, which nobody may send there", { extensionType: 0x0a0a, extensionData: new Uint8Array() }],
  ["a requirement of an extension", required({ extensionTypes: [PRIVATE] })],
  ["a requirement of a proposal", required({ proposalTypes: [PRIVATE] })],
  ["a requirement of a credential", required({ credentialTypes: ["x509"] })],
  ["a requirement that only the committer does not meet", required({ proposalTypes: [SELF_REMOVE] })],
])("a commit of %s is refused, since a member does not support it", async (_, extension) => {
  const { told } = await aliceGets(extension);
  expect(told).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
});
