import {
  type ClientState,
  decodeMlsMessage,
  encodeMlsMessage,
  type LeafNode,
  type MLSMessage,
  type Proposal,
} from "ts-mls";
import { text } from "./text.js";

/** What adds whomever the key package belongs to. */
export function addition(keyPackage: Uint8Array): Proposal {
  const message = decoded(keyPackage);
  if (message.wireformat !== "mls_key_package") throw new Error("This is no key package.");
  return { proposalType: "add", add: { keyPackage: message.keyPackage } };
}

/** Whom a proposal adds, as the sender of the Welcome has to know it. */
export function addressee(proposal: Proposal): { clientId: string; keyPackageRef: string }[] {
  if (proposal.proposalType !== "add") return [];
  const { initKey, leafNode } = proposal.add.keyPackage;
  return [{ clientId: nameOf(leafNode), keyPackageRef: hex(initKey) }];
}

/** The same state with another private key of its own leaf. */
export function withLeafKey(state: ClientState, key: Uint8Array): ClientState {
  const { leafIndex, privateKeys } = state.privatePath;
  return { ...state, privatePath: { leafIndex, privateKeys: { ...privateKeys, [2 * leafIndex]: key } } };
}

/** The name of a member. */
export function nameOf({ credential }: LeafNode): string {
  return "identity" in credential ? text(credential.identity) : "somebody else";
}

/** The bytes of a message, MLSMessage-framed. */
export function encoded(message: MLSMessage): Uint8Array {
  return Uint8Array.from(encodeMlsMessage(message));
}

/** The message in these bytes. */
export function decoded(message: Uint8Array): MLSMessage {
  const decoding = decodeMlsMessage(message, 0);
  if (decoding === undefined) throw new Error("This is no MLS message.");
  return decoding[0];
}

/** Hexadecimal digits. */
export function hex(key: Uint8Array): string {
  return Buffer.from(key).toString("hex");
}
