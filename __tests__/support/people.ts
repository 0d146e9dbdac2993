import {
  type CommitOptions,
  Credential,
  type CredentialRef,
  Database,
  type MlsConversation,
  type Received,
  Session,
  type SessionOptions,
} from "conclave-mls";
import { type Clock, withClock } from "../../lib/clock.js";
import type { Server } from "./server.js";
import { bytes, suite, text } from "./text.js";

export { bytes, suite, text };

type Settings = Partial<SessionOptions> & { database?: Database; clock?: Clock; fetch?: boolean };

/** Somebody with a session, a credential and a place at the server. */
export class Person {
  readonly name: string;
  readonly server: Server;
  readonly session: Session;
  readonly credential: CredentialRef;
  readonly #read = new Map<string, number>();

  private constructor(name: string, server: Server, session: Session, credential: CredentialRef) {
    this.name = name;
    this.server = server;
    this.session = session;
    this.credential = credential;
  }

  /** Comes with a fresh keystore in memory, unless a database is given. */
  static async comes(name: string, server: Server, settings: Settings = {}): Promise<Person> {
    const { database = await Database.inMemory(), clock, fetch = true, ...options } = settings;
    const all: SessionOptions = { clientId: name, transport: server.transport(name, { fetch }), ...options };
    const session = await Session.open(database, clock === undefined ? all : withClock(all, clock));
    open.push(session);
    servers.add(server);
    const [known] = await session.credentials();
    const credential = known ?? (await session.addCredential(Credential.basic(name, { cipherSuite: suite })));
    return new Person(name, server, session, credential);
  }

  /** A fresh key package of this person. */
  async keyPackage(): Promise<Uint8Array> {
    const [keyPackage] = await this.session.generateKeyPackages(this.credential, { count: 1 });
    return keyPackage!.bytes;
  }

  /** Creates a conversation with others, who join it at once. */
  async creates(id: string, ...others: Person[]): Promise<MlsConversation> {
    return this.#creates(id, others, false);
  }

  /** Creates one that whoever has its GroupInfo can join. */
  async opens(id: string, ...others: Person[]): Promise<MlsConversation> {
    return this.#creates(id, others, true);
  }

  async #creates(id: string, others: Person[], externalJoin: boolean): Promise<MlsConversation> {
    const credential = this.credential;
    if (others.length === 0) return this.session.createConversation(id, { credential, externalJoin });
    const members = await Promise.all(others.map((other) => other.keyPackage()));
    const conversation = await this.session.createConversation(id, { credential, members, externalJoin });
    for (const other of others) await other.joins();
    return conversation;
  }

  /** Joins by all Welcomes that wait, and reads those conversations only from there on. */
  async joins(): Promise<void> {
    for (const welcome of this.server.takeWelcomes(this.name)) {
      const { conversation } = await this.session.joinByWelcome(welcome);
      this.#read.set(conversation.id, this.server.log(conversation.id).length);
    }
  }

  /** Joins from outside, and reads the conversation only from there on. */
  async joinsFromOutside(id: string, options: CommitOptions = {}): Promise<MlsConversation> {
    const conversation = await this.session.joinByExternalCommit(id, { credential: this.credential, ...options });
    this.#read.set(id, this.server.log(id).length);
    return conversation;
  }

  /** Encrypts and posts. */
  async says(id: string, words: string): Promise<void> {
    this.server.post(await this.session.conversation(id).encrypt(bytes(words)));
  }

  /** Receives what is new in the log of a conversation. */
  async reads(id: string): Promise<Received[]> {
    const log = this.server.log(id);
    const from = this.#read.get(id) ?? 0;
    this.#read.set(id, log.length);
    return this.session.receive(log.slice(from));
  }

  /** The texts among what is new in the log of a conversation. */
  async hears(id: string): Promise<string[]> {
    const received = await this.reads(id);
    return received.flatMap((one) => (one.type === "message" ? [text(one.plaintext)] : []));
  }

  /** The names of the members, sorted. */
  async sees(id: string): Promise<string[]> {
    const members = await this.session.conversation(id).members();
    return members.map(({ clientId }) => clientId).sort();
  }
}

const open: Session[] = [];
const servers = new Set<Server>();

/** Closes all sessions of the test, whatever it was about: none of them has ever sent two different commits for one epoch. */
export async function everybodyLeaves(): Promise<void> {
  await Promise.all(open.splice(0).map((session) => session.close()));
  const forks = [...servers].flatMap((server) => server.forks);
  servers.clear();
  expect(forks).toEqual([]);
}
