import { MlsError, type Session } from "../../lib/index.js";
import { reachable } from "./ending.js";
import type { Person } from "./person.js";
import { type AcceptedConversation, type SharedEpoch, sharedEpochOf } from "./truth.js";
import type { World } from "./world.js";

/** How many epochs that are over can still be read. */
const PAST_EPOCHS = 5n;

/** Compares what everybody has with what the server accepted, and with what the others have. */
export async function judge(world: World, people: readonly Person[]): Promise<void> {
  for (const conversation of world.truth.conversations.values()) {
    await judgeAgreement(world, conversation, people);
    judgeMessages(world, conversation, people);
  }
  for (const person of people) await judgeRemains(world, person);
}

/** All members are in the same epoch of the same group, and see each other. */
async function judgeAgreement(
  world: World,
  conversation: AcceptedConversation,
  people: readonly Person[],
): Promise<void> {
  const members = reachable(conversation, people);
  for (const person of members) {
    const seen = await stateOf(person, conversation.id);
    const expected = `epoch ${conversation.epoch}, members ${conversation.members.join(", ")}`;
    if (seen.words !== expected) {
      world.history.problem(person.name, `is in ${conversation.id} at ${seen.words}; the server is at ${expected}`);
    }
    if (seen.shared !== undefined) conversation.compare(person.name, seen.shared);
  }
  for (const person of people.filter((one) => conversation.since(one.name) === undefined)) {
    const { words } = await stateOf(person, conversation.id);
    if (words.startsWith("epoch"))
      world.history.problem(person.name, `does not know that it is not in ${conversation.id}`);
  }
}

async function stateOf({ session }: Person, id: string): Promise<{ words: string; shared?: SharedEpoch }> {
  try {
    const conversation = (session as Session).conversation(id);
    if (!(await conversation.active())) return { words: "its removal" };
    const members = (await conversation.members()).map(({ clientId }) => clientId).sort();
    const shared = await sharedEpochOf(conversation);
    return { words: `epoch ${shared.epoch}, members ${members.join(", ")}`, shared };
  } catch (error) {
    return { words: MlsError.is(error) ? error.code : String(error) };
  }
}

/** Whoever was in a message's epoch, and has stayed since, has read it once, as it was said. */
function judgeMessages(world: World, conversation: AcceptedConversation, people: readonly Person[]): void {
  for (const { messageId, by, epoch } of conversation.messages) {
    const text = people.find(({ name }) => name === by)?.notes.sealed.get(messageId);
    for (const person of reachable(conversation, people)) {
      if (person.name === by || (conversation.since(person.name) ?? 0n) > epoch) continue;
      const reading = person.notes.read.get(messageId);
      if (reading === undefined) {
        if (mayHaveMissed(person, messageId, epoch, conversation)) world.history.count("messages out of reach");
        else
          world.history.problem(
            person.name,
            `never read ${text ?? "a message"} of epoch ${epoch} in ${conversation.id}`,
          );
      } else if (reading.text !== text || reading.by !== by || reading.epoch !== epoch) {
        world.history.problem(
          person.name,
          `read ${reading.text} of ${reading.by} where ${by} said ${text ?? "nothing"}`,
        );
      }
    }
  }
}

/** What was stored and not handed over when its session ended; or one that its reader's own commits have left behind. */
function mayHaveMissed(person: Person, messageId: string, epoch: bigint, conversation: AcceptedConversation): boolean {
  if (person.notes.mayBeLost.has(messageId)) return true;
  return person.notes.lost.get(messageId) === "epoch-too-old" && epoch + PAST_EPOCHS < conversation.epoch;
}

/** Nothing is open any more. */
async function judgeRemains(world: World, { session, name }: Person): Promise<void> {
  const open = (await session?.unsettledCommits()) ?? [];
  for (const { conversationId, epoch } of open) {
    world.history.problem(name, `has a commit of epoch ${epoch} of ${conversationId} open`);
  }
}
