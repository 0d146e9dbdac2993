import {
  type CiphersuiteImpl,
  type ClientState,
  createApplicationMessage,
  createCommit,
  createGroup,
  createProposal,
  emptyPskIndex,
  generateKeyPackage,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  type KeyPackage,
  type MLSMessage,
  type PrivateKeyPackage,
  type Proposal,
} from "ts-mls";
import { signKeyPackage } from "ts-mls/keyPackage.js";
import { decoded, encoded } from "./foreign-messages.js";
import { bytes, suite } from "./people.js";
import type { Server } from "./server.js";

/** A key package with its private keys. */
export interface Invitation {
  publicPackage: KeyPackage;
  privatePackage: PrivateKeyPackage;
}

/**
 * Somebody with ts-mls who keeps to no rule. Her state stays where it is, whatever she makes: two messages that she makes one after
 * the other use the same keys.
 */
export class Mallory {
  readonly #mls: CiphersuiteImpl;
  #state: ClientState | undefined;
  #invitation: Invitation | undefined;

  private constructor(mls: CiphersuiteImpl) {
    this.#mls = mls;
  }

  /** Comes without a conversation. */
  static async comes(): Promise<Mallory> {
    return new Mallory(await getCiphersuiteImpl(getCiphersuiteFromName(suite)));
  }

  /** A key package under this name, as Conclave would make it. */
  async invitation(name: string): Promise<Invitation> {
    const now = BigInt(Math.floor(Date.now() / 1000));
    const lifetime = { notBefore: now - 3_600n, notAfter: now + 7n * 86_400n };
    const capabilities = {
      versions: ["mls10" as const],
      ciphersuites: [this.#mls.name],
      extensions: [],
      proposals: [],
      credentials: ["basic" as const],
    };
    return generateKeyPackage(
      { credentialType: "basic", identity: bytes(name) },
      capabilities,
      lifetime,
      [],
      this.#mls,
    );
  }

  /** Her own key package. */
  async keyPackage(): Promise<Uint8Array> {
    this.#invitation = await this.invitation("mallory");
    return encoded({ version: "mls10", wireformat: "mls_key_package", keyPackage: this.#invitation.publicPackage });
  }

  /** Joins by the Welcome that waits. */
  async joins(server: Server): Promise<void> {
    const [welcome] = server.takeWelcomes("mallory").map(decoded);
    if (welcome?.wireformat !== "mls_welcome") throw new Error("No Welcome waits for mallory.");
    const { publicPackage, privatePackage } = this.#invitation!;
    this.#state = await joinGroup(welcome.welcome, publicPackage, privatePackage, emptyPskIndex, this.#mls);
  }

  /** Founds a conversation that is in this epoch, and invites somebody into the next one; she goes there, too. */
  async founds(id: string, epoch: bigint, keyPackage: Uint8Array): Promise<Uint8Array> {
    const { publicPackage, privatePackage } = await this.invitation("mallory");
    const founded = await createGroup(bytes(id), publicPackage, privatePackage, [], this.#mls);
    this.#state = { ...founded, groupContext: { ...founded.groupContext, epoch } };
    const message = decoded(keyPackage);
    if (message.wireformat !== "mls_key_package") throw new Error("This is no key package.");
    const { newState, welcome } = await this.#commit([
      { proposalType: "add", add: { keyPackage: message.keyPackage } },
    ]);
    this.#state = newState;
    return encoded({ version: "mls10", wireformat: "mls_welcome", welcome: welcome! });
  }

  /** A commit of these proposals, by value. */
  async commits(...proposals: Proposal[]): Promise<Uint8Array> {
    return encoded((await this.#commit(proposals)).commit);
  }

  /** A commit, so large, of a proposal by reference that nobody gets. */
  async commitsWhatNobodyHas(size: number): Promise<Uint8Array> {
    const hidden: Proposal = { proposalType: "remove", remove: { removed: 1 } };
    const { newState: state } = await createProposal(this.#state!, false, hidden, this.#mls);
    const large = { authenticatedData: new Uint8Array(size), ratchetTreeExtension: true };
    return encoded((await createCommit({ state, cipherSuite: this.#mls }, large)).commit);
  }

  /** This proposal. */
  async proposes(proposal: Proposal): Promise<Uint8Array> {
    return encoded((await createProposal(this.#state!, false, proposal, this.#mls)).message);
  }

  /** An application message. */
  async says(words: string): Promise<Uint8Array> {
    const { privateMessage } = await createApplicationMessage(this.#state!, bytes(words), this.#mls);
    return encoded({ version: "mls10", wireformat: "mls_private_message", privateMessage });
  }

  /** Two key packages of one init key. */
  async twins(): Promise<KeyPackage[]> {
    const [one, other] = [await this.invitation("x"), await this.invitation("y")];
    const twin = { ...other.publicPackage, initKey: one.publicPackage.initKey };
    const key = other.privatePackage.signaturePrivateKey;
    return [one.publicPackage, await signKeyPackage(twin, key, this.#mls.signature)];
  }

  /** A commit that joins from outside, with a path in which the secret with this number cannot be opened. */
  async joinsFromOutside(groupInfo: Uint8Array, unopenable: number): Promise<Uint8Array> {
    const message: MLSMessage = decoded(groupInfo);
    if (message.wireformat !== "mls_group_info") throw new Error("This is no GroupInfo.");
    const { publicPackage, privatePackage } = await this.invitation("mallory");
    const { hpke } = this.#mls;
    let sealed = 0;
    const odd: CiphersuiteImpl["hpke"] = {
      ...hpke,
      importPublicKey: (key) => hpke.importPublicKey(key.length === 33 ? key.subarray(1) : key),
      async seal(key, plaintext, info, aad) {
        // Counted as they begin: on a busy machine they end in another order.
        const number = ++sealed;
        const { ct, enc } = await hpke.seal(key, plaintext, info, aad);
        return { ct: number === unopenable ? ct.map((byte, place) => (place === 0 ? byte ^ 1 : byte)) : ct, enc };
      },
    };
    const joining = { ...this.#mls, hpke: odd };
    const joined = await joinGroupExternal(message.groupInfo, publicPackage, privatePackage, false, joining);
    return encoded({ version: "mls10", wireformat: "mls_public_message", publicMessage: joined.publicMessage });
  }

  #commit(extraProposals: Proposal[]): ReturnType<typeof createCommit> {
    return createCommit(
      { state: this.#state!, cipherSuite: this.#mls },
      { extraProposals, ratchetTreeExtension: true },
    );
  }
}
