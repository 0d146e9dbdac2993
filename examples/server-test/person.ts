import {
  type CommitBundle,
  type CommitOptions,
  Credential,
  type CredentialRef,
  Database,
  type Id,
  type Invitee,
  type KeyPackage,
  type MlsConversation,
  type MlsTransportResponse,
  type Received,
  type SendContext,
  Session,
} from "conclave-mls";
import { type DeliveryService, transportOf } from "conclave-mls/delivery-service";

export const CIPHER_SUITE = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
export const TEAM = "team";

/** A commit as it goes to the server. */
export interface Commit {
  readonly bundle: CommitBundle;
  readonly context: SendContext;
}

type Send = (commit: Commit) => Promise<MlsTransportResponse>;

/** A real client of the server under test. A test can step between it and the server. */
export class Person {
  readonly name: Id;
  readonly session: Session;
  readonly credential: CredentialRef;
  readonly #service: DeliveryService;
  readonly #way: { send: Send };

  /** Comes with a keystore in memory and three published key packages. */
  static async comes(name: Id, service: DeliveryService): Promise<Person> {
    const transport = transportOf(service, name);
    const way: { send: Send } = { send: ({ bundle, context }) => transport.sendCommitBundle(bundle, context) };
    const session = await Session.open(await Database.inMemory(), {
      clientId: name,
      transport: { ...transport, sendCommitBundle: (bundle, context) => way.send({ bundle, context }) },
    });
    const credential = await session.addCredential(Credential.basic(name, { cipherSuite: CIPHER_SUITE }));
    const person = new Person(name, session, credential, service, way);
    await service.publishKeyPackages(name, await person.keyPackages(3));
    return person;
  }

  private constructor(
    name: Id,
    session: Session,
    credential: CredentialRef,
    service: DeliveryService,
    way: { send: Send },
  ) {
    this.name = name;
    this.session = session;
    this.credential = credential;
    this.#service = service;
    this.#way = way;
  }

  get team(): MlsConversation {
    return this.session.conversation(TEAM);
  }

  /** Makes key packages and does not publish them. */
  keyPackages(count: number, options: { lastResort?: boolean } = {}): Promise<KeyPackage[]> {
    return this.session.generateKeyPackages(this.credential, { count, ...options });
  }

  /** Creates the team with these people, who join it. */
  createsTeam(...others: readonly Person[]): Promise<void> {
    return this.#createsTeam(others, false);
  }

  /** The same, of a team that others may join from outside. */
  opensTeam(...others: readonly Person[]): Promise<void> {
    return this.#createsTeam(others, true);
  }

  async #createsTeam(others: readonly Person[], externalJoin: boolean): Promise<void> {
    const members = await Promise.all(others.map((other) => this.invitationOf(other)));
    await this.session.createConversation(TEAM, { credential: this.credential, members, externalJoin });
    for (const person of [this, ...others]) await person.catchesUp();
  }

  async adds(other: Person, options: CommitOptions = {}): Promise<void> {
    await this.team.addMembers([await this.invitationOf(other)], options);
  }

  async invitationOf({ name }: Person): Promise<Invitee> {
    const claimed = await this.#service.claimKeyPackage(name, CIPHER_SUITE);
    if (claimed === undefined) throw new Error(`The server has no key package of ${name}.`);
    return { keyPackage: claimed.bytes, clientId: name };
  }

  encrypts(text: string): Promise<Uint8Array> {
    return this.team.encrypt(new TextEncoder().encode(text));
  }

  /** Encrypts and sends. Answers the bytes. */
  async says(text: string): Promise<Uint8Array> {
    const message = await this.encrypts(text);
    await this.#service.sendMessage(this.name, message);
    return message;
  }

  /** Takes in all that waits, joins what it is invited to, and acknowledges. */
  async catchesUp(): Promise<Received[]> {
    const all: Received[] = [];
    for (;;) {
      const entries = await this.#service.pull(this.name);
      if (entries.length === 0) return all;
      for (const { bytes, cursor } of entries) {
        const received = await this.session.receive(bytes);
        if (received.some(({ type }) => type === "welcome")) await this.session.joinByWelcome(bytes);
        all.push(...received);
        await this.#service.acknowledge(this.name, cursor);
      }
    }
  }

  /** The texts among what waits. */
  async reads(): Promise<string[]> {
    const received = await this.catchesUp();
    return received.flatMap((one) => (one.type === "message" ? [new TextDecoder().decode(one.plaintext)] : []));
  }

  /** The next commit reaches the server, and its answer is lost. Answers what was sent. */
  losesAnswerOf(work: () => Promise<unknown>): Promise<Commit> {
    return this.#instead(work, async (commit, send) => {
      await send(commit);
      throw new Error("The connection broke.");
    });
  }

  /** The client believes that the commit was accepted, and the server never hears of it. Answers what was not sent. */
  believesIn(work: () => Promise<unknown>): Promise<Commit> {
    return this.#instead(work, async () => ({ status: "success" }));
  }

  /** Sends a commit, once more or for the first time. */
  sends({ bundle, context }: Commit): Promise<MlsTransportResponse> {
    const { signal } = new AbortController(); // The one of the first time has done its work.
    return transportOf(this.#service, this.name).sendCommitBundle(bundle, { ...context, signal });
  }

  async #instead(
    work: () => Promise<unknown>,
    what: (commit: Commit, send: Send) => Promise<MlsTransportResponse>,
  ): Promise<Commit> {
    const { send } = this.#way;
    let made: Commit | undefined;
    this.#way.send = (commit) => what((made = commit), send);
    await work().catch(() => {}); // The test looks at what became of it.
    this.#way.send = send;
    if (made === undefined) throw new Error("No commit was sent.");
    return made;
  }
}

/** Whether all of them are in the same epoch of the same group: then nobody was parted from the others. */
export async function agree(...people: readonly Person[]): Promise<boolean> {
  const views = await Promise.all(
    people.map(async ({ team }) => Buffer.from(await team.epochAuthenticator()).toString("hex")),
  );
  return new Set(views).size === 1;
}
