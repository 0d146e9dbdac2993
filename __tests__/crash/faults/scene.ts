import { copyFileSync, existsSync } from "node:fs";
import {
  Credential,
  type CredentialRef,
  Database,
  DatabaseKey,
  MlsError,
  type MlsConversation,
  type MlsTransport,
  Session,
} from "conclave-mls";
import { Server } from "../../support/server.js";
import { suite } from "../kills/client.js";

/** Everything that one play happens in: alice, whose files may fail, bob, who has none, and a server between them. */
export class Scene implements AsyncDisposable {
  readonly server = new Server();
  /** What must not happen, and has. */
  readonly wrong: string[] = [];
  /** Whether a copy of her files is to be looked into before each send. */
  looksBeforeSends = false;
  readonly #path: string;
  readonly #key = DatabaseKey.generate();
  readonly #said = new Set<string>();
  readonly #heard = new Set<string>();
  readonly #bobHasRead = new Map<string, number>();
  readonly #aliceHasRead = new Map<string, number>();
  readonly bob: Session;
  readonly #bobsCredential: CredentialRef;
  #alice: Session | undefined;
  #copies = 0;

  private constructor(path: string, bob: Session, server: Server, credential: CredentialRef) {
    this.#path = path;
    this.bob = bob;
    this.server = server;
    this.#bobsCredential = credential;
  }

  static async set(path: string): Promise<Scene> {
    const server = new Server();
    const bob = await Session.open(await Database.inMemory(), { clientId: "bob", transport: server.transport("bob") });
    const credential = await bob.addCredential(Credential.basic("bob", { cipherSuite: suite }));
    return new Scene(path, bob, server, credential);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#alice?.close().catch(() => {});
    await this.bob.close();
  }

  get alice(): Session {
    return this.#alice!;
  }

  get isOpen(): boolean {
    return this.#alice !== undefined;
  }

  async open(): Promise<void> {
    if (this.#alice !== undefined) return;
    const database = await Database.open(this.#path, this.#key);
    try {
      this.#alice = await Session.open(database, { clientId: "alice", transport: this.#transport() });
    } catch (error) {
      await database.close().catch(() => {});
      throw error;
    }
  }

  async close(): Promise<void> {
    const session = this.#alice;
    this.#alice = undefined;
    await session?.close();
  }

  async alicesCredential(): Promise<CredentialRef> {
    return (await this.alice.credentials())[0]!;
  }

  async bobsKeyPackage(): Promise<Uint8Array> {
    const [made] = await this.bob.generateKeyPackages(this.#bobsCredential, { count: 1 });
    return made!.bytes;
  }

  /** Bob founds a conversation with her. */
  async bobInvites(id: string, keyPackage: Uint8Array): Promise<Uint8Array> {
    await this.bob.createConversation(id, { credential: this.#bobsCredential, members: [keyPackage] });
    return this.server.takeWelcomes("alice")[0]!;
  }

  /** She says something, and bob hears it: if a key had been used before, he could not. */
  async says(conversation: MlsConversation, text: string): Promise<void> {
    const bytes = await conversation.encrypt(Buffer.from(text));
    this.#said.add(text);
    this.server.post(bytes);
  }

  /** Bob reads everything. Whatever she has said must be among it. */
  async bobReads(): Promise<void> {
    for (const welcome of this.server.takeWelcomes("bob")) await this.bob.joinByWelcome(welcome);
    for (const id of await this.bob.conversations()) {
      const log = this.server.log(id);
      const received = await this.bob.receive(log.slice(this.#bobHasRead.get(id) ?? 0));
      this.#bobHasRead.set(id, log.length);
      for (const one of received) {
        if (one.type === "message") this.#heard.add(Buffer.from(one.plaintext).toString());
        if (one.type === "rejected") this.wrong.push(`bob rejected something: ${one.reason}`);
      }
    }
    for (const text of this.#said)
      if (!this.#heard.has(text)) this.wrong.push(`bob could not read "${text}": a key was used twice`);
    this.#said.clear();
  }

  /**
   * She receives what is new in a conversation, and hears this. When she does so again, after a failure, it may turn out to be
   * received already: without `deliver` that is once at most.
   */
  async aliceReads(id: string, { hears, again = false }: { hears?: string; again?: boolean } = {}): Promise<void> {
    const log = this.server.log(id);
    const received = await this.alice.receive(log.slice(this.#aliceHasRead.get(id) ?? 0));
    this.#aliceHasRead.set(id, log.length);
    const heard = received.flatMap((one) => (one.type === "message" ? [Buffer.from(one.plaintext).toString()] : []));
    const isKnown = again && received.some((one) => one.type === "ignored" && one.why === "duplicate");
    if (hears !== undefined && !isKnown && !heard.includes(hears)) this.wrong.push(`alice did not hear "${hears}"`);
    for (const one of received)
      if (one.type === "unreadable") this.wrong.push(`something was unreadable for alice: ${one.why}`);
  }

  /** All of her state that can be seen, to be compared. */
  async state(): Promise<string> {
    const { alice } = this;
    const ids = await alice.conversations();
    const conversations = await Promise.all(
      ids.map(async (id) => {
        const conversation = alice.conversation(id);
        const members = (await conversation.members()).map(({ clientId }) => clientId);
        return `${id} ${await conversation.epoch()} ${members.join("+")}`;
      }),
    );
    const data = await Promise.all(
      ["one", "two"].map(async (key) => Buffer.from((await alice.data(key)) ?? []).toString()),
    );
    const counts = [(await alice.credentials()).length, (await alice.keyPackages()).length];
    return [...conversations, ...data, ...counts, `open: ${(await alice.unsettledCommits()).length}`].join("; ");
  }

  /** The server, to her; what is sent must be in her files by then. */
  #transport(): MlsTransport {
    const transport = this.server.transport("alice");
    return {
      ...transport,
      sendCommitBundle: async (bundle, context) => {
        if (this.looksBeforeSends && !(await this.#isStored(context.commitId)))
          this.wrong.push("a commit was sent that is not stored");
        return transport.sendCommitBundle(bundle, context);
      },
    };
  }

  async #isStored(commitId: string): Promise<boolean> {
    const copy = `${this.#path.replace(/[^/]*$/, "")}copy-${this.#copies++}.db`;
    for (const suffix of ["", "-wal"])
      if (existsSync(this.#path + suffix)) copyFileSync(this.#path + suffix, copy + suffix);
    await using session = await Session.open(await Database.open(copy, this.#key), { clientId: "alice" });
    return (await session.unsettledCommits()).some((one) => one.commitId === commitId);
  }
}

/**
 * Whether an error is what a failing disk must come to; after a send, nobody knows what became of
 * the commit.
 */
export const isDiskFailure = (error: unknown): boolean =>
  MlsError.is(MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN") ? error.cause : error, "DATABASE_IO");
