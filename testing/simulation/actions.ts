import { type CommitResult, type Id, MlsError, type MlsErrorCode, type Session } from "../../lib/index.js";
import { cipherSuite, type Person } from "./person.js";
import { type Plan, transact } from "./transaction.js";
import { sharedEpochOf } from "./truth.js";
import type { World } from "./world.js";

/** Something that a person can do. To add one, write it like these and put it into the list at the end. */
export interface Action {
  /** What it is called in the history until it has chosen. */
  readonly name: string;
  /** How often it is chosen, compared with the others. */
  readonly weight: number;
  /** The errors that are part of its life, beside `SESSION_CLOSED` and a server that cannot be reached. */
  readonly mayEndWith: readonly MlsErrorCode[];
  /**
   * Says what it does as soon as it has chosen, and answers how it ended; undefined when there was
   * nothing to do. `others` are all whom this person can invite.
   */
  run(
    person: Person,
    session: Session,
    others: readonly Named[],
    says: (words: string) => void,
  ): Promise<string | undefined>;
}

/** Somebody who can be invited: a person or a guest. */
export interface Named {
  readonly name: Id;
}

/** How any commit can end on a bad day. */
const COMMIT_ENDINGS: readonly MlsErrorCode[] = [
  "ABORTED",
  "COMMIT_LOST",
  "COMMIT_OUTCOME_UNKNOWN",
  "COMMIT_REJECTED",
  "CONVERSATION_BEHIND",
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
  async run(person, session, _others, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`says something in ${id}`);
    const text = person.notes.sealed.get(await person.seals(session, id)) ?? "";
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
      if (!person.delivers) person.notes.takes(received);
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
  async run(person, session, everybody, says) {
    const { random, name, credential } = person;
    const id = `${name}-${random.below(1_000_000)}`;
    const others = random.shuffled(everybody).slice(0, random.below(everybody.length + 1));
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
  async run(person, session, others, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    const conversation = session.conversation(id);
    const present = new Set((await conversation.members()).map((member) => member.clientId));
    const strangers = others.filter(({ name }) => !present.has(name));
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
  async run(person, session, _others, says) {
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
  async run(person, session, _others, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    const other = await person.nextCredential(session);
    says(`updates keys in ${id}${other.credential === undefined ? "" : " with a credential"}`);
    return told(await session.conversation(id).updateKeys({ ...other, ...person.patience() }));
  },
};

/** How an external join can end beside that: the GroupInfo cannot be had; the conversation is closed; another key has the name. */
const JOIN_ENDINGS: readonly MlsErrorCode[] = [
  "GROUP_INFO_UNAVAILABLE",
  "EXTERNAL_JOIN_REFUSED",
  "ALREADY_MEMBER",
  "ROLLBACK_REFUSED",
];

/** How it can end where a guest's commit was accepted: stalled, or with a GroupInfo of the guest's. */
const DOUBTFUL_ENDINGS: readonly MlsErrorCode[] = ["CONVERSATION_STALLED", "GROUP_INFO_INVALID"];

/** Joins from outside: for the first time, again, or anew though a member, as who is behind does to be healed. */
const joins: Action = {
  name: "joins from outside",
  weight: 3,
  mayEndWith: [...COMMIT_ENDINGS, ...JOIN_ENDINGS],
  async run(person, session, _others, says) {
    const { world, random } = person;
    const withOtherKey = random.chance(0.1);
    if (world.truth.conversations.size === 0) return undefined;
    const { id } = random.pick([...world.truth.conversations.values()]);
    says(`joins ${id} from outside${withOtherKey ? " with another key" : ""}`);
    const credential = withOtherKey ? await person.otherCredential(session) : person.credential;
    const conversation = await person.joins(session, id, credential);
    return `joined ${id} from outside, epoch ${await conversation.epoch()}`;
  },
};

const commitsPending: Action = {
  name: "commits what is proposed",
  weight: 1,
  mayEndWith: COMMIT_ENDINGS,
  async run(person, session, _others, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`commits what is proposed in ${id}`);
    return told(await session.conversation(id).commitPendingProposals(person.patience()));
  },
};

/** Looks whether all who are in the same epoch have the same secrets there. */
const compares: Action = {
  name: "compares",
  weight: 2,
  mayEndWith: ["CONVERSATION_INACTIVE", "CONVERSATION_NOT_FOUND"],
  async run(person, session, _others, says) {
    const id = await person.somewhere(session);
    if (id === undefined) return undefined;
    says(`compares secrets in ${id}`);
    const shared = await session.transaction((tx) => sharedEpochOf(tx.conversation(id)));
    person.world.truth.conversations.get(id)?.compare(person.name, shared);
    return `has the secrets of epoch ${shared.epoch} of ${id}`;
  },
};

/** Publishes key packages while others use those of before. */
export const publishes: Action = {
  name: "publishes",
  weight: 0.5,
  mayEndWith: [],
  async run(person, session) {
    const keyPackages = await session.generateKeyPackages(person.credential, { count: 2 });
    await person.asks(() => person.world.service.publishKeyPackages(person.name, keyPackages));
    return "published 2 key packages";
  },
};

const wipes: Action = {
  name: "wipes",
  weight: 0.3,
  mayEndWith: ["CONVERSATION_NOT_FOUND", "CONVERSATION_INACTIVE"],
  async run(person, session, _others, says) {
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
  async run(_person, session, _others, says) {
    const open = await session.unsettledCommits();
    if (open.length === 0) return undefined;
    says(`settles ${open.length}`);
    return `${(await session.settle()).length} stay open`;
  },
};

const transacts: Action = {
  name: "transacts",
  weight: 2,
  mayEndWith: [...COMMIT_ENDINGS, ...JOIN_ENDINGS, "PENDING_PROPOSALS"],
  async run(person, session, _others, says) {
    if (person.transacting) return undefined;
    person.transacting = true;
    const { random, world } = person;
    const commits: Plan["commits"] = random.chance(0.3) ? random.pick(["updates keys", "joins anew"] as const) : "not";
    const plan = { commits, throws: random.chance(world.faults.thrown * 2), byHand: random.chance(0.3) };
    const does = commits === "not" ? "" : ` in which ${person.name} ${commits}`;
    says(`opens a transaction${does}${plan.throws ? ", that will throw" : ""}`);
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
  compares,
  publishes,
  wipes,
  settles,
  transacts,
];

async function keyPackageOf(person: Person, other: Named): Promise<Uint8Array | undefined> {
  return (await person.asks(() => person.world.service.claimKeyPackage(other.name, cipherSuite)))?.bytes;
}

function told({ outcome, epoch, attempts }: CommitResult): string {
  return `${outcome}, epoch ${epoch}, ${attempts} sent`;
}

/** How an action ended that threw; undefined when it must not end so. */
export function expectedEnding(error: unknown, { mayEndWith }: Action, world: World): string | undefined {
  if (MlsError.is(error, "SESSION_CLOSED", ...mayEndWith)) return error.code;
  if (MlsError.is(error, "KEY_PACKAGE_INVALID") && (world.keyPackagesAge || world.truth.guests.size > 0)) {
    world.history.count("key packages refused");
    return error.code;
  }
  const inDoubt = world.truth.isAnythingInDoubt && MlsError.is(error, ...DOUBTFUL_ENDINGS);
  return inDoubt ? error.code : undefined;
}
