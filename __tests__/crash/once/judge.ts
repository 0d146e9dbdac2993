import type { Id } from "conclave-mls";
import { type Ending, messagesOf } from "./alice.js";
import type { Habit } from "./habits.js";
import { type Line, MessageStore } from "./message-store.js";
import type { World } from "./world.js";

/** What is wrong in the end, and how many messages came again after they had been stored. */
export interface Judgement {
  readonly wrong: string[];
  readonly repeated: number;
}

/**
 * Everything that was said to her is in her own database once, in the order in which it was said; the keystore has counted the
 * same; everybody is in the same epoch with the same secrets; and the witness has read all that she has said.
 */
export async function judge(world: World, habit: Habit, endings: readonly Ending[]): Promise<Judgement> {
  const { bob, witness, plot } = world;
  const wrong: string[] = [];
  await bob.reads();
  await witness.readsTheRest();
  using store = new MessageStore(messagesOf(world), habit);

  for (const id of new Set(bob.said.map(({ conversationId }) => conversationId))) {
    const said = bob.said.filter(({ conversationId }) => conversationId === id);
    wrong.push(...differences(id, said, store.lines(id)));
    const ending = endings.find(({ conversationId }) => conversationId === id);
    if (ending === undefined) {
      wrong.push(`she is not in ${id}`);
      continue;
    }
    if (ending.counted !== said.length)
      wrong.push(`her keystore has counted ${ending.counted} in ${id}, and not ${said.length}`);
    for (const { session } of [bob, witness]) {
      const conversation = session.conversation(id);
      const agrees =
        (await conversation.epoch()) === ending.epoch &&
        Buffer.from(await conversation.epochAuthenticator()).equals(ending.authenticator);
      if (!agrees) wrong.push(`she and ${session.clientId} do not agree in ${id}`);
    }
  }
  for (const messageId of plot.arrived)
    if (!witness.read.has(messageId)) wrong.push("the witness could not read what she has said");
  return { wrong: [...wrong, ...witness.wrong], repeated: store.repeated };
}

/** What was said and what is there, compared line by line. */
function differences(id: Id, said: readonly Line[], stored: readonly Line[]): string[] {
  const wrong: string[] = [];
  for (const { messageId, text } of said) {
    const same = stored.filter((line) => line.messageId === messageId);
    if (same.length === 0) wrong.push(`"${text}" is missing in ${id}`);
    if (same.length > 1) wrong.push(`"${text}" is there ${same.length} times in ${id}`);
    if (same.some((line) => line.text !== text)) wrong.push(`"${text}" is another text in ${id}`);
  }
  const [spoken, heard] = [said, stored].map((lines) => lines.map(({ messageId }) => messageId).join());
  if (wrong.length === 0 && spoken !== heard) wrong.push(`the order in ${id} is another one`);
  return wrong;
}
