import type { Id } from "conclave-mls";
import type { Person } from "./person.js";

/** Three people who take part in a conversation with the bot. */
export interface Roles {
  readonly owner: Person;
  readonly guest: Person;
  readonly newcomer: Person;
}

/** Whether the owner removes the bot in the end. */
export const endsWithoutBot = (place: number): boolean => place % 10 === 9;

/** What is said after the bot was removed, and must stay without an answer. */
export const LAST_WORDS = "ping after the end";

/** The life of one conversation. Whoever asks the bot waits for the answer. */
export async function converse(id: Id, bot: Id, place: number, { owner, guest, newcomer }: Roles): Promise<void> {
  await owner.client.create(id, [bot, guest.name]);
  await Promise.all([1, 2, 3].map((n) => owner.asks(id, `ping ${n}`)));
  await guest.asks(id, "ping from the guest");
  // Commits of two people for the same epoch, and the bot's on top: only one is accepted, and the others are made again.
  await Promise.all([owner.updatesKeys(id), guest.updatesKeys(id), owner.asks(id, `add ${newcomer.name}`)]);
  await newcomer.asks(id, "ping from the newcomer");
  await Promise.all([owner.updatesKeys(id), newcomer.updatesKeys(id), owner.asks(id, `remove ${guest.name}`)]);
  await Promise.all([owner.asks(id, "ping 5"), newcomer.asks(id, "ping 6")]);
  if (!endsWithoutBot(place)) return;
  await owner.removes(id, bot);
  await owner.says(id, LAST_WORDS);
}
