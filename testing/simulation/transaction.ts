import type { QueueEntry } from "../../delivery-service/index.js";
import { type Id, MlsError, type Received, type Session, type TransactionContext } from "../../lib/index.js";
import type { Person } from "./person.js";

class Thrown extends Error {}

/** What is to be done in a transaction. */
export interface Plan {
  readonly commits: "not" | "updates keys" | "joins anew";
  readonly throws: boolean;
  /** Whether it is begun and ended by hand. */
  readonly byHand: boolean;
}

/**
 * Receives, says something, perhaps commits, and perhaps throws. A value that it notes in the keystore tells afterwards whether
 * all of it was stored, or nothing.
 */
export async function transact(person: Person, session: Session, { commits, throws, byHand }: Plan): Promise<string> {
  const entries = await person.asks(() => person.world.service.pull(person.name));
  const [before, note] = [person.noted, 1 + person.random.below(1_000_000)];
  const done = new Work();
  person.noted = undefined;
  try {
    await within(session, byHand, async (tx) => {
      await tx.setData("note", encoded(note));
      await done.receive(person, tx, entries);
      await done.say(person, tx, commits);
      if (throws) throw new Thrown();
    });
  } catch (error) {
    // What came before a commit that was sent is stored, and no application knows how much that is; nor does it after the end
    // of the session. What is not stored will come again.
    const unknown = done.sent || MlsError.is(error, "SESSION_CLOSED");
    if (unknown && !person.delivers) person.notes.takes(done.received);
    person.notes.setBack();
    if (error instanceof Thrown) person.world.history.count("throws");
    if (!done.sent) await expectNote(person, session, before);
    if (error instanceof Thrown) return "threw";
    throw error;
  }
  if (!person.delivers) person.notes.takes(done.received);
  if (done.said !== undefined) person.notes.unstored.delete(done.said);
  for (const entry of done.taken) person.acknowledges(entry);
  await expectNote(person, session, note);
  await person.posts();
  return `stored it, with ${entries.length} from the server`;
}

/** A transaction with a callback, or one that is ended by hand. */
async function within(
  session: Session,
  byHand: boolean,
  work: (tx: TransactionContext) => Promise<void>,
): Promise<void> {
  if (!byHand) return session.transaction(work);
  const tx = await session.newTransaction();
  try {
    await work(tx);
  } catch (error) {
    await tx.abort();
    throw error;
  }
  await tx.finish();
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

  async say(person: Person, tx: TransactionContext, commits: Plan["commits"]): Promise<void> {
    const id = person.random.chance(0.8) ? await person.somewhere(tx) : undefined;
    if (id === undefined) return;
    this.said = await person.seals(tx, id);
    person.notes.unstored.add(this.said);
    if (commits === "not") return;
    this.sent = true;
    if (commits === "updates keys") await tx.conversation(id).updateKeys(person.patience());
    else await person.joins(tx, id, person.credential);
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
