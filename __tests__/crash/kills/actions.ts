import { Credential } from "conclave-mls";
import type { Random } from "../random.js";
import { type Client, suite } from "./client.js";
import { tell, told } from "./reports.js";

/** How often a client does what. */
const WEIGHTS = {
  say: 24,
  sayMuch: 8,
  sayInTransaction: 10,
  takeBack: 6,
  updateKeys: 7,
  changeCredential: 3,
  changeGuest: 5,
  found: 5,
  leave: 3,
  publish: 6,
  settle: 2,
  reopen: 3,
} as const;

type Action = (client: Client, random: Random) => Promise<unknown>;

/** Does one thing after the other, for ever. */
export async function act(client: Client, random: Random): Promise<never> {
  for (;;) {
    const name = random.weighted(WEIGHTS);
    await client.tolerate(name, () => actions[name](client, random));
  }
}

/** Says something in every conversation. */
export async function sayEverywhere(client: Client, random: Random): Promise<void> {
  for (const id of await client.activeConversations()) {
    await client.tolerate("say", async () => {
      const text = words(client, random);
      await client.send(await client.session.conversation(id).encrypt(Buffer.from(text)), text);
    });
  }
}

const actions: Record<keyof typeof WEIGHTS, Action> = {
  async say(client, random) {
    const conversation = await somewhere(client, random);
    if (conversation === undefined) return;
    const text = words(client, random);
    const lost = random.chance(0.1);
    await client.send(await conversation.encrypt(Buffer.from(text)), text, { lost });
  },

  /** Many at once: they share what a write to the disk costs. */
  async sayMuch(client, random) {
    const conversation = await somewhere(client, random);
    if (conversation === undefined) return;
    const all = Array.from({ length: 2 + random.below(20) }, async () => {
      const text = words(client, random);
      await client.send(await conversation.encrypt(Buffer.from(text)), text);
    });
    await allOf(all);
  },

  /** The bytes are handed out, told and perhaps sent before the transaction is stored. */
  async sayInTransaction(client, random) {
    await inTransaction(client, random, () => {});
  },

  async takeBack(client, random) {
    const regret = new Error("taken back");
    await inTransaction(client, random, () => {
      throw regret;
    }).catch((error: unknown) => {
      if (error !== regret) throw error;
    });
  },

  async updateKeys(client, random) {
    await (await somewhere(client, random))?.updateKeys();
  },

  async changeCredential(client, random) {
    const { session, settings } = client;
    const conversation = await somewhere(client, random);
    const credentials = await session.credentials();
    const credential =
      credentials.length < 3
        ? await session.addCredential(Credential.basic(settings.name, { cipherSuite: suite }))
        : random.of(credentials);
    await conversation?.updateKeys({ credential });
  },

  /** The guest is a member everywhere and nowhere: added where it is not, removed where it is. */
  async changeGuest(client, random) {
    const conversation = await somewhere(client, random);
    if (conversation === undefined) return;
    const members = await conversation.members();
    if (members.some(({ clientId }) => clientId === GUEST)) await conversation.removeMembers([GUEST]);
    else await conversation.addMembers([(await claim(client, GUEST))!]);
  },

  async found(client, random) {
    const { name, others } = client.settings;
    const own = (await client.activeConversations()).filter((id) => id.startsWith(name));
    if (own.length >= MOST_CONVERSATIONS) return;
    const members = await Promise.all(others.map((other) => claim(client, other)));
    if (members.some((member) => member === undefined)) return;
    const id = `${name}-${random.below(2 ** 32).toString(36)}`;
    const { credential } = client;
    await client.session.createConversation(id, { credential, members: members.map((member) => member!) });
  },

  async leave(client, random) {
    const { name, others } = client.settings;
    const own = (await client.activeConversations()).filter((id) => id.startsWith(name));
    if (own.length < MOST_CONVERSATIONS) return;
    const conversation = client.session.conversation(random.of(own));
    await conversation.removeMembers(others.filter((other) => other !== WITNESS));
    tell({ about: "left", conversation: conversation.id });
    await conversation.wipe();
  },

  async publish(client, random) {
    const { name } = client.settings;
    if ((await client.service.countKeyPackages(name, suite)) >= ENOUGH_KEY_PACKAGES) return;
    const made = await client.session.generateKeyPackages(client.credential, { count: 1 + random.below(3) });
    for (const { bytes, ref } of made) tell({ about: "key package", bytes: told(bytes), ref });
    await client.service.publishKeyPackages(name, made);
  },

  settle: (client) => client.session.settle(),

  reopen: (client) => client.reopen(),
};

/** Who never dies and reads everything. */
export const WITNESS = "witness";
/** Who has key packages and does nothing else. */
export const GUEST = "guest";
const MOST_CONVERSATIONS = 3;
const ENOUGH_KEY_PACKAGES = 4;

async function inTransaction(client: Client, random: Random, last: () => void): Promise<void> {
  const conversation = await somewhere(client, random);
  if (conversation === undefined) return;
  const sends: Promise<void>[] = [];
  const transaction = client.session.transaction(async (tx) => {
    for (let count = 1 + random.below(5); count > 0; count--) {
      const text = words(client, random);
      const bytes = await tx.conversation(conversation.id).encrypt(Buffer.from(text));
      const sending = client.send(bytes, text, { lost: random.chance(0.1) });
      sending.catch(() => {}); // Looked at below, when the transaction is over.
      sends.push(sending);
      await tx.setData("said", bytes);
    }
    last();
  });
  await Promise.allSettled([transaction]);
  await allOf([transaction, ...sends]);
}

/** Waits for all, then throws the first failure. */
async function allOf(promises: readonly Promise<unknown>[]): Promise<void> {
  const ends = await Promise.allSettled(promises);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

async function somewhere(client: Client, random: Random) {
  const ids = await client.activeConversations();
  return ids.length === 0 ? undefined : client.session.conversation(random.of(ids));
}

async function claim(client: Client, clientId: string) {
  const keyPackage = await client.service.claimKeyPackage(clientId, suite);
  return keyPackage && { keyPackage: keyPackage.bytes, clientId };
}

function words(client: Client, random: Random): string {
  return `${client.settings.name} says ${random.below(2 ** 32).toString(36)}`;
}
