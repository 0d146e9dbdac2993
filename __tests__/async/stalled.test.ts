import { type SessionEvents } from "conclave-mls";
import { encodeRequiredCapabilities, type Proposal } from "ts-mls";
import { addition } from "../support/foreign-messages.js";
import { Foreigner } from "../support/foreigner.js";
import { bytes, everybodyLeaves, type Person } from "../support/people.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

type Told = SessionEvents["conversationStalled"];

function listen({ session }: Person): Told[] {
  const told: Told[] = [];
  session.on("conversationStalled", (event) => told.push(event));
  return told;
}

const requiring = (required: Parameters<typeof encodeRequiredCapabilities>[0]): Proposal => ({
  proposalType: "group_context_extensions",
  groupContextExtensions: {
    extensions: [{ extensionType: "required_capabilities", extensionData: encodeRequiredCapabilities(required) }],
  },
});

/** What frank can do and alice and bob cannot. */
const requirements: [string, Proposal][] = [
  ["an extension", requiring({ extensionTypes: [0xf0f0], proposalTypes: [], credentialTypes: [] })],
  ["a kind of proposal", requiring({ extensionTypes: [], proposalTypes: [0xf0f1], credentialTypes: [] })],
  ["a kind of credential", requiring({ extensionTypes: [], proposalTypes: [], credentialTypes: ["x509"] })],
];

describe("a commit of a member that would leave others unable to commit", () => {
  it.each(requirements)("by requiring %s is refused", async (_, proposal) => {
    const { frank, alice, bob, team } = await Trio.meets({ framing: "public" });
    const commit = await frank.forges((before) => ({
      ...before,
      proposals: [{ proposalOrRefType: "proposal", proposal }],
    }));
    for (const { session } of [alice, bob]) {
      expect(await session.receive(commit)).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
      expect((await session.conversation("team").state()).stalled?.why).toBe("refused");
    }
    await expect(team.updateKeys()).rejects.toMatchObject({ code: "CONVERSATION_STALLED" });
  });

  it.each([
    ["of all zeros", new Uint8Array(32)],
    ["that is too short", new Uint8Array(5).fill(9)],
    ["that is too long", new Uint8Array(33).fill(9)],
  ])("by adding a leaf with a key %s is refused", async (_, key) => {
    const { frank, alice, bob, server, team } = await Trio.meets();
    const odd = await Foreigner.comes("odd", server);
    const adding = team.addMembers([await odd.keyPackageWithLeafKey(key)]);
    await expect(adding).rejects.toMatchObject({ code: "KEY_PACKAGE_INVALID" });
    await frank.commits(addition(await odd.keyPackageWithLeafKey(key)));
    for (const member of [alice, bob]) {
      expect((await member.reads("team")).at(-1)).toMatchObject({ type: "rejected", code: "MESSAGE_INVALID" });
    }
    expect((await team.state()).stalled?.why).toBe("refused");
  });
});

describe("a conversation that is stalled by a refusal", () => {
  async function stalled(setting: Parameters<typeof Trio.meets>[0] = {}): Promise<{ trio: Trio; told: Told[] }> {
    const trio = await Trio.meets(setting);
    const told = listen(trio.alice);
    const stranger = await Foreigner.comes("bob", trio.server);
    await trio.frank.commits(addition(await stranger.keyPackage()));
    await trio.alice.reads("team");
    return { trio, told };
  }

  it("tells it once, shows it, and encrypts and commits nothing", async () => {
    const { trio, told } = await stalled();
    const { team, alice, server } = trio;
    const { stalled: shown, ...state } = await team.state();
    expect(told).toEqual([{ conversationId: "team", ...shown }]);
    expect(shown).toMatchObject({ why: "refused", epoch: 1n, reason: expect.any(String) as string });
    expect(state).toMatchObject({ can: { encrypt: false, commit: false, settle: false, decrypt: true } });
    expect(await team.active()).toBe(true);

    await alice.session.receive(server.log("team").at(-1)!);
    expect(told).toHaveLength(1);
    const refused = { code: "CONVERSATION_STALLED", context: { epoch: "1" } };
    await expect(team.encrypt(bytes("x"))).rejects.toMatchObject(refused);
    await expect(team.addMembers([await (await trio.carol()).keyPackage()])).rejects.toMatchObject(refused);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("is told to a commit that is on its way, which stays open until it is known to be lost", async () => {
    const trio = await Trio.meets();
    const { alice, frank, team, server, clock } = trio;
    const stranger = await Foreigner.comes("bob", server);
    await frank.commits(addition(await stranger.keyPackage()));
    const settled: SessionEvents["commitSettled"][] = [];
    alice.session.on("commitSettled", (event) => settled.push(event));
    await expect(clock.until(team.updateKeys())).rejects.toMatchObject({ code: "CONVERSATION_STALLED" });
    expect(server.sends.filter(({ from }) => from === "alice")).toHaveLength(2); // The founding, and this one once.
    const [open] = await alice.session.unsettledCommits();
    expect(await clock.until(alice.session.settle())).toEqual([open]);

    await frank.commits(frank.removal("alice"), addition(await alice.keyPackage()));
    await alice.joins();
    expect(settled).toMatchObject([{ commitId: open!.commitId, outcome: "lost" }]);
    expect(await alice.session.unsettledCommits()).toEqual([]);
  });

  it("is told by decrypt as well, which rejects", async () => {
    const trio = await Trio.meets({ deliver: () => {} });
    const told = listen(trio.alice);
    const stranger = await Foreigner.comes("bob", trio.server);
    await trio.frank.commits(addition(await stranger.keyPackage()));
    const decrypting = trio.team.decrypt(trio.server.log("team").at(-1)!);
    await expect(decrypting).rejects.toMatchObject({
      code: "MESSAGE_INVALID",
      context: { conversationId: "team", epoch: "1" },
    });
    expect(told).toHaveLength(1);
    expect((await trio.team.state()).stalled).toBeDefined();
  });

  it("is stalled after a restart", async () => {
    const { trio } = await stalled({ onDisk: true });
    await trio.aliceRestarts();
    expect((await trio.team.state()).stalled).toMatchObject({ why: "refused", epoch: 1n });
    await expect(trio.team.encrypt(bytes("x"))).rejects.toMatchObject({ code: "CONVERSATION_STALLED" });
  });

  it("is not stalled where the transaction that received the commit is taken back", async () => {
    const trio = await Trio.meets();
    const told = listen(trio.alice);
    const stranger = await Foreigner.comes("bob", trio.server);
    await trio.frank.commits(addition(await stranger.keyPackage()));
    const commit = trio.server.log("team").at(-1)!;
    const thrown = trio.alice.session.transaction(async (tx) => {
      await tx.receive(commit);
      throw new Error("no");
    });
    await expect(thrown).rejects.toThrow("no");
    expect((await trio.team.state()).stalled).toBeUndefined();
    expect(told).toEqual([]);
  });

  it("takes a new invitation without a wipe, and shows the tree as it is", async () => {
    const { trio } = await stalled();
    const { alice, frank, team } = trio;
    await frank.commits(frank.removal("alice"), addition(await alice.keyPackage()));
    await alice.joins();
    expect((await team.state()).stalled).toBeUndefined();
    const bobs = (await team.members()).filter(({ clientId }) => clientId === "bob");
    expect(new Set(bobs.map(({ signatureKey }) => String(signatureKey))).size).toBe(2);
    await frank.says("welcome back");
    expect(await alice.hears("team")).toEqual(["welcome back"]);
    // The name alone stands for both; one of them is named by its key.
    await team.removeMembers([bobs[1]!]);
    expect(await alice.sees("team")).toEqual(["alice", "bob", "frank"]);
  });
});

describe("a commit of a member that every client refuses", () => {
  it.each<[string, (frank: Foreigner) => Parameters<Foreigner["forges"]>[0]]>([
    [
      "that removes a member twice",
      (frank) => (commit) => {
        const removal = { proposalOrRefType: "proposal", proposal: frank.removal("bob") } as const;
        return { ...commit, proposals: [removal, removal] };
      },
    ],
    [
      "that removes nobody",
      () => (commit) => ({
        ...commit,
        proposals: [{ proposalOrRefType: "proposal", proposal: { proposalType: "remove", remove: { removed: 3 } } }],
      }),
    ],
    [
      "that removes its committer",
      (frank) => (commit) => ({
        ...commit,
        proposals: [{ proposalOrRefType: "proposal", proposal: frank.removal("frank") }],
      }),
    ],
    ["without the path that it needs", () => (commit) => ({ ...commit, path: undefined })],
  ])("%s stalls, and sending goes on", async (_, odd) => {
    const { frank, alice, bob, server, team } = await Trio.meets({ framing: "public" });
    const told = listen(alice);
    const commit = await frank.forges(odd(frank));
    for (const { session } of [alice, bob]) {
      expect(await session.receive(commit)).toMatchObject([{ type: "rejected", code: "MESSAGE_INVALID" }]);
    }
    expect(told).toMatchObject([{ conversationId: "team", why: "invalid", epoch: 1n }]);
    expect(await team.state()).toMatchObject({ stalled: { why: "invalid" }, can: { encrypt: true, commit: true } });
    server.post(await team.encrypt(bytes("we are all here")));
    expect(await bob.hears("team")).toEqual(["we are all here"]);
    // The server has not taken it: another commit of the epoch ends it.
    await team.updateKeys();
    expect((await team.state()).stalled).toBeUndefined();
    await bob.reads("team");
    expect((await bob.session.conversation("team").state()).stalled).toBeUndefined();
  });

  it("whose secret is not the one that it says counts as refused: others may have got another one", async () => {
    const { frank, team, alice } = await Trio.meets({ framing: "public" });
    const commit = await frank.forges((before) => ({ ...before, path: mixedUp(before.path!) }));
    await alice.session.receive(commit);
    expect((await team.state()).stalled?.why).toBe("refused");
  });
});

type Path = NonNullable<ReturnType<Parameters<Foreigner["forges"]>[0]>["path"]>;

/** A path whose secrets nobody can open. */
function mixedUp({ leafNode, nodes }: Path): Path {
  const odd = nodes.map((node) => ({
    ...node,
    encryptedPathSecret: node.encryptedPathSecret.map(({ kemOutput, ciphertext }) => ({
      kemOutput,
      ciphertext: ciphertext.map((byte, place) => (place === 3 ? byte ^ 1 : byte)),
    })),
  }));
  return { leafNode, nodes: odd };
}
