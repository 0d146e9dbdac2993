import { Credential, Database, Session } from "conclave-mls";
import { transportOf } from "conclave-mls/delivery-service";
import { suite } from "./client.js";
import { told } from "./reports.js";
import type { World } from "./run.js";

/** Everybody settles, commits once more in every conversation, and is in the same epoch with the same secrets. */
export async function everybodyAgrees(world: World): Promise<void> {
  const { victims, witness, states, wrong } = world;
  // Twice: the first to end cannot know what the others will yet send.
  for (const task of ["finish", "finish", "attend"] as const) {
    for (const victim of victims) {
      const problem = await victim.does(task);
      if (problem !== undefined) wrong.push(problem);
    }
  }
  await witness.readsTheRest();
  if (states.size === 0) wrong.push("nobody is in any conversation");
  for (const [id, state] of states) {
    const conversation = witness.session.conversation(id);
    const own = `${await conversation.epoch()} ${told(await conversation.epochAuthenticator())}`;
    for (const [name, theirs] of state) {
      if (theirs !== own) wrong.push(`${name} and the witness do not agree in ${id}: wedged or parted`);
    }
    const members = (await conversation.members()).map(({ clientId }) => clientId);
    for (const { name } of victims)
      if (members.includes(name) && !state.has(name)) wrong.push(`${name} is a member of ${id} and does not know it`);
  }
}

/**
 * Adds every client with every key package that it ever handed out and that is not used yet, one conversation for each; the
 * client joins and reads. Answers how many there were.
 */
export async function everyKeyPackageWorks(world: World): Promise<number> {
  const { victims, keyPackages, postOffice, delivered, wrong } = world;
  const { service } = postOffice;
  const clientId = "stranger";
  await using session = await Session.open(await Database.inMemory(), {
    clientId,
    transport: transportOf(service, clientId),
  });
  const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite: suite }));
  const expected = new Map<string, string[]>();
  for (const [name, all] of keyPackages) {
    expected.set(name, []);
    for (const { bytes, ref } of all) {
      if (postOffice.usedKeyPackages.has(ref)) continue;
      const id = `with ${name} by ${ref}`;
      const conversation = await session.createConversation(id, { credential, members: [bytes] });
      const text = `welcome ${ref}`;
      await service.sendMessage(clientId, await conversation.encrypt(Buffer.from(text)));
      expected.get(name)!.push(text);
    }
  }
  for (const victim of victims) {
    const problem = await victim.does("attend");
    if (problem !== undefined) wrong.push(problem);
    const read = new Set(delivered.get(victim.name)!.values());
    for (const text of expected.get(victim.name)!)
      if (!read.has(text)) wrong.push(`${victim.name} has lost the private key of a key package: no "${text}"`);
  }
  return [...expected.values()].reduce((sum, texts) => sum + texts.length, 0);
}
