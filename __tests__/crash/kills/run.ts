import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedDeliveryService, serveOnLoopback } from "conclave-mls/delivery-service";
import { Random } from "../random.js";
import { GUEST, WITNESS } from "./actions.js";
import { everybodyAgrees, everyKeyPackageWorks } from "./ending.js";
import { PostOffice } from "./post-office.js";
import { type Report, untold } from "./reports.js";
import { occasion } from "./schedule.js";
import { Victim } from "./victim.js";
import { Witness } from "./witness.js";

/** What a run is to do. */
export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** The compiled programs that are killed; others than this one's own in the control. */
  readonly programs: string;
  readonly progress?: (line: string) => void;
}

/** What came of it. */
export interface KillReport {
  readonly seed: number;
  readonly kills: number;
  readonly killedWhileOpening: number;
  /** Messages that were handed out, and how many of them the witness has read. */
  readonly sealed: number;
  readonly witnessed: number;
  /** Handed out more than five epochs late, by a client that had just come back; nobody can read those. */
  readonly tooOld: number;
  /** Sent at least three epochs late, by such a client, and too old when they were read. */
  readonly missed: number;
  /** Messages that were delivered to a client that may miss none. */
  readonly delivered: number;
  readonly keyPackagesTried: number;
  readonly conversations: number;
  /** Failures that are part of this life, by call and code. */
  readonly refused: Readonly<Record<string, number>>;
  /** What must not happen, and has. */
  readonly wrong: readonly string[];
  readonly seconds: number;
}

/** Everything that one run has to do with. */
export interface World {
  readonly postOffice: PostOffice;
  readonly witness: Witness;
  readonly victims: readonly Victim[];
  /** The texts of all messages that were handed out, by message. */
  readonly sealed: Map<string, string>;
  /** The texts that were delivered, by client and message. */
  readonly delivered: Map<string, Map<string, string>>;
  /** Key packages that were handed out, by client. */
  readonly keyPackages: Map<string, { readonly bytes: Uint8Array; readonly ref: string }[]>;
  /** The conversations that a client has forgotten, as "client conversation". */
  readonly left: Set<string>;
  /** How the conversations are in the end, by conversation and client. */
  readonly states: Map<string, Map<string, string>>;
  readonly wrong: string[];
}

/** The SHA-256 of a message, as its messageId is. */
export const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The client to which everything is delivered before it is stored. */
export const DELIVERS = "alice";
const NAMES = [DELIVERS, "bob"];

/** Kills two clients that work with each other until they have been killed often enough, or something was wrong; then lets all end well. */
export async function survive({ kills, seed, programs, progress }: KillOptions): Promise<KillReport> {
  const begun = performance.now();
  const folder = await realpath(await mkdtemp(join(tmpdir(), "conclave-kills-")));
  const service = await EmbeddedDeliveryService.inMemory();
  const postOffice = new PostOffice(service, new Random(seed), hash);
  await using server = await serveOnLoopback(postOffice.service);
  const [witness, guest] = [await Witness.comes(WITNESS, service), await Witness.comes(GUEST, service)];
  const wrong: string[] = [];
  const refused: Record<string, number> = {};
  const missed = new Set<string>();
  const reading: Promise<void>[] = [];

  const tally = (what: string): void => {
    refused[what] = (refused[what] ?? 0) + 1;
  };
  const isOwn = (name: string, messageId: string): boolean => world.sealed.get(messageId)?.startsWith(name) ?? false;
  const hear = (name: string, report: Report): void => {
    switch (report.about) {
      case "sealed": {
        const bytes = untold(report.bytes);
        world.sealed.set(hash(bytes), report.text);
        reading.push(witness.reads(bytes));
        break;
      }
      case "read":
        world.delivered.get(name)!.set(report.messageId, report.text);
        break;
      case "key package":
        world.keyPackages.get(name)!.push({ bytes: untold(report.bytes), ref: report.ref });
        break;
      case "unreadable":
        // A catch-up brings what is long read, and its own messages too: nothing was lost.
        if (isOwn(name, report.messageId) || world.delivered.get(name)!.has(report.messageId))
          tally("brought again when its epoch was long over");
        // The last of a client that was away; before the others read it they have committed once or twice more.
        else if ((postOffice.behind.get(report.messageId) ?? 0n) >= 3n) missed.add(report.messageId);
        else wrong.push(`a message was unreadable for ${name}: ${report.why}`);
        break;
      case "rejected": {
        // The echo of a message whose transaction was never stored: the client cannot know that it was its own.
        if (!isOwn(name, report.messageId)) wrong.push(`${name} rejected something: ${report.reason}`);
        else tally("echo of what was not stored: rejected");
        break;
      }
      case "left":
        world.left.add(`${name} ${report.conversation}`);
        break;
      case "refused":
        tally(`${report.what}: ${report.code}`);
        break;
      case "wrong":
        wrong.push(`${name}: ${report.what}`);
        break;
      case "state": {
        const states = world.states.get(report.conversation) ?? new Map<string, string>();
        world.states.set(report.conversation, states);
        states.set(name, `${report.epoch} ${report.authenticator}`);
        break;
      }
      case "open":
      case "done":
        break;
    }
  };
  const victims = await Promise.all(
    NAMES.map(async (name) => {
      await mkdir(join(folder, name));
      const others = [...NAMES.filter((other) => other !== name), WITNESS];
      const path = join(folder, name, "keystore.db");
      const orders = { name, others, path, delivers: name === DELIVERS, key: randomBytes(32).toString("hex") };
      return new Victim(programs, { ...orders, url: server.url }, (report) => hear(name, report));
    }),
  );
  const world: World = {
    postOffice,
    witness,
    victims,
    sealed: new Map(),
    delivered: new Map(NAMES.map((name) => [name, new Map<string, string>()])),
    keyPackages: new Map(NAMES.map((name) => [name, []])),
    left: new Set(),
    states: new Map(),
    wrong,
  };
  postOffice.onRequest = (clientId, moment) => victims.find(({ name }) => name === clientId)?.requested(moment);

  const count = (): number => victims.reduce((sum, victim) => sum + victim.kills, 0);
  const anythingWrong = (): boolean => wrong.length + witness.wrong.length + postOffice.contradictions.length > 0;
  let told = 0;
  await Promise.all(
    victims.map(async (victim, index) => {
      const random = new Random(seed * 2 + index);
      while (count() < kills && !anythingWrong()) {
        const ending = await victim.lives(random.below(2 ** 32), occasion(random));
        if (ending !== undefined) wrong.push(ending);
        if (count() - told >= 50) progress?.(`${(told = count())} kills, ${world.sealed.size} messages`);
      }
    }),
  );
  await Promise.all(reading);

  postOffice.lostAnswers = 0;
  let keyPackagesTried = 0;
  if (!anythingWrong()) await everybodyAgrees(world);
  if (!anythingWrong()) keyPackagesTried = await everyKeyPackageWorks(world);
  await Promise.all(reading);
  if (!anythingWrong()) nothingIsMissing(world, missed);
  await witness.leaves();
  await guest.leaves();
  await service.close();
  await rm(folder, { recursive: true });

  return {
    seed,
    kills: count(),
    killedWhileOpening: victims.reduce((sum, victim) => sum + victim.killedWhileOpening, 0),
    sealed: world.sealed.size,
    witnessed: witness.read.size,
    tooOld: witness.tooOld,
    missed: missed.size,
    delivered: world.delivered.get(DELIVERS)!.size,
    keyPackagesTried,
    conversations: world.states.size,
    refused,
    wrong: [...wrong, ...witness.wrong, ...postOffice.contradictions],
    seconds: Math.round((performance.now() - begun) / 1000),
  };
}

/** Everything that was sealed was read by the witness, and everything handed out to the client that delivers was delivered. */
function nothingIsMissing({ postOffice, witness, sealed, delivered, left, wrong }: World, missed: Set<string>): void {
  let unread = 0;
  for (const [messageId, text] of sealed) {
    const read = witness.read.get(messageId);
    if (read === undefined) unread += 1;
    else if (read !== text) wrong.push(`the witness read something else than "${text}"`);
  }
  if (unread !== witness.tooOld) wrong.push(`${unread - witness.tooOld} messages were sealed and never read`);
  for (const [messageId, conversation] of postOffice.handedOut.get(DELIVERS) ?? []) {
    const own = sealed.get(messageId)?.startsWith(DELIVERS) ?? false;
    if (
      own ||
      missed.has(messageId) ||
      left.has(`${DELIVERS} ${conversation}`) ||
      delivered.get(DELIVERS)!.has(messageId)
    )
      continue;
    wrong.push(`${DELIVERS} was never delivered "${sealed.get(messageId) ?? "?"}"`);
  }
}
