import { Database, DatabaseKey, type MlsConversation, type Received, type SessionOptions } from "conclave-mls";
import { FakeClock } from "./clock.js";
import { freshPath } from "./files.js";
import { Foreigner, type Framing } from "./foreigner.js";
import { Person } from "./people.js";
import { Server } from "./server.js";

interface Setting {
  framing?: Framing;
  /** Alice's transport can be asked for what the server has. */
  fetch?: boolean;
  /** Alice's keystore is a file, so that she can come back. */
  onDisk?: boolean;
  deliver?: SessionOptions["deliver"];
}

/** Alice and bob, who have Conclave, and frank, who has ts-mls and makes proposals: in "team", in epoch 1. */
export class Trio {
  readonly server = new Server();
  readonly clock = new FakeClock();
  readonly setting: Setting;
  alice!: Person;
  bob!: Person;
  frank!: Foreigner;
  readonly #key = DatabaseKey.generate();
  #path: string | undefined;

  private constructor(setting: Setting) {
    this.setting = setting;
  }

  /** The three of them, who have read everything. */
  static async meets(setting: Setting = {}): Promise<Trio> {
    const trio = new Trio(setting);
    const { server, clock } = trio;
    await trio.#aliceComes();
    trio.bob = await Person.comes("bob", server, { clock });
    trio.frank = await Foreigner.comes("frank", server, setting);
    const members = [await trio.bob.keyPackage(), await trio.frank.keyPackage()];
    await trio.alice.session.createConversation("team", { credential: trio.alice.credential, members });
    await trio.alice.reads("team");
    await trio.bob.joins();
    await trio.frank.joins();
    return trio;
  }

  /** Alice's handle. */
  get team(): MlsConversation {
    return this.alice.session.conversation("team");
  }

  /** Alice's session ends, and begins again on the same keystore; what she has received before she does not ask for again. */
  async aliceRestarts(): Promise<void> {
    await this.alice.session.close();
    await this.#aliceComes();
  }

  /** What alice makes of these messages. */
  async aliceGets(...messages: Uint8Array[]): Promise<Received[]> {
    return this.alice.session.receive(messages);
  }

  /** Carol, who has Conclave and is not in the conversation yet. */
  async carol(): Promise<Person> {
    return Person.comes("carol", this.server, { clock: this.clock });
  }

  /** All who are members by what alice sees read what there is: they agree on epoch and members, and each reads the others. */
  async endsWell(...others: Anybody[]): Promise<void> {
    await this.alice.reads("team");
    const names = await this.alice.sees("team");
    const everybody = [this.alice, this.bob, this.frank, ...others];
    const members = names.flatMap((name) => everybody.find((one) => one.name === name) ?? []);
    expect(members.map(({ name }) => name)).toEqual(names);

    const agreed = [];
    for (const member of members) {
      await hears(member);
      expect(await sees(member)).toEqual(names);
      agreed.push(String(await authenticator(member)));
    }
    expect(new Set(agreed).size).toBe(1);

    for (const member of members) await says(member);
    for (const member of members) expect(await hears(member)).toEqual(names.filter((name) => name !== member.name));
    expect(await this.alice.session.unsettledCommits()).toEqual([]);
  }

  async #aliceComes(): Promise<void> {
    const { server, clock } = this;
    const { onDisk = false, fetch = true, deliver } = this.setting;
    if (onDisk) this.#path ??= await freshPath();
    const database = this.#path === undefined ? await Database.inMemory() : await Database.open(this.#path, this.#key);
    this.alice = await Person.comes("alice", server, { clock, database, fetch, ...(deliver && { deliver }) });
  }
}

type Anybody = Person | Foreigner;

const says = (one: Anybody) => (one instanceof Person ? one.says("team", one.name) : one.says(one.name));
const hears = (one: Anybody) => (one instanceof Person ? one.hears("team") : one.hears());
const sees = (one: Anybody) => (one instanceof Person ? one.sees("team") : one.sees());
const authenticator = (one: Anybody) =>
  one instanceof Person ? one.session.conversation("team").epochAuthenticator() : one.epochAuthenticator;

/** The names in a change: whom it adds, removes, updates. */
export function namesOf({ change }: { change: { added: Named; removed: Named; updated: Named } }) {
  const names = (members: Named): string[] => members.map(({ clientId }) => clientId);
  return { added: names(change.added), removed: names(change.removed), updated: names(change.updated) };
}

type Named = readonly { readonly clientId: string }[];
