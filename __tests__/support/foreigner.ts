import { createHash } from "node:crypto";
import type { CipherSuite, MlsTransportResponse } from "conclave-mls";
import {
  acceptAll,
  type Capabilities,
  type CiphersuiteImpl,
  type ClientState,
  createApplicationMessage,
  createCommit,
  createGroupInfoWithExternalPubAndRatchetTree,
  createProposal,
  type Credential,
  emptyPskIndex,
  type Extension,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  type KeyPackage,
  type LeafNode,
  type LeafNodeData,
  type Lifetime,
  type MLSMessage,
  type PrivateKeyPackage,
  processMessage,
  type Proposal,
  proposeAddExternal,
  type Welcome,
} from "ts-mls";
import { defaultClientConfig } from "ts-mls/clientConfig.js";
import type { Commit } from "ts-mls/commit.js";
import { createGroupInfoWithRatchetTree } from "ts-mls/createCommit.js";
import { signWithLabel } from "ts-mls/crypto/signature.js";
import { signFramedContentTBS, toTbs } from "ts-mls/framedContent.js";
import { makeKeyPackageRef, signKeyPackage } from "ts-mls/keyPackage.js";
import { ratchetTreeFromExtension } from "ts-mls/groupInfo.js";
import { encodeLeafNodeTBS, type LeafNodeTBS, signLeafNodeKeyPackage } from "ts-mls/leafNode.js";
import { protectPublicMessage } from "ts-mls/messageProtectionPublic.js";
import { encodeRatchetTree } from "ts-mls/ratchetTree.js";
import { addressee, addition, decoded, encoded, hex, nameOf, withLeafKey } from "./foreign-messages.js";
import type { Sent } from "./server.js";
import { bytes, suite, text } from "./text.js";

type HpkePublicKey = Awaited<ReturnType<CiphersuiteImpl["hpke"]["importPublicKey"]>>;

/** How handshake messages are framed: readable for the server, or encrypted. */
export type Framing = "public" | "private";

interface Settings {
  cipherSuite?: CipherSuite;
  framing?: Framing;
  /** Milliseconds since 1970; the machine's if not given. */
  now?: () => number;
}

/** What is not as it should be in a key package. */
interface Oddities {
  leaf?: Partial<KeyPackage["leafNode"]>;
  itself?: Partial<KeyPackage>;
  unsigned?: Partial<KeyPackage>;
  unsignedLeaf?: Partial<KeyPackage["leafNode"]>;
}

/** What a foreigner has to do with a server. */
export interface Mailroom {
  /** What was sent in a conversation, in order, as far as it has come here. */
  log(conversationId: string): Uint8Array[];
  post(message: Uint8Array): void;
  take(sent: Sent): MlsTransportResponse | Promise<MlsTransportResponse>;
  groupInfo(conversationId: string): Uint8Array | Promise<Uint8Array>;
  takeWelcomes(clientId: string): Uint8Array[];
  /** Whether a conversation can be joined from outside; all can if this is missing. */
  isOpen?(conversationId: string): Promise<boolean>;
}

/** A commit with what belongs to it, and where its maker is when it is accepted. */
interface Made {
  readonly commit: Uint8Array;
  readonly welcome: Welcome | undefined;
  readonly proposals: Proposal[];
  readonly newState: ClientState;
}

/**
 * A member with another implementation of MLS, ts-mls, in one conversation. It makes proposals, which Conclave only receives,
 * and shows that the two understand each other.
 */
export class Foreigner {
  readonly name: string;
  readonly server: Mailroom;
  /** What its key packages say from now on that it can do. */
  capabilities: Capabilities;
  /** Whether its Welcomes carry the ratchet tree. */
  treeInWelcome = true;
  readonly #mls: CiphersuiteImpl;
  readonly #framing: Framing;
  readonly #invitations: { publicPackage: KeyPackage; privatePackage: PrivateKeyPackage }[] = [];
  /** The private keys of updates that were proposed, by their public keys, in hex. */
  readonly #updates = new Map<string, Uint8Array>();
  readonly #own = new Set<string>();
  readonly #now: () => number;
  #joined: ClientState | undefined;
  #read = 0;

  private constructor(
    name: string,
    server: Mailroom,
    mls: CiphersuiteImpl,
    { framing = "private", now = Date.now }: Settings,
  ) {
    this.name = name;
    this.server = server;
    this.#mls = mls;
    this.#framing = framing;
    this.#now = now;
    this.capabilities = {
      versions: ["mls10"],
      ciphersuites: [mls.name],
      extensions: [0x0a0a],
      proposals: [0x1a1a],
      credentials: ["basic", "x509"],
    };
  }

  /** Comes without a conversation. Handshake messages are framed as private messages unless told otherwise. */
  static async comes(name: string, server: Mailroom, settings: Settings = {}): Promise<Foreigner> {
    const { cipherSuite = suite } = settings;
    return new Foreigner(name, server, await getCiphersuiteImpl(getCiphersuiteFromName(cipherSuite)), settings);
  }

  /** A fresh key package, with a signature key of its own; it says that it can do what nobody knows (RFC 9420 section 13.5). */
  async keyPackage(odd: { credential?: Credential; lifetime?: Lifetime } = {}): Promise<Uint8Array> {
    const now = BigInt(Math.floor(this.#now() / 1000));
    const { lifetime = { notBefore: now - 3_600n, notAfter: now + 7n * 86_400n } } = odd;
    const { credential = { credentialType: "basic", identity: bytes(this.name) } } = odd;
    const invitation = await generateKeyPackage(credential, this.capabilities, lifetime, [], this.#mls);
    this.#invitations.push(invitation);
    return encoded({ version: "mls10", wireformat: "mls_key_package", keyPackage: invitation.publicPackage });
  }

  /** The KeyPackageRef of a key package (RFC 9420 section 5.2), lowercase hex. */
  async refOf(keyPackage: Uint8Array): Promise<string> {
    const message = decoded(keyPackage);
    if (message.wireformat !== "mls_key_package") throw new Error("This is no key package.");
    return hex(await makeKeyPackageRef(message.keyPackage, this.#mls.hash));
  }

  /** A key package whose leaf has this public key, which need not be one. */
  async keyPackageWithLeafKey(hpkePublicKey: Uint8Array): Promise<Uint8Array> {
    return this.oddKeyPackage({ leaf: { hpkePublicKey } });
  }

  /** A key package with this in its leaf and in itself, signed, and with this in both after they were signed. */
  async oddKeyPackage({ leaf = {}, itself = {}, unsigned = {}, unsignedLeaf = {} }: Oddities): Promise<Uint8Array> {
    await this.keyPackage();
    const { publicPackage, privatePackage } = this.#invitations.at(-1)!;
    const key = privatePackage.signaturePrivateKey;
    const usual = { ...publicPackage.leafNode, ...leaf };
    const signed = await signLeafNodeKeyPackage({ ...usual, leafNodeSource: "key_package" }, key, this.#mls.signature);
    const leafNode = { ...signed, ...unsignedLeaf };
    const made = await signKeyPackage({ ...publicPackage, ...itself, leafNode }, key, this.#mls.signature);
    const keyPackage = { ...made, ...unsigned };
    return encoded({ version: "mls10", wireformat: "mls_key_package", keyPackage });
  }

  /** A fresh public key of HPKE, whose private key is gone. */
  async freshPublicKey(): Promise<Uint8Array> {
    const { publicKey } = await this.#mls.hpke.generateKeyPair();
    return this.#mls.hpke.exportPublicKey(publicKey);
  }

  /** Joins by the Welcome that waits, and reads the conversation only from there on. */
  async joins(): Promise<void> {
    const [welcome] = this.server.takeWelcomes(this.name).map(decoded);
    if (welcome?.wireformat !== "mls_welcome") throw new Error(`No Welcome waits for ${this.name}.`);
    const invited = new Set(welcome.welcome.secrets.map(({ newMember }) => hex(newMember)));
    for (const { publicPackage, privatePackage } of this.#invitations) {
      if (!invited.has(hex(await makeKeyPackageRef(publicPackage, this.#mls.hash)))) continue;
      this.#joined = await joinGroup(welcome.welcome, publicPackage, privatePackage, emptyPskIndex, this.#mls);
    }
    this.#read = this.#log.length;
  }

  /** Proposes from outside that it be added (RFC 9420 section 12.1.8). */
  async asksToJoin(id: string): Promise<Uint8Array> {
    const message = decoded(await this.server.groupInfo(id));
    if (message.wireformat !== "mls_group_info") throw new Error("This is no GroupInfo.");
    await this.keyPackage();
    const { publicPackage, privatePackage } = this.#invitations.at(-1)!;
    return this.#post(await proposeAddExternal(message.groupInfo, publicPackage, privatePackage, this.#mls));
  }

  /** Encrypts and posts. */
  async says(words: string): Promise<void> {
    const { newState, privateMessage } = await createApplicationMessage(this.#state, bytes(words), this.#mls);
    this.#state = newState;
    this.#post({ version: "mls10", wireformat: "mls_private_message", privateMessage });
  }

  /** Reads what is new in the log, and answers the texts among it. */
  async hears(): Promise<string[]> {
    const from = this.#read;
    this.#read = this.#log.length;
    const heard = [];
    for (const message of this.#log.slice(from).filter((one) => !this.#own.has(hashOf(one)))) {
      heard.push(...(await this.#receives(message)));
    }
    return heard;
  }

  /** Proposes to add whomever the key package belongs to; like all of these, posts the proposal and answers its bytes. */
  async proposesToAdd(keyPackage: Uint8Array): Promise<Uint8Array> {
    return this.proposes(addition(keyPackage));
  }

  /** Proposes to remove a member. */
  async proposesToRemove(name: string): Promise<Uint8Array> {
    return this.proposes(this.removal(name));
  }

  /** Proposes new keys for itself; what is given is in the leaf in place of what belongs there. */
  async proposesUpdate(odd: Partial<LeafNodeData & { extensions: Extension[] }> = {}): Promise<Uint8Array> {
    const { groupContext, privatePath, signaturePrivateKey } = this.#state;
    const keys = await this.#mls.hpke.generateKeyPair();
    const hpkePublicKey = await this.#mls.hpke.exportPublicKey(keys.publicKey);
    this.#updates.set(hex(hpkePublicKey), await this.#mls.hpke.exportPrivateKey(keys.privateKey));
    // ts-mls makes no leaf for an update by itself.
    const { signaturePublicKey, capabilities, extensions, credential } = this.leafOf(this.name);
    const kept = { signaturePublicKey, capabilities, extensions, credential };
    const update = { ...kept, hpkePublicKey, leafNodeSource: "update", ...odd } as const;
    const toSign: LeafNodeTBS = { ...update, groupId: groupContext.groupId, leafIndex: privatePath.leafIndex };
    const content = encodeLeafNodeTBS(toSign);
    const signature = await signWithLabel(signaturePrivateKey, "LeafNodeTBS", content, this.#mls.signature);
    return this.proposes({ proposalType: "update", update: { leafNode: { ...update, signature } } });
  }

  /** Proposes whatever it is; `aad` makes it differ from another one that says the same. */
  async proposes(proposal: Proposal, aad?: Uint8Array): Promise<Uint8Array> {
    const made = await createProposal(this.#state, this.#framing === "public", proposal, this.#mls, aad);
    this.#state = made.newState;
    return this.#post(made.message);
  }

  /** Commits all proposals that it knows of, and these. The server must take it. */
  async commits(...extraProposals: Proposal[]): Promise<void> {
    const made = await this.#commit(extraProposals, this.#framing === "public");
    if (!(await this.#send(made))) throw new Error(`The server does not take the commit of ${this.name}.`);
  }

  /**
   * A commit whose contents are changed after it was made, and signed anew: what it says of the secrets is not true any more. It
   * is not sent, and this member stays where it is.
   */
  async forges(odd: (commit: Commit) => Commit): Promise<Uint8Array> {
    return (await this.#forge(odd)).commit;
  }

  /** The same, sent with the GroupInfo of the commit as it was before. Answers whether the server takes it. */
  async commitsForged(odd: (commit: Commit) => Commit): Promise<boolean> {
    return this.#send(await this.#forge(odd));
  }

  async #commit(
    extraProposals: Proposal[],
    wireAsPublicMessage: boolean,
  ): Promise<Made & { readonly framed: MLSMessage }> {
    const pending = Object.values(this.#state.unappliedProposals).map(({ proposal }) => proposal);
    const { commit, newState, welcome } = await createCommit(
      { state: this.#state, cipherSuite: this.#mls },
      { extraProposals, wireAsPublicMessage, ratchetTreeExtension: this.treeInWelcome },
    );
    const proposals = [...pending, ...extraProposals];
    return { commit: encoded(commit), framed: commit, welcome, proposals, newState };
  }

  async #forge(odd: (commit: Commit) => Commit): Promise<Made> {
    const { groupContext, signaturePrivateKey, keySchedule } = this.#state;
    const made = await this.#commit([], true);
    if (made.framed.wireformat !== "mls_public_message") throw new Error("It was to be public.");
    const { content, auth } = made.framed.publicMessage;
    if (content.contentType !== "commit" || auth.contentType !== "commit") throw new Error("It was to be a commit.");
    const changed = { ...content, commit: odd(content.commit) };
    const toSign = toTbs(changed, "mls_public_message", groupContext);
    const signature = await signFramedContentTBS(signaturePrivateKey, toSign, this.#mls.signature);
    const publicMessage = await protectPublicMessage(
      keySchedule.membershipKey,
      groupContext,
      { wireformat: "mls_public_message", content: changed, auth: { ...auth, signature } },
      this.#mls,
    );
    return { ...made, commit: encoded({ version: "mls10", wireformat: "mls_public_message", publicMessage }) };
  }

  /** Goes on in the epoch that it begins, if the server takes it. */
  async #send({ commit, welcome, proposals, newState }: Made): Promise<boolean> {
    const before = this.#state;
    const bundle = {
      commit,
      groupInfo: await this.#groupInfoOf(newState),
      ...(welcome && { welcome: encoded({ version: "mls10", wireformat: "mls_welcome", welcome }) }),
    };
    const removed = proposals.flatMap((one) => {
      const leaf = one.proposalType === "remove" ? this.#leaves()[one.remove.removed] : undefined;
      if (leaf === undefined || one.proposalType !== "remove") return [];
      return [
        {
          clientId: nameOf(leaf),
          leafIndex: one.remove.removed,
          signatureKey: leaf.signaturePublicKey.slice(),
          credentialType: "basic" as const,
        },
      ];
    });
    this.#own.add(hashOf(commit));
    const answer = await this.server.take({
      from: this.name,
      bundle,
      context: {
        conversationId: this.#id,
        epoch: before.groupContext.epoch,
        commitId: hashOf(commit),
        attempt: 1,
        change: { added: [], removed, updated: [], other: [] },
        welcomeTo: proposals.flatMap(addressee),
        signal: new AbortController().signal,
      },
    });
    if (answer.status === "success") this.#state = newState;
    return answer.status === "success";
  }

  /** The GroupInfo of the epoch it is in. */
  async groupInfo(): Promise<Uint8Array> {
    return this.#groupInfoOf(this.#state);
  }

  async #groupInfoOf(state: ClientState): Promise<Uint8Array> {
    const { groupContext, confirmationTag, ratchetTree } = state;
    const open = (await this.server.isOpen?.(this.#id)) ?? true;
    const groupInfo = open
      ? await createGroupInfoWithExternalPubAndRatchetTree(state, [], this.#mls)
      : await createGroupInfoWithRatchetTree(groupContext, confirmationTag, state, ratchetTree, [], this.#mls);
    return encoded({ version: "mls10", wireformat: "mls_group_info", groupInfo });
  }

  /**
   * Knows of no proposal any more that adds somebody. ts-mls leaves a rejection unhandled when it commits several
   * of them and one is not valid.
   */
  forgetsAdditions(): void {
    const known = Object.entries(this.#state.unappliedProposals);
    const unappliedProposals = Object.fromEntries(known.filter(([, { proposal }]) => proposal.proposalType !== "add"));
    this.#state = { ...this.#state, unappliedProposals };
  }

  /** Has nothing to do with its conversation any more. */
  leaves(): void {
    this.#joined = undefined;
  }

  /** Whether it is in a conversation, as far as it knows. */
  get isIn(): boolean {
    return this.#joined !== undefined && this.active;
  }

  /** Joins from outside by a commit that removes the leaf of this name, if there is any, whoever it belongs to. */
  async takesThePlaceOf(name: string, id: string): Promise<Uint8Array> {
    const message = decoded(await this.server.groupInfo(id));
    if (message.wireformat !== "mls_group_info") throw new Error("This is no GroupInfo.");
    await this.keyPackage();
    const { publicPackage, privatePackage } = this.#invitations.at(-1)!;
    const isTheVictim = (_: KeyPackage, leaf: LeafNode): boolean => nameOf(leaf) === name;
    const tree = ratchetTreeFromExtension(message.groupInfo) ?? [];
    const isThere = tree.some((node) => node?.nodeType === "leaf" && nameOf(node.leaf) === name);
    const keyPackageEqualityConfig = { compareKeyPackages: () => false, compareKeyPackageToLeafNode: isTheVictim };
    // ts-mls takes the key in a GroupInfo without its length for the key; RFC 9420 section 12.4.3.2 gives it one.
    const { hpke } = this.#mls;
    const importPublicKey = (key: Uint8Array): Promise<HpkePublicKey> =>
      hpke.importPublicKey(key.length === 33 ? key.subarray(1) : key);
    const joined = await joinGroupExternal(
      message.groupInfo,
      publicPackage,
      privatePackage,
      isThere,
      { ...this.#mls, hpke: { ...hpke, importPublicKey } },
      undefined,
      { ...defaultClientConfig, keyPackageEqualityConfig },
    );
    this.#joined = joined.newState;
    return encoded({ version: "mls10", wireformat: "mls_public_message", publicMessage: joined.publicMessage });
  }

  /** Commits what adds another one of its make. */
  async invites(other: Foreigner): Promise<void> {
    await this.commits(addition(await other.keyPackage()));
  }

  /** What removes a member. */
  removal(name: string): Proposal {
    return { proposalType: "remove", remove: { removed: this.#leaves().indexOf(this.leafOf(name)) } };
  }

  /** A member's leaf. */
  leafOf(name: string): LeafNode {
    const found = this.#leaves().find((leaf) => leaf !== undefined && nameOf(leaf) === name);
    if (found === undefined) throw new Error(`${this.name} sees no ${name}.`);
    return found;
  }

  /** The epoch it is in. */
  get epoch(): bigint {
    return this.#state.groupContext.epoch;
  }

  /** The ratchet tree of the epoch it is in, as it travels beside a Welcome (RFC 9420 section 12.4.3.3). */
  get ratchetTree(): Uint8Array {
    return Uint8Array.from(encodeRatchetTree(this.#state.ratchetTree));
  }

  /** Equal for all who agree on the epoch and everything before it. */
  get epochAuthenticator(): Uint8Array {
    return Uint8Array.from(this.#state.keySchedule.epochAuthenticator);
  }

  /** Whether it has not been removed. */
  get active(): boolean {
    return this.#state.groupActiveState.kind === "active";
  }

  /** The names of the members, sorted. */
  sees(): string[] {
    return this.#leaves()
      .flatMap((leaf) => (leaf === undefined ? [] : [nameOf(leaf)]))
      .sort();
  }

  async #receives(message: Uint8Array): Promise<string[]> {
    const framed = decoded(message);
    if (framed.wireformat !== "mls_private_message" && framed.wireformat !== "mls_public_message") return [];
    // States are values: the first look only tells which proposals a commit takes.
    let update: Uint8Array | undefined;
    await processMessage(
      framed,
      this.#state,
      emptyPskIndex,
      (incoming) => {
        if (incoming.kind === "commit") update = this.#updateAmong(incoming.proposals.map(({ proposal }) => proposal));
        return "reject";
      },
      this.#mls,
    );
    const state = update === undefined ? this.#state : withLeafKey(this.#state, update);
    const result = await processMessage(framed, state, emptyPskIndex, acceptAll, this.#mls);
    this.#state = result.newState;
    return result.kind === "applicationMessage" ? [text(result.message)] : [];
  }

  /** The private key of the update of its own that is among these. */
  #updateAmong(proposals: Proposal[]): Uint8Array | undefined {
    const keys = proposals.flatMap((one) =>
      one.proposalType === "update" ? [hex(one.update.leafNode.hpkePublicKey)] : [],
    );
    return keys.map((key) => this.#updates.get(key)).find((key) => key !== undefined);
  }

  /** Leaves of the tree, by leaf index; nodes of even index are leaves (RFC 9420 appendix C). */
  #leaves(): (LeafNode | undefined)[] {
    const leaves = this.#state.ratchetTree.filter((_, index) => index % 2 === 0);
    return leaves.map((node) => (node?.nodeType === "leaf" ? node.leaf : undefined));
  }

  #post(message: MLSMessage): Uint8Array {
    const posted = encoded(message);
    this.#own.add(hashOf(posted));
    this.server.post(posted);
    return posted;
  }

  get #id(): string {
    return text(this.#state.groupContext.groupId);
  }

  get #log(): Uint8Array[] {
    return this.server.log(this.#id);
  }

  get #state(): ClientState {
    if (this.#joined === undefined) throw new Error(`${this.name} has not joined.`);
    return this.#joined;
  }

  set #state(state: ClientState) {
    this.#joined = state;
  }
}

function hashOf(message: Uint8Array): string {
  return createHash("sha256").update(message).digest("hex");
}
