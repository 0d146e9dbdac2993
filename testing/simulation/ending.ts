import { DeliveryError } from "../../delivery-service/errors.js";
import { MlsError, type Session } from "../../lib/index.js";
import type { Person } from "./person.js";
import type { AcceptedConversation } from "./truth.js";
import type { World } from "./world.js";

/** How often everybody may look again before somebody counts as stuck. */
const ROUNDS = 12;

/**
 * Nothing goes wrong any more: everybody comes back, reads, settles what is open, changes keys once more and says good-bye. All
 * of it has to work, or somebody is wedged.
 */
export async function end(world: World, people: readonly Person[]): Promise<void> {
  world.calm();
  for (const person of people) person.crashesAfter(undefined);
  world.history.tell("everyone", "settles: nothing goes wrong from here on");
  if (!(await world.settles())) {
    world.history.problem("everyone", "an action never ended");
    return;
  }
  for (const person of people) if (person.session === undefined) await world.clock.during(person.comes());
  await catchUp(world, people);
  await heal(world, people);
  for (const conversation of world.truth.conversations.values()) {
    const [first, ...others] = await notBehind(conversation, reachable(conversation, people));
    if (first === undefined) continue;
    await succeeds(first, `could not commit in ${conversation.id}`, async (session) => {
      await session.conversation(conversation.id).updateKeys();
    });
    await catchUp(world, others);
    for (const person of await notBehind(conversation, reachable(conversation, people))) {
      await succeeds(person, `could not say good-bye in ${conversation.id}`, async (session) => {
        await person.seals(session, conversation.id);
        await person.posts();
      });
    }
  }
  await catchUp(world, people);
}

/** Whoever is behind joins anew, where that is allowed: what an application does, too. */
async function heal(world: World, people: readonly Person[]): Promise<void> {
  for (const conversation of world.truth.conversations.values()) {
    if (!conversation.open) continue;
    const present = reachable(conversation, people);
    const well = new Set(await notBehind(conversation, present));
    for (const person of present.filter((one) => !well.has(one))) {
      const { session, credential } = person;
      if (session === undefined) continue;
      try {
        await world.clock.until(session.joinByExternalCommit(conversation.id, { credential }));
        world.history.count("members healed");
        world.history.tell(person.name, `is healed in ${conversation.id}`);
      } catch (error) {
        const why = MlsError.is(error) ? error.code : String(error);
        world.history.tell(person.name, `could not be healed in ${conversation.id}: ${why}`);
      }
    }
  }
  await catchUp(world, people);
}

async function notBehind(conversation: AcceptedConversation, people: readonly Person[]): Promise<Person[]> {
  const found = [];
  for (const person of people) if (!(await isBehind(conversation, person))) found.push(person);
  return found;
}

/**
 * Whether somebody cannot go on by itself, and says so: a commit of a guest was not applied, or
 * messages wait for what has followed from it. A guest's commit from outside stalls nobody, since
 * every stranger can make one; that it was rejected is told all the same. Only where a guest's commit was accepted: elsewhere
 * nobody may be behind.
 */
export async function isBehind(conversation: AcceptedConversation, { session, notes }: Person): Promise<boolean> {
  if (conversation.ofGuests.size === 0 || session === undefined) return false;
  try {
    const { epoch, stalled, waiting } = await session.conversation(conversation.id).state();
    return stalled !== undefined || waiting > 0 || notes.refused.get(conversation.id) === epoch;
  } catch (error) {
    if (MlsError.is(error, "CONVERSATION_NOT_FOUND")) return false;
    throw error;
  }
}

/** Those who are in it, could join it, and have not wiped it since, nor the commit by which they came. */
export function reachable(conversation: AcceptedConversation, people: readonly Person[]): Person[] {
  return people.filter((person) => {
    const stay = conversation.stay(person.name);
    if (stay === undefined) return false;
    const left = person.left.get(conversation.id);
    const givenUp = stay.joinedBy !== undefined && person.givenUp.has(stay.joinedBy);
    const missed = person.missed.get(conversation.id) === stay.since;
    return !missed && !givenUp && (left === undefined || stay.since > left);
  });
}

/** Everybody sends, settles and reads until nothing is left to do. */
async function catchUp(world: World, people: readonly Person[]): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    let left = 0;
    for (const person of people) {
      await succeeds(person, "could not catch up", async (session) => {
        left += await settles(world, person, session);
        await person.posts();
        left += await readsAll(person, session);
      });
    }
    if (left === 0) return;
  }
  world.history.problem("everyone", `had something left to do after ${ROUNDS} rounds`);
}

/** Answers how many commits are open that should not be: those of whom is behind have to be. */
async function settles(world: World, person: Person, session: Session): Promise<number> {
  let left = 0;
  for (const { conversationId } of await session.settle()) {
    const conversation = world.truth.conversations.get(conversationId);
    if (conversation === undefined || !(await isBehind(conversation, person))) left += 1;
  }
  return left;
}

/** Reads the queue to its end, or to what cannot be taken yet. Answers how much was there. */
async function readsAll(person: Person, session: Session): Promise<number> {
  const { service } = person.world;
  for (let count = 0; ;) {
    const entries = await service.pull(person.name);
    let taken = 0;
    for (const entry of entries) {
      const { done, received } = await person.receives(session, entry);
      if (!person.delivers) person.notes.takes(received);
      if (!done) continue;
      await service.acknowledge(person.name, entry.cursor);
      taken += 1;
    }
    count += entries.length;
    if (taken === 0) return count;
  }
}

/** What must work now, with the time passing as it needs. */
async function succeeds(person: Person, failure: string, work: (session: Session) => Promise<void>): Promise<void> {
  const { world, session } = person;
  if (session === undefined) return;
  try {
    await world.clock.until(work(session));
  } catch (error) {
    const why = MlsError.is(error) || DeliveryError.is(error) ? `${error.code}: ${error.message}` : String(error);
    world.history.problem(person.name, `${failure}: ${why}`);
  }
}
