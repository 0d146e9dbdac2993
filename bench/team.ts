import { join } from "node:path";
import type { MlsConversation, Received } from "conclave-mls";
import { Client } from "./client.js";
import { MANY } from "./measures.js";
import type { Meter } from "./meter.js";

const TEAM = "team";
/** As many as the core keeps. */
const PAST_EPOCHS = 5;
/** How many calls of their own a round makes. */
const FEW = 10;
const PLAINTEXT = new Uint8Array(1024).fill(7);

/**
 * A group that alice has founded. One member in twenty takes part, the first of them is bob; each has sent in the present epoch
 * and in every past one that is kept. Alice, bob and the joiner have keystores on the disk, the others in memory.
 *
 * native/bare-openmls/src/team.rs is the same with OpenMLS alone. What is not given to the meter is preparation.
 */
export class Team {
  readonly #alice: Client;
  readonly #bob: Client;
  /** Bob too. */
  readonly #active: readonly Client[];
  /** Joins a group that is made for it, of the same size, and leaves it again. */
  readonly #joiner: Client;
  /** Everybody's but alice's and the joiner's. */
  readonly #keyPackages: readonly Uint8Array[];
  #groups = 0;
  #next = 0;

  private constructor(alice: Client, active: Client[], bob: Client, joiner: Client, keyPackages: Uint8Array[]) {
    this.#alice = alice;
    this.#active = active;
    this.#bob = bob;
    this.#joiner = joiner;
    this.#keyPackages = keyPackages;
  }

  /** Founds the group, with keystores in this folder. */
  static async of(members: number, folder: string): Promise<Team> {
    const alice = await Client.comes("alice", join(folder, "alice.db"));
    const joiner = await Client.comes("joiner", join(folder, "joiner.db"));
    const bob = await Client.comes("member 1", join(folder, "bob.db"));
    const active = [bob];
    const keyPackages = [await bob.keyPackage()];
    for (let n = 2; n < members; n++) {
      const client = await Client.comes(`member ${n}`);
      keyPackages.push(await client.keyPackage());
      if (n % 20 === 1) active.push(client);
      else await client.session.close();
    }
    await alice.session.createConversation(TEAM, { credential: alice.credential, members: keyPackages });
    const { welcome } = alice.sent;
    await inTurn(active, (client) => client.session.joinByWelcome(welcome));
    const team = new Team(alice, active, bob, joiner, keyPackages.slice(0, -1));
    await team.#everybodySends();
    for (let epoch = 0; epoch < PAST_EPOCHS; epoch++) {
      await team.#conversation.updateKeys();
      await team.#catchUp(active);
    }
    return team;
  }

  /** Closes everything that is open. */
  async leave(): Promise<void> {
    await inTurn([this.#alice, this.#joiner, ...this.#active], (client) => client.session.close());
  }

  /** Everything that is measured, once or, what is short, some times. */
  async round(meter: Meter): Promise<void> {
    await this.#bob.session.close();
    await meter.time("open", () => this.#bob.opens());
    await this.#bob.session.conversation(TEAM).members(); // Loads the group, so that no later figure contains that.
    const { session, credential } = this.#joiner;
    await meter.time("keyPackages", () => session.generateKeyPackages(credential, { count: MANY }));
    await this.#addAndJoin(meter);
    await meter.time("update", () => this.#conversation.updateKeys());
    const { commit } = this.#alice.sent;
    onlyOf("commit", await meter.time("process", () => this.#bob.session.receive(commit)));
    await this.#catchUp(this.#active.filter((client) => client !== this.#bob));
    await this.#encrypt(meter);
    await this.#receive(meter);
  }

  /** A group as large as the team, with the joiner in the last place. */
  async #addAndJoin(meter: Meter): Promise<void> {
    const { session, credential } = this.#alice;
    const invitees = [...this.#keyPackages, await this.#joiner.keyPackage()];
    const group = await session.createConversation(`group ${this.#groups++}`, { credential });
    await meter.time("add", () => group.addMembers(invitees));
    const { welcome } = this.#alice.sent;
    const { conversation } = await meter.time("join", () => this.#joiner.session.joinByWelcome(welcome));
    await conversation.wipe();
    await group.wipe();
  }

  async #encrypt(meter: Meter): Promise<void> {
    const conversation = this.#conversation;
    for (let n = 0; n < FEW; n++) await meter.time("encryptAlone", () => conversation.encrypt(PLAINTEXT));
    const many = Array.from({ length: MANY }, () => PLAINTEXT);
    await meter.time("encryptInFlight", () => Promise.all(many.map((plaintext) => conversation.encrypt(plaintext))));
    await meter.time("encryptInTransaction", () =>
      this.#alice.session.transaction(async (tx) => {
        const inTransaction = tx.conversation(TEAM);
        for (const plaintext of many) await inTransaction.encrypt(plaintext);
      }),
    );
  }

  async #receive(meter: Meter): Promise<void> {
    const { session } = this.#alice;
    for (const message of await this.#messages(FEW)) {
      onlyOf("message", await meter.time("receiveAlone", () => session.receive(message)));
    }
    const each = await this.#messages(MANY);
    const inFlight = () => Promise.all(each.map((message) => session.receive(message)));
    onlyOf("message", (await meter.time("receiveInFlight", inFlight)).flat());
    const together = await this.#messages(MANY);
    const received = await meter.time("receiveInTransaction", () =>
      session.transaction(async (tx) => {
        const results: Received[] = [];
        for (const message of together) results.push(...(await tx.receive(message)));
        return results;
      }),
    );
    onlyOf("message", received);
    const batch = await this.#messages(MANY);
    onlyOf("message", await meter.time("receiveBatch", () => session.receive(batch)));
  }

  get #conversation(): MlsConversation {
    return this.#alice.session.conversation(TEAM);
  }

  /** These take in alice's last commit, and everybody sends in the new epoch. */
  async #catchUp(clients: readonly Client[]): Promise<void> {
    const { commit } = this.#alice.sent;
    await inTurn(clients, async ({ session }) => onlyOf("commit", await session.receive(commit)));
    await this.#everybodySends();
  }

  async #everybodySends(): Promise<void> {
    await this.#conversation.encrypt(PLAINTEXT);
    onlyOf("message", await this.#alice.session.receive(await this.#messages(this.#active.length)));
  }

  /** Messages of the active members, who take turns. */
  async #messages(count: number): Promise<Uint8Array[]> {
    const senders = Array.from({ length: count }, () => this.#active[this.#next++ % this.#active.length]);
    const messages: Uint8Array[] = [];
    for (const sender of senders) {
      if (sender !== undefined) messages.push(await sender.session.conversation(TEAM).encrypt(PLAINTEXT));
    }
    return messages;
  }
}

/** A figure for something that has failed would be none. */
function onlyOf(type: Received["type"], received: readonly Received[]): void {
  const other = received.find((one) => one.type !== type);
  if (other !== undefined || received.length === 0)
    throw new Error(`A ${type} came out as ${other?.type ?? "nothing"}.`);
}

/** One after the other: preparation must not pile up work that still goes on when something is measured. */
async function inTurn<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (const item of items) await work(item);
}
