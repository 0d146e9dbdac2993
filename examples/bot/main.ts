/**
 * A bot in many conversations, and a network that loses, delays and repeats: `node main.js [--conversations 100] [--seed 1]`.
 * `bot.ts` is the bot, `client.ts` gets along with the network, `story.ts` tells what people do. Exits with 1 when anything was
 * lost, or said twice.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Database, DatabaseKey, type Id } from "conclave-mls";
import { EmbeddedDeliveryService } from "conclave-mls/delivery-service";
import { Bot } from "./bot.js";
import type { Client } from "./client.js";
import { LossyNetwork } from "./lossy-network.js";
import { Person } from "./person.js";
import { converse, endsWithoutBot, type Roles } from "./story.js";
import { table } from "./table.js";
import { type Account, complaints } from "./verdict.js";

const BOT = "bot";
const PEOPLE = 10;
/** In milliseconds; many times what a run takes. */
const LONGEST_RUN = 120_000;

const { values } = parseArgs({
  options: { conversations: { type: "string", default: "100" }, seed: { type: "string", default: "1" } },
});
const [conversations, seed] = [Number(values.conversations), Number(values.seed)];
if (!Number.isSafeInteger(conversations) || conversations < 1 || !Number.isSafeInteger(seed)) {
  console.error("Usage: node main.js [--conversations NUMBER] [--seed NUMBER]");
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), "conclave-bot-"));
const code = await run(folder).catch((error: unknown) => {
  console.error(error);
  return 1;
});
await rm(folder, { recursive: true });
process.exit(code); // After a failure the others would wait for messages for ever.

async function run(folder: string): Promise<number> {
  const start = performance.now();
  const service = await EmbeddedDeliveryService.inMemory();
  const network = new LossyNetwork(service, seed);
  // A real bot has its key from where its secrets are kept, and the same one at the next start.
  const database = await Database.open(join(folder, "bot.keystore"), DatabaseKey.generate());
  const bot = await Bot.arrive(BOT, network.of(BOT), database);
  await bot.client.publishKeyPackages(2 * conversations);
  const people = await Promise.all(
    Array.from({ length: PEOPLE }, (_, n) => Person.arrive(`person ${n}`, network.of(`person ${n}`), conversations)),
  );
  const clients = [bot.client, ...people.map(({ client }) => client)];

  const cast = Array.from({ length: conversations }, (_, n) => ({
    id: `conversation ${n}`,
    roles: rolesIn(n, people),
  }));
  const stories = cast.map(({ id, roles }, n) => converse(id, BOT, n, roles));
  await Promise.race([Promise.all(stories), bot.working, ...clients.map(({ reading }) => reading), lost()]);
  const views = new Map<Id, string[]>();
  for (const [n, { id, roles }] of cast.entries()) {
    const present = [roles.owner.client, roles.newcomer.client, ...(endsWithoutBot(n) ? [] : [bot.client])];
    views.set(id, await viewsOf(id, present));
  }

  await bot.leave();
  await Promise.all(people.map(({ client }) => client.leave()));
  await network.quiet();
  await service.close();

  const account: Account = {
    asked: people.flatMap(({ asked }) => asked),
    heard: new Map(people.map(({ name, heard }) => [name, [...heard.values()]])),
    requests: [...bot.tasks.requests.values()],
    views,
    trouble: [...bot.tasks.trouble, ...people.flatMap(({ trouble }) => trouble)],
  };
  const wrong = complaints(account);
  const seconds = (performance.now() - start) / 1000;
  console.log(table({ seed, conversations, seconds, account, counts: clients.map(({ counts }) => counts), network }));
  console.log(wrong.length === 0 ? "\nNothing was lost, and nothing was said twice." : `\n${wrong.join("\n")}`);
  return wrong.length === 0 ? 0 : 1;
}

/** Rejects when nothing that is still waited for can come any more. */
async function lost(): Promise<never> {
  await sleep(LONGEST_RUN, undefined, { ref: false });
  throw new Error("Somebody waits for something that does not come: it was lost.");
}

function rolesIn(place: number, people: readonly Person[]): Roles {
  const [owner, guest, newcomer] = [0, 1, 2].map((n) => people[(place + n) % people.length]);
  if (owner === undefined || guest === undefined || newcomer === undefined) throw new Error("There is nobody there.");
  return { owner, guest, newcomer };
}

/** How the members see a conversation, when all of them have heard of its last change. */
async function viewsOf(id: Id, members: readonly Client[]): Promise<string[]> {
  const epochs = members.map(({ epochs }) => epochs.get(id) ?? 0n);
  const last = epochs.reduce((one, other) => (one > other ? one : other));
  return Promise.all(
    members.map(async (client) => {
      await client.until(() => client.epochs.get(id) === last);
      const authenticator = await client.session.conversation(id).epochAuthenticator();
      const names = [...(await client.membersOf(id))].sort().join(", ");
      return `${names}: ${Buffer.from(authenticator).toString("hex")}`;
    }),
  );
}
