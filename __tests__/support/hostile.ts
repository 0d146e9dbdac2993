import { inspectMessage, type MlsTransportResponse } from "conclave-mls";
import type { DeliveryService, QueueEntry } from "conclave-mls/delivery-service";
import type { Guest, GuestFactory, GuestWorld } from "conclave-mls/testing";
import { encodeRequiredCapabilities, type Proposal } from "ts-mls";
import type { Commit } from "ts-mls/commit.js";
import { addition } from "./foreign-messages.js";
import { Foreigner, type Mailroom } from "./foreigner.js";
import { oddProposals } from "./odd-proposals.js";
import type { Sent } from "./server.js";
import { suite } from "./text.js";

/** How long its key packages are good, in milliseconds. */
const LIFETIME = 7 * 24 * 60 * 60 * 1000;

/** How many of them the service is to have. */
const KEY_PACKAGES = 3;

/** A member that signs what no honest client would make, and behaves in between. For `simulate`. */
export const hostileGuest: GuestFactory = async (world) => {
  const post = new Post(world.name, world.service);
  const frank = await Foreigner.comes(world.name, post, { framing: "public", now: () => world.now() });
  const guest = new Hostile(world, post, frank);
  await guest.comes();
  return guest;
};

/** Something that it does. Its answer, where it has one, is whether the server took it. */
type Deed = readonly [words: string, weight: number, does: (guest: Hostile) => Promise<boolean | undefined>];

class Hostile implements Guest {
  readonly world: GuestWorld;
  readonly post: Post;
  readonly frank: Foreigner;
  /** The conversations that it has ever been in. */
  readonly #known = new Set<string>();
  #id: string | undefined;
  #said = 0;

  constructor(world: GuestWorld, post: Post, frank: Foreigner) {
    this.world = world;
    this.post = post;
    this.frank = frank;
  }

  /** Publishes what it is invited by; with one of them nobody may invite it. */
  async comes(): Promise<void> {
    await this.#publish(await this.frank.keyPackage());
    await this.#publish(await this.frank.keyPackageWithLeafKey(new Uint8Array(32)));
    await this.#publish(await this.frank.keyPackage());
  }

  async acts(): Promise<void> {
    const { world, frank } = this;
    const left = await world.service.countKeyPackages(world.name, suite);
    if (left < KEY_PACKAGES) await this.#publish(await frank.keyPackage());
    await this.#reads();
    if (!frank.isIn) return this.#returns();
    frank.forgetsAdditions();
    const [words, , does] = chosen(world.random.next());
    world.tells(words);
    const taken = await does(this);
    await this.post.sends();
    if (taken !== undefined) world.tells(taken ? "is believed by the server" : "is not believed by the server");
    if (taken === true) world.counts("hostile commits accepted");
  }

  /** Somebody who is a member and not this guest, if there is anybody. */
  victim(): string {
    return this.world.random.pick(this.frank.sees().filter((name) => name !== this.world.name));
  }

  /** A proposal of one leaf's removal, in place of those of a commit or beside them. */
  removal(removed: number): Commit["proposals"][number] {
    return { proposalOrRefType: "proposal", proposal: { proposalType: "remove", remove: { removed } } };
  }

  /** Speaks like anybody else. */
  async says(): Promise<undefined> {
    await this.frank.says(`${this.world.name}'s no. ${(this.#said += 1)}`);
  }

  /** Joins in the place of a member of this name: its own, when it is to be allowed. */
  async takesThePlaceOf(name: string, id: string): Promise<boolean> {
    const commit = await this.frank.takesThePlaceOf(name, id);
    const groupInfo = await this.frank.groupInfo();
    const answer = await this.world.service.sendCommit(
      this.world.name,
      { commit, groupInfo },
      { welcomeTo: [], removed: name === this.world.name ? [name] : [] },
    );
    if (answer.status !== "success") this.frank.leaves();
    else this.#isIn(id);
    return answer.status === "success";
  }

  /** The conversation that it is in. */
  get id(): string {
    return this.#id ?? "";
  }

  /** Where it is not in any conversation: it comes back from outside, or waits to be invited. */
  async #returns(): Promise<void> {
    const { random, tells, name } = this.world;
    if (this.#known.size === 0 || !random.chance(0.3)) return;
    const id = random.pick([...this.#known]);
    tells(`joins ${id} from outside`);
    await this.takesThePlaceOf(name, id);
  }

  async #publish(bytes: Uint8Array): Promise<void> {
    const { service, name, now } = this.world;
    const ref = await this.frank.refOf(bytes);
    const notAfter = new Date(now() + LIFETIME);
    const keyPackage = { bytes, ref, cipherSuite: suite, notAfter, lastResort: false };
    await service.publishKeyPackages(name, [keyPackage]);
  }

  /** Reads what waits for it. What it cannot follow it leaves. */
  async #reads(): Promise<void> {
    for await (const entry of this.post.pulls()) {
      const { kind } = inspectMessage(entry.bytes);
      try {
        const { isIn } = this.frank;
        if (kind === "welcome" && !isIn) {
          await this.frank.joins();
          if (this.frank.isIn) this.#isIn(entry.conversationId);
        } else if (kind !== "welcome" && entry.conversationId === this.#id && isIn) {
          await this.frank.hears();
        }
      } catch {
        if (kind === "message") continue;
        this.world.tells("cannot follow, and leaves");
        this.frank.leaves();
      }
    }
  }

  #isIn(id: string): void {
    this.world.tells(`is in ${id}`);
    this.#id = id;
    this.#known.add(id);
  }
}

const flipped = (content: Uint8Array): Uint8Array => content.map((byte, place) => (place === 0 ? byte ^ 1 : byte));

type Path = NonNullable<Commit["path"]>;

/** A commit with another path than the one that it was made with. */
const withPath = (odd: (path: Path) => Path) => (commit: Commit) => ({
  ...commit,
  path: commit.path === undefined ? undefined : odd(commit.path),
});

const withProposals =
  (odd: (proposals: Commit["proposals"]) => Commit["proposals"]) =>
  (commit: Commit): Commit => ({ ...commit, proposals: odd(commit.proposals) });

const requirement = (): Proposal => {
  const extensionData = encodeRequiredCapabilities({
    extensionTypes: [],
    proposalTypes: [0x1a1a],
    credentialTypes: [],
  });
  const extensions = [{ extensionType: "required_capabilities" as const, extensionData }];
  return { proposalType: "group_context_extensions", groupContextExtensions: { extensions } };
};

/** Commits with these proposals, of its own making throughout: only the rules of the others are against it. */
async function commits(guest: Hostile, ...proposals: Proposal[]): Promise<boolean> {
  try {
    await guest.frank.commits(...proposals);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes("does not take")) return false;
    throw error;
  }
}

const deeds: readonly Deed[] = [
  ["says something", 8, (guest) => guest.says()],
  [
    "commits in all honesty",
    3,
    async ({ frank }) => {
      await frank.commits();
    },
  ],
  [
    "proposes an honest update",
    1,
    async ({ frank }) => {
      await frank.proposesUpdate();
      return undefined;
    },
  ],
  [
    "proposes to remove somebody",
    1,
    async (guest) => {
      await guest.frank.proposesToRemove(guest.victim());
      return undefined;
    },
  ],
  [
    "proposes something odd",
    6,
    async (guest) => {
      const { random, tells } = guest.world;
      const [words, , proposes] = random.pick(oddProposals);
      tells(`proposes ${words}`);
      const { frank } = guest;
      const alice = { keyPackage: async () => (await Foreigner.comes("alice", guest.post)).keyPackage() };
      await proposes({ frank, alice });
    },
  ],
  [
    "says again what it has sent before",
    2,
    async ({ post, world }) => {
      await post.repeats(world.random);
    },
  ],
  [
    "commits a second leaf under the name of a member",
    1,
    async (guest) => {
      const double = await Foreigner.comes(guest.victim(), guest.post, { now: () => guest.world.now() });
      return commits(guest, addition(await double.keyPackage()));
    },
  ],
  ["commits what only it can do", 1, async (guest) => commits(guest, requirement())],
  [
    "commits an addition with a leaf key that is none",
    1,
    async (guest) => {
      const nobody = await Foreigner.comes("nobody", guest.post, { now: () => guest.world.now() });
      return commits(guest, addition(await nobody.keyPackageWithLeafKey(new Uint8Array(31))));
    },
  ],
  [
    "commits two removals of one member",
    1,
    async (guest) => {
      const [removal] = [guest.frank.removal(guest.victim())];
      const twice = [removal, removal].map((proposal) => ({ proposalOrRefType: "proposal" as const, proposal }));
      return guest.frank.commitsForged(withProposals(() => twice));
    },
  ],
  [
    "commits a removal of nobody",
    1,
    async (guest) => guest.frank.commitsForged(withProposals((all) => [...all, guest.removal(200)])),
  ],
  [
    "commits its own removal",
    1,
    async ({ frank, world }) =>
      frank.commitsForged(
        withProposals((all) => [...all, { proposalOrRefType: "proposal", proposal: frank.removal(world.name) }]),
      ),
  ],
  [
    "commits a proposal that nobody has",
    1,
    async ({ frank }) =>
      frank.commitsForged(
        withProposals((all) => [...all, { proposalOrRefType: "reference", reference: new Uint8Array(32) }]),
      ),
  ],
  ["commits without a path", 1, async ({ frank }) => frank.commitsForged((commit) => ({ ...commit, path: undefined }))],
  [
    "commits secrets that nobody can open",
    1,
    async ({ frank }) =>
      frank.commitsForged(
        withPath(({ leafNode, nodes }) => ({
          leafNode,
          nodes: nodes.map((node) => ({
            ...node,
            encryptedPathSecret: node.encryptedPathSecret.map(({ kemOutput, ciphertext }) => ({
              kemOutput,
              ciphertext: flipped(ciphertext),
            })),
          })),
        })),
      ),
  ],
  [
    "commits a secret that one cannot open",
    1,
    async ({ frank }) =>
      frank.commitsForged(
        withPath(({ leafNode, nodes: [first, ...nodes] }) => ({
          leafNode,
          nodes:
            first === undefined
              ? nodes
              : [{ ...first, encryptedPathSecret: first.encryptedPathSecret.slice(1) }, ...nodes],
        })),
      ),
  ],
  [
    "commits keys that are not those of its secrets",
    1,
    async ({ frank }) =>
      frank.commitsForged(
        withPath(({ leafNode, nodes }) => ({
          leafNode,
          nodes: nodes.map((node) => ({ ...node, hpkePublicKey: flipped(node.hpkePublicKey) })),
        })),
      ),
  ],
  [
    "commits a leaf that it has not signed",
    1,
    async ({ frank }) =>
      frank.commitsForged(
        withPath(({ leafNode, nodes }) => ({
          leafNode: { ...leafNode, signature: flipped(leafNode.signature) },
          nodes,
        })),
      ),
  ],
  ["takes the place of a member from outside", 1, async (guest) => guest.takesThePlaceOf(guest.victim(), guest.id)],
];

function chosen(share: number): Deed {
  let left = share * deeds.reduce((sum, [, weight]) => sum + weight, 0);
  for (const deed of deeds) {
    if (left < deed[1]) return deed;
    left -= deed[1];
  }
  return deeds[0]!;
}

/** What a member of another make has of a delivery service: what it pulls it keeps, and what it sends goes when it is told to. */
class Post implements Mailroom {
  readonly #name: string;
  readonly #service: DeliveryService;
  readonly #logs = new Map<string, Uint8Array[]>();
  readonly #sent: Uint8Array[] = [];
  #welcomes: Uint8Array[] = [];
  #outbox: Uint8Array[] = [];

  constructor(name: string, service: DeliveryService) {
    this.#name = name;
    this.#service = service;
  }

  /** Hands out what waits one after the other: at each of them the log ends there. */
  async *pulls(): AsyncGenerator<QueueEntry> {
    for (const entry of await this.#service.pull(this.#name)) {
      if (inspectMessage(entry.bytes).kind === "welcome") this.#welcomes = [entry.bytes];
      else this.log(entry.conversationId).push(entry.bytes);
      yield entry;
      await this.#service.acknowledge(this.#name, entry.cursor);
    }
  }

  /** Sends what was posted. */
  async sends(): Promise<void> {
    for (const message of this.#outbox.splice(0)) {
      this.#sent.push(message);
      await this.#service.sendMessage(this.#name, message);
    }
  }

  /** Sends something once more. */
  async repeats(random: GuestWorld["random"]): Promise<void> {
    if (this.#sent.length > 0) await this.#service.sendMessage(this.#name, random.pick(this.#sent));
  }

  log(conversationId: string): Uint8Array[] {
    let log = this.#logs.get(conversationId);
    if (log === undefined) this.#logs.set(conversationId, (log = []));
    return log;
  }

  post(message: Uint8Array): void {
    this.#outbox.push(message);
  }

  async take({ bundle, context: { welcomeTo, change } }: Sent): Promise<MlsTransportResponse> {
    const removed = change.removed.map(({ clientId }) => clientId);
    return this.#service.sendCommit(this.#name, bundle, { welcomeTo, removed });
  }

  async groupInfo(conversationId: string): Promise<Uint8Array> {
    return (await this.#service.groupInfo(this.#name, conversationId)).groupInfo;
  }

  async isOpen(conversationId: string): Promise<boolean> {
    return inspectMessage(await this.groupInfo(conversationId)).externalJoin === true;
  }

  takeWelcomes(): Uint8Array[] {
    return this.#welcomes.splice(0);
  }
}
