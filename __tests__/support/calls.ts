import { Credential, type CredentialRef, type MlsConversation, type Operations, type Session } from "conclave-mls";
import { bytes } from "./people.js";

/** Every call of a session, made at once. */
export function callsOfSession(session: Session, credential: CredentialRef, team: MlsConversation): Promise<unknown>[] {
  return [
    session.transaction(() => {}),
    session.newTransaction(),
    session.unsettledCommits(),
    session.settle(),
    ...callsOfOperations(session, credential),
    ...callsOfConversation(session.conversation("team"), credential),
    ...callsOfConversation(team, credential),
  ];
}

/** Every call that a session and a transaction have in common. */
export function callsOfOperations(operations: Operations, credential: CredentialRef): Promise<unknown>[] {
  return [
    operations.addCredential(Credential.basic("alice", { cipherSuite: credential.cipherSuite })),
    operations.credentials(),
    operations.removeCredential(credential),
    operations.generateKeyPackages(credential, { count: 1 }),
    operations.keyPackages(),
    operations.removeKeyPackages([]),
    operations.createConversation("x", { credential }),
    operations.createConversation("x", { credential, members: [bytes("x")] }),
    operations.joinByWelcome(bytes("x")),
    operations.joinByExternalCommit("x", { credential }),
    operations.conversations(),
    operations.receive(bytes("x")),
    operations.setData("x", null),
    operations.data("x"),
  ];
}

/** Every call of a conversation. */
export function callsOfConversation(team: MlsConversation, credential: CredentialRef): Promise<unknown>[] {
  return [
    team.epoch(),
    team.members(),
    team.active(),
    team.groupInfo(),
    team.addMembers([bytes("x")]),
    team.removeMembers(["bob"]),
    team.updateKeys(),
    team.updateKeys({ credential }),
    team.commitPendingProposals(),
    team.encrypt(bytes("x")),
    team.decrypt(bytes("x")),
    team.exportSecret("x", bytes("x"), 1),
    team.epochAuthenticator(),
    team.wipe(),
  ];
}
