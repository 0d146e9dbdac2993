import { type CommitResult, MlsError, type MlsErrorCode, type Session } from "../../lib/index.js";
import { cipherSuite, type Person } from "./person.js";
import { transact } from "./transaction.js";

/** Something that a person can do. To add one, write it like these and put it into the list at the end. */
export interface Action {
  /** What it is called in the history until it has chosen. */
  readonly name: string;
  /** How often it is chosen, compared with the others. */
  readonly weight: number;
  /** The errors that are part of its life, beside `SESSION_CLOSED` and a server that cannot be reached. */
  readonly mayEndWith: readonly MlsErrorCode[];
  /** Says what it does as soon as it has chosen, and answers how it ended; undefined when there was nothing to do. */
  run(
    person: Person,
    session: Session,
    people: readonly Person[],
    says: (words: string) => void,
  ): Promise<string | undefined>;
}

/** How any commit can end on a bad day. */
const COMMIT_ENDINGS: readonly MlsErrorCode[] = [
  "ABORTED",
  "COMMIT_OUTCOME_UNKNOWN",
  "COMMIT_REJECTED",
  "CONVERSATION_INACTIVE",
  "CONVERSATION_NOT_FOUND",
  "DELIVER_FAILED",
  "RETRY_EXHAUSTED",
];

/** The share of conversations that let join from outside. */
const OPEN = 0.8;

const says: Action = {
  name: "says",
  weight: 7,
  mayEndWith: ["COMMIT_OUTCOME_UNKNOWN", "CONVERSATION_INACTIVE", "CONVERSATION_NOT_FOUND", "PENDING_PROPOSALS"],
  async run(person, session, _people, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`says something in ${id}`);
    const text = person.sealed.get(await person.seals(session, id)) ?? "";
    await person.posts();
    return `said “${text}” in ${id}`;
  },
};

const reads: Action = {
  name: "reads",
  weight: 10,
  mayEndWith: ["DELIVER_FAILED"],
  async run(person, session) {
    const entries = await person.asks(() => person.world.service.pull(person.name));
    for (const entry of entries) {
      const { done, received } = await person.receives(session, entry);
      if (!person.delivers) person.takes(received);
      if (done) person.acknowledges(entry);
    }
    await person.posts();
    return entries.length === 0 ? undefined : `read ${entries.length} from the server`;
  },
};

/** Founds a conversation. */
export const creates: Action = {
  name: "creates",
  weight: 1,
  mayEndWith: COMMIT_ENDINGS,
  async run(person, session, people, says) {
    const { random, name, credential } = person;
    const id = `${name}-${random.below(1_000_000)}`;
    const others = random.shuffled(people.filter((other) => other !== person)).slice(0, random.below(people.length));
    says(`creates ${id} with ${others.map((other) => other.name).join(", ") || "nobody"}`);
    const members = [];
    for (const other of others) {
      const keyPackage = await keyPackageOf(person, other);
      if (keyPackage !== undefined) members.push({ keyPackage, clientId: other.name });
    }
    const externalJoin = random.chance(OPEN);
    await session.createConversation(id, { credential, externalJoin, ...(members.length > 0 && { members }) });
    return `created ${id}`;
  },
};

const adds: Action = {
  name: "adds",
  weight: 4,
  mayEndWith: [...COMMIT_ENDINGS, "ALREADY_MEMBER"],
  async run(person, session, people, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    const conversation = session.conversation(id);
    const present = new Set((await conversation.members()).map((member) => member.clientId));
    const strangers = people.filter(({ name }) => !present.has(name));
    if (strangers.length === 0) return undefined;
    const other = person.random.pick(strangers);
    says(`adds ${other.name} to ${id}`);
    const keyPackage = await keyPackageOf(person, other);
    if (keyPackage === undefined) return `found no key package of ${other.name}`;
    return told(await conversation.addMembers([{ keyPackage, clientId: other.name }], person.patience()));
  },
};

const removes: Action = {
  name: "removes",
  weight: 1,
  mayEndWith: [...COMMIT_ENDINGS, "NOT_A_MEMBER"],
  async run(person, session, _people, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    const conversation = session.conversation(id);
    const others = (await conversation.members()).filter(({ clientId }) => clientId !== person.name);
    if (others.length === 0) return undefined;
    const { clientId } = person.random.pick(others);
    says(`removes ${clientId} from ${id}`);
    return told(await conversation.removeMembers([clientId], person.patience()));
  },
};

const updates: Action = {
  name: "updates",
  weight: 3,
  mayEndWith: COMMIT_ENDINGS,
  async run(person, session, _people, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`updates keys in ${id}`);
    return told(await session.conversation(id).updateKeys(person.patience()));
  },
};

/** Joins from outside: for the first time, again, or anew, though a member, as who is behind does to be healed. */
const joins: Action = {
  name: "joins from outside",
  weight: 3,
  // Fetching the GroupInfo fails with a code of its own; a commit that was never sent cannot find its conversation inactive.
  mayEndWith: [
    ...COMMIT_ENDINGS.filter((code) => code !== "CONVERSATION_INACTIVE"),
    "GROUP_INFO_UNAVAILABLE",
    "EXTERNAL_JOIN_REFUSED",
  ],
  async run(person, session, _people, says) {
    const { world, credential, random } = person;
    if (world.truth.conversations.size === 0) return undefined;
    const { id, open } = random.pick([...world.truth.conversations.values()]);
    says(`joins ${id} from outside`);
    try {
      const conversation = await session.joinByExternalCommit(id, { credential, ...person.patience() });
      return `joined ${id} from outside, epoch ${await conversation.epoch()}`;
    } catch (error) {
      if (open && MlsError.is(error, "EXTERNAL_JOIN_REFUSED"))
        world.history.problem(person.name, `was refused by ${id}, which is open`);
      throw error;
    }
  },
};

const commitsPending: Action = {
  name: "commits what is proposed",
  weight: 1,
  mayEndWith: COMMIT_ENDINGS,
  async run(person, session, _people, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`commits what is proposed in ${id}`);
    return told(await session.conversation(id).commitPendingProposals(person.patience()));
  },
};

const wipes: Action = {
  name: "wipes",
  weight: 0.3,
  mayEndWith: ["CONVERSATION_NOT_FOUND", "CONVERSATION_INACTIVE"],
  async run(person, session, _people, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`wipes ${id}`);
    await person.wipes(session, id);
    return `wiped ${id}`;
  },
};

const settles: Action = {
  name: "settles",
  weight: 1,
  mayEndWith: ["ABORTED", "DELIVER_FAILED"],
  async run(_person, session, _people, says) {
    const open = await session.unsettledCommits();
    if (open.length === 0) return undefined;
    says(`settles ${open.length}`);
    return `${(await session.settle()).length} stay open`;
  },
};

const transacts: Action = {
  name: "transacts",
  weight: 2,
  mayEndWith: [...COMMIT_ENDINGS, "PENDING_PROPOSALS"],
  async run(person, session, _people, says) {
    if (person.transacting) return undefined;
    person.transacting = true;
    const { random, world } = person;
    const plan = { commits: random.chance(0.3), throws: random.chance(world.faults.thrown * 2) };
    says(`opens a transaction${plan.commits ? " with a commit" : ""}${plan.throws ? " that will throw" : ""}`);
    try {
      return await transact(person, session, plan);
    } finally {
      person.transacting = false;
    }
  },
};

/** All actions. */
export const actions: readonly Action[] = [
  says,
  reads,
  creates,
  adds,
  removes,
  updates,
  joins,
  commitsPending,
  wipes,
  settles,
  transacts,
];

async function keyPackageOf(person: Person, other: Person): Promise<Uint8Array | undefined> {
  return (await person.asks(() => person.world.service.claimKeyPackage(other.name, cipherSuite)))?.bytes;
}

function told({ outcome, epoch, attempts }: CommitResult): string {
  return `${outcome}, epoch ${epoch}, ${attempts} sent`;
}

/** How an action ended that threw; undefined when it must not end so. */
export function expectedEnding(error: unknown, { mayEndWith }: Action): string | undefined {
  return MlsError.is(error, "SESSION_CLOSED", ...mayEndWith) ? error.code : undefined;
}
