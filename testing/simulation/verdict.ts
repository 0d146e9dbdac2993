import { MlsError, type Session } from "../../lib/index.js";
import { isBehind, reachable } from "./ending.js";
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

/** All members are in the same epoch of the same group, and see each other; or they say that they are behind. */
async function judgeAgreement(
  world: World,
  conversation: AcceptedConversation,
  people: readonly Person[],
): Promise<void> {
  const { history } = world;
  const members = reachable(conversation, people);
  const inDoubt = conversation.ofGuests.size > 0;
  for (const person of people) {
    const seen = await stateOf(person, conversation.id);
    const { epoch, shared, words, stalled } = seen;
    if (shared !== undefined) conversation.compare(person.name, shared);
    const newest = person.newestEpoch(conversation.id);
    if (epoch !== undefined && newest !== undefined && epoch < newest)
      history.problem(person.name, `is in epoch ${epoch} of ${conversation.id}, after it was in ${newest}`);
    if (stalled && !inDoubt)
      history.problem(person.name, `is stalled in ${conversation.id}, where no guest has committed`);
    if (epoch !== undefined && (await isBehind(conversation, person))) {
      history.count("people behind in the end");
      continue;
    }
    if (members.includes(person)) {
      // A guest says of its commits whom they remove and add, and the server believes it.
      const expected = inDoubt
        ? `epoch ${conversation.epoch}`
        : `epoch ${conversation.epoch}, members ${conversation.members.join(", ")}`;
      if (words !== expected && !(inDoubt && words.startsWith(`${expected},`)))
        history.problem(person.name, `is in ${conversation.id} at ${words}; the server is at ${expected}`);
    } else if (epoch !== undefined && conversation.since(person.name) === undefined) {
      history.problem(person.name, `does not know that it is not in ${conversation.id}`);
    }
  }
}

interface Seen {
  readonly words: string;
  /** The epoch that it is a member in. */
  readonly epoch?: bigint;
  readonly shared?: SharedEpoch;
  readonly stalled?: boolean;
}

async function stateOf({ session }: Person, id: string): Promise<Seen> {
  try {
    const conversation = (session as Session).conversation(id);
    if (!(await conversation.active())) return { words: "its removal" };
    const members = (await conversation.members()).map(({ clientId }) => clientId).sort();
    const shared = await sharedEpochOf(conversation);
    const stalled = (await conversation.state()).stalled !== undefined;
    return { words: `epoch ${shared.epoch}, members ${members.join(", ")}`, epoch: shared.epoch, shared, stalled };
  } catch (error) {
    return { words: MlsError.is(error) ? error.code : String(error) };
  }
}

/** Whoever was in a message's epoch, and has stayed since, has read it once, as it was said; nobody has read anything else. */
function judgeMessages(world: World, conversation: AcceptedConversation, people: readonly Person[]): void {
  const members = reachable(conversation, people);
  for (const { messageId, by, epoch } of conversation.messages) {
    const ofGuest = world.truth.guests.has(by);
    const text = people.find(({ name }) => name === by)?.notes.sealed.get(messageId);
    for (const person of people) {
      const reading = person.notes.read.get(messageId);
      if (reading !== undefined) {
        const asSaid = (ofGuest || reading.text === text) && reading.by === by && reading.epoch === epoch;
        if (asSaid) continue;
        const said = text ?? (ofGuest ? "something" : "nothing");
        world.history.problem(person.name, `read ${reading.text} of ${reading.by} where ${by} said ${said}`);
      } else if (members.includes(person) && person.name !== by && (conversation.since(person.name) ?? 0n) <= epoch) {
        if (mayHaveMissed(person, messageId, epoch, conversation)) world.history.count("messages out of reach");
        else if (!ofGuest)
          world.history.problem(
            person.name,
            `never read ${text ?? "a message"} of epoch ${epoch} in ${conversation.id}`,
          );
      }
    }
  }
}

/** What was stored and not handed over when its session ended; or one that its reader's own commits have left behind. */
function mayHaveMissed(person: Person, messageId: string, epoch: bigint, conversation: AcceptedConversation): boolean {
  if (person.notes.mayBeLost.has(messageId)) return true;
  // Who was behind has joined anew or waits: what was said meanwhile may be out of its reach.
  if (conversation.hasStalled) return true;
  return person.notes.lost.get(messageId) === "epoch-too-old" && epoch + PAST_EPOCHS < conversation.epoch;
}

/** Nothing is open any more, but what those who are behind have open. */
async function judgeRemains(world: World, person: Person): Promise<void> {
  const { session, name } = person;
  const open = (await session?.unsettledCommits()) ?? [];
  for (const { conversationId, epoch } of open) {
    const conversation = world.truth.conversations.get(conversationId);
    if (conversation !== undefined && (await isBehind(conversation, person))) continue;
    world.history.problem(name, `has a commit of epoch ${epoch} of ${conversationId} open`);
  }
}
