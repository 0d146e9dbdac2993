import {
  type CommitOptions,
  Credential,
  type CredentialRef,
  Database,
  DatabaseKey,
  type MlsTransport,
  type Operations,
  type Received,
  type SessionEvents,
} from "conclave-mls";
import { FakeClock } from "./clock.js";
import { freshPath } from "./files.js";
import { Person, suite, text } from "./people.js";
import { type Sent, Server, type Whim } from "./server.js";

/**
 * A kind of commit: how alice comes to make it in "team", and what may happen beside it. Tests go over all of them, so that one
 * more kind is one more entry in {@link kinds}.
 */
export interface Kind {
  readonly name: string;
  /** The epoch that alice's commit is for. */
  readonly epoch: bigint;
  /** Whom it adds, removes and updates. */
  readonly intent: { added: string[]; removed: string[]; updated: string[] };
  /** Who is in the conversation when it is done. */
  readonly members: string[];
  /** Alice is known by another signature key when it is done. */
  readonly changesSignatureKey?: boolean;
  /** Brings everybody to where alice can make it. */
  prepare(story: Story): Promise<unknown>;
  /** Alice makes it, by her session or in a transaction: the same call every time. */
  commit(on: Operations, story: Story, options?: CommitOptions): Promise<unknown>;
  /** The next commit that she makes in the conversation; how many that are new to the server come of it. */
  next(story: Story): Promise<unknown>;
  readonly nextMakes: number;
  /** Somebody else does, in the same epoch, what alice's commit is for. Absent: nobody can do it for her. */
  same?(story: Story): Promise<unknown>;
  /** Nobody else can commit in that epoch, and the call takes no options: it founds the conversation. */
  readonly founding?: boolean;
  /** Alice is no member before it is accepted: what others commit she learns by asking, not by receiving. */
  readonly fromOutside?: boolean;
}

/** All kinds of commits that a client can make. */
export const kinds: readonly Kind[] = [
  {
    name: "createConversation with members",
    epoch: 0n,
    intent: { added: ["bob", "carol"], removed: [], updated: [] },
    members: ["alice", "bob", "carol"],
    prepare: (story) => story.invite(story.bob, story.carol),
    commit: (on, { alice: { credential }, invitations: members }) =>
      on.createConversation("team", { credential, members }),
    next: ({ team }) => team.updateKeys(),
    nextMakes: 1,
    founding: true,
  },
  {
    name: "addMembers",
    epoch: 1n,
    intent: { added: ["carol"], removed: [], updated: [] },
    members: ["alice", "bob", "carol"],
    prepare: async (story) => {
      await story.alice.creates("team", story.bob);
      await story.invite(story.carol);
    },
    commit: (on, { invitations }, options) => on.conversation("team").addMembers(invitations, options),
    next: ({ team }) => team.updateKeys(),
    nextMakes: 1,
    same: ({ bob, invitations }) => bob.session.conversation("team").addMembers(invitations),
  },
  {
    name: "removeMembers",
    epoch: 1n,
    intent: { added: [], removed: ["carol"], updated: [] },
    members: ["alice", "bob"],
    prepare: ({ alice, bob, carol }) => alice.creates("team", bob, carol),
    commit: (on, _, options) => on.conversation("team").removeMembers(["carol"], options),
    next: ({ team }) => team.updateKeys(),
    nextMakes: 1,
    same: ({ bob }) => bob.session.conversation("team").removeMembers(["carol"]),
  },
  {
    name: "updateKeys",
    epoch: 1n,
    intent: { added: [], removed: [], updated: ["alice"] },
    members: ["alice", "bob", "carol"],
    prepare: ({ alice, bob, carol }) => alice.creates("team", bob, carol),
    commit: (on, _, options) => on.conversation("team").updateKeys(options),
    next: ({ team }) => team.updateKeys(),
    nextMakes: 1,
  },
  {
    name: "updateKeys with another credential",
    epoch: 1n,
    intent: { added: [], removed: [], updated: ["alice"] },
    members: ["alice", "bob", "carol"],
    changesSignatureKey: true,
    prepare: async (story) => {
      const { alice, bob, carol } = story;
      await alice.creates("team", bob, carol);
      story.credential = await alice.session.addCredential(Credential.basic("alice", { cipherSuite: suite }));
    },
    commit: (on, { credential }, options) =>
      on.conversation("team").updateKeys({ credential: credential!, ...options }),
    next: ({ team }) => team.updateKeys(),
    nextMakes: 1,
  },
  {
    name: "joinByExternalCommit",
    epoch: 1n,
    intent: { added: ["alice"], removed: [], updated: [] },
    members: ["alice", "bob", "carol"],
    prepare: ({ bob, carol }) => bob.opens("team", carol),
    commit: (on, { alice: { credential } }, options) => on.joinByExternalCommit("team", { credential, ...options }),
    // Once the first one is found to be accepted there is nothing left to join.
    next: ({ alice: { session, credential } }) => session.joinByExternalCommit("team", { credential }),
    nextMakes: 0,
    fromOutside: true,
  },
];

interface Setting {
  /** Alice's keystore is a file, so that she can come back. */
  onDisk?: boolean;
  /** The server only pushes: her transport has no fetchMessages. */
  pushed?: boolean;
  /** All that she receives goes through her deliver. */
  deliver?: boolean;
}

/** Alice, whose commit it is, with bob and carol, who see what comes of it; time passes as fast as they wait. */
export class Story {
  readonly server = new Server();
  readonly clock = new FakeClock();
  readonly kind: Kind;
  /** Key packages that were handed out for alice's commit. */
  readonly invitations: Uint8Array[] = [];
  /** The credential that alice's commit changes to. */
  credential: CredentialRef | undefined;
  /** What alice's deliver got, across her restarts. */
  readonly delivered: Received[] = [];
  /** What alice's deliver throws. */
  fail: Error | undefined;
  /** What alice's listeners were told, across her restarts. */
  readonly settled: SessionEvents["commitSettled"][] = [];
  readonly unsettled: SessionEvents["commitUnsettled"][] = [];
  readonly changes: SessionEvents["conversationChanged"][] = [];
  alice!: Person;
  bob!: Person;
  carol!: Person;
  #before = 0;
  #signatureKey: string | undefined;
  readonly #setting: Setting;
  readonly #key = DatabaseKey.generate();
  #path: string | undefined;

  private constructor(kind: Kind, setting: Setting) {
    this.kind = kind;
    this.#setting = setting;
  }

  /** Everything up to the moment before alice's commit. */
  static async begin(kind: Kind, setting: Setting = {}): Promise<Story> {
    const story = new Story(kind, setting);
    const { server, clock } = story;
    await story.aliceComes();
    story.bob = await Person.comes("bob", server, { clock });
    story.carol = await Person.comes("carol", server, { clock });
    await kind.prepare(story);
    story.#before = server.sends.length;
    story.changes.length = 0;
    if ((await story.epoch()) !== undefined) story.#signatureKey = await story.#signatureKeyNow();
    return story;
  }

  /** Alice opens her session: for the first time, or once more on the same keystore. */
  async aliceComes(): Promise<void> {
    const { server, clock } = this;
    const { onDisk = false, pushed = false, deliver = false } = this.#setting;
    if (onDisk) this.#path ??= await freshPath();
    const database = this.#path === undefined ? await Database.inMemory() : await Database.open(this.#path, this.#key);
    const transport: MlsTransport = server.transport("alice");
    if (pushed) delete transport.fetchMessages;
    const how = deliver ? { deliver: (received: readonly Received[]) => this.#delivers(received) } : {};
    this.alice = await Person.comes("alice", server, { clock, database, transport, attempts: 3, ...how });
    this.alice.session.on("commitSettled", (event) => this.settled.push(event));
    this.alice.session.on("commitUnsettled", (event) => this.unsettled.push(event));
    this.alice.session.on("conversationChanged", (event) => this.changes.push(event));
  }

  #delivers(received: readonly Received[]): void {
    if (this.fail !== undefined) throw this.fail;
    this.delivered.push(...received);
  }

  /** Alice's session ends, and begins again on the same keystore. */
  async restarts(): Promise<void> {
    await this.alice.session.close();
    await this.aliceComes();
  }

  /** Key packages of these people, for alice's commit. */
  async invite(...people: Person[]): Promise<void> {
    for (const person of people) this.invitations.push(await person.keyPackage());
  }

  /** Alice's handle. */
  get team() {
    return this.alice.session.conversation("team");
  }

  /** Alice's commit. */
  async committing(options?: CommitOptions): Promise<unknown> {
    return this.kind.commit(this.alice.session, this, options);
  }

  /** What alice's commit comes to; the time passes that this takes. */
  async commit(options?: CommitOptions): Promise<unknown> {
    return this.clock.until(this.committing(options));
  }

  /** What the server does with alice's next sends. */
  next(...whims: Whim[]): void {
    this.server.nextFrom("alice", ...whims);
  }

  /** Another member's commit, of whichever epoch is the newest. */
  async rival(): Promise<void> {
    await this.bob.reads("team");
    await this.bob.session.conversation("team").updateKeys();
  }

  /** What alice has sent in this story. */
  get sends(): Sent[] {
    return this.server.sends.slice(this.#before).filter(({ from }) => from === "alice");
  }

  /** What alice's sends were: which bytes, for which epoch, at which attempt. Bytes that are the same bear the same letter. */
  get sent(): string[] {
    const known: string[] = [];
    return this.sends.map(({ bundle, context }) => {
      const content = JSON.stringify(bundle, (_, value: unknown) =>
        value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value,
      );
      if (!known.includes(content)) known.push(content);
      return `${String.fromCharCode("A".charCodeAt(0) + known.indexOf(content))} epoch ${context.epoch} attempt ${context.attempt}`;
    });
  }

  /** Whether alice is in the conversation, and in which epoch; undefined where there is none for her. */
  async epoch(): Promise<bigint | undefined> {
    const there = await this.alice.session.conversations();
    return there.includes("team") ? this.team.epoch() : undefined;
  }

  /** Alice is where she was before her commit, and nothing of it is left. */
  async isUndone(): Promise<void> {
    const { founding, fromOutside, epoch } = this.kind;
    expect(await this.epoch()).toBe(founding === true || fromOutside === true ? undefined : epoch);
    expect(await this.alice.session.unsettledCommits()).toEqual([]);
    expect(this.changes).toEqual([]);
  }

  /** Everybody is in the same epoch, nothing is open, and each reads what the others say. */
  async endsWell(): Promise<void> {
    const { server, clock, alice } = this;
    const everybody = [alice, this.bob, this.carol];
    for (const person of everybody) {
      await person.joins();
      const received = await person.session.receive(server.log("team"));
      const bad = received.filter(
        (one) => one.type === "rejected" || (one.type === "waiting" && one.for !== "welcome"),
      );
      expect(bad).toEqual([]);
    }
    const names = this.kind.members;
    const members = everybody.filter(({ name }) => names.includes(name));
    for (const person of members) expect(await person.sees("team")).toEqual(names);
    if (this.#signatureKey !== undefined)
      expect((await this.#signatureKeyNow()) !== this.#signatureKey).toBe(this.kind.changesSignatureKey === true);
    const authenticators = members.map(({ session }) => session.conversation("team").epochAuthenticator());
    expect(new Set((await Promise.all(authenticators)).map(String)).size).toBe(1);

    const before = server.log("team").length;
    for (const person of members) await person.says("team", person.name);
    for (const { name, session } of members) {
      const received = await session.receive(server.log("team").slice(before));
      const heard = received.flatMap((one) => (one.type === "message" ? [text(one.plaintext)] : []));
      expect(heard).toEqual(names.filter((other) => other !== name));
    }
    const delivered = this.delivered.filter(({ type }) => type === "message").map(({ messageId }) => messageId);
    expect(new Set(delivered).size).toBe(delivered.length);
    expect(await alice.session.unsettledCommits()).toEqual([]);
    expect(clock.delays).toEqual([]);
  }

  async #signatureKeyNow(): Promise<string> {
    const members = await this.team.members();
    return String(members.find(({ clientId }) => clientId === "alice")!.signatureKey);
  }
}
