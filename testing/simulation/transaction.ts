import type { QueueEntry } from "../../delivery-service/index.js";
import type { Id, Received, Session, TransactionContext } from "../../lib/index.js";
import type { Person } from "./person.js";

class Thrown extends Error {}

/**
 * Receives, says something, perhaps commits, and perhaps throws. A value that it notes in the keystore tells afterwards whether
 * all of it was stored, or nothing.
 */
export async function transact(
  person: Person,
  session: Session,
  { commits, throws }: { commits: boolean; throws: boolean },
): Promise<string> {
  const entries = await person.asks(() => person.world.service.pull(person.name));
  const [before, note] = [person.noted, 1 + person.random.below(1_000_000)];
  const done = new Work();
  person.noted = undefined;
  try {
    await session.transaction(async (tx) => {
      await tx.setData("note", encoded(note));
      await done.receive(person, tx, entries);
      await done.say(person, tx, commits);
      if (throws) throw new Thrown();
    });
  } catch (error) {
    person.setBack();
    // What came before a commit that was sent is stored, and no application knows how much that is.
    if (done.sent) person.forgetful ||= !person.delivers;
    else await expectNote(person, session, before);
    if (error instanceof Thrown) return "threw";
    throw error;
  }
  if (!person.delivers) person.takes(done.received);
  if (done.said !== undefined) person.unstored.delete(done.said);
  for (const entry of done.taken) person.acknowledges(entry);
  await expectNote(person, session, note);
  await person.posts();
  return `stored it, with ${entries.length} from the server`;
}

/** What was done inside, as far as it got. */
class Work {
  readonly received: Received[] = [];
  readonly taken: QueueEntry[] = [];
  said: Id | undefined;
  sent = false;

  async receive(person: Person, tx: TransactionContext, entries: readonly QueueEntry[]): Promise<void> {
    for (const entry of entries) {
      const { done, received } = await person.receives(tx, entry);
      this.received.push(...received);
      if (done) this.taken.push(entry);
    }
  }

  async say(person: Person, tx: TransactionContext, commits: boolean): Promise<void> {
    const id = person.random.chance(0.8) ? await person.somewhere(tx) : undefined;
    if (id === undefined) return;
    this.said = await person.seals(tx, id);
    person.unstored.add(this.said);
    if (!commits) return;
    this.sent = true;
    await tx.conversation(id).updateKeys(person.patience());
  }
}

async function expectNote(person: Person, session: Session, note: number | undefined): Promise<void> {
  const stored = decoded(await session.data("note"));
  if (note !== undefined && stored !== note) {
    person.world.history.problem(person.name, "a transaction was stored in part, or not taken back as a whole");
  }
  person.noted = stored;
}

function encoded(note: number): Uint8Array {
  return new TextEncoder().encode(String(note));
}

function decoded(note: Uint8Array | undefined): number {
  return note === undefined ? 0 : Number(new TextDecoder().decode(note));
}
