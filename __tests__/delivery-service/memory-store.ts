import type { Id } from "conclave-mls";
import type { LogEntry, PublishedKeyPackage, QueueEntry } from "conclave-mls/delivery-service";
import { closed } from "../../delivery-service/errors.js";
import type { Conversation, Member } from "../../delivery-service/rules/conversation.js";
import type { Decision, Effect, Entry, SaveConversation } from "../../delivery-service/rules/decision.js";
import type { Publishers, Supply } from "../../delivery-service/rules/key-package.js";
import { page } from "../../delivery-service/rules/page.js";
import type { GroupInfoFacts, LogRange, QueueRange, Standing } from "../../delivery-service/rules/reading.js";
import type { AboutSupply, Rule, Store } from "../../delivery-service/store.js";

/**
 * A second store, for tests: without SQL, and asynchronous like a database in the network. Calls
 * run side by side. If something was stored between the facts of a call and its effects, it gathers
 * and decides again.
 */
export class MemoryStore implements Store {
  #open = true;
  #version = 0;
  #cursor = 0;
  #queues: { clientId: Id; cursor: number; entry: Entry }[] = [];
  readonly #entries: Entry[] = [];
  readonly #conversations = new Map<Id, SaveConversation>();
  readonly #members = new Map<Id, Map<Id, Member>>();
  readonly #aborted = new Map<string, string>();
  readonly #published: { clientId: Id; keyPackage: PublishedKeyPackage; spent: boolean }[] = [];

  readonly sendCommit: Store["sendCommit"] = ({ commitId, conversationId, keyPackageRefs }, rule) =>
    this.#decide(rule, () => ({
      sequence: this.#sequenceOf(commitId),
      abortedBefore: this.#aborted.get(commitId),
      conversation: this.#conversation(conversationId),
      members: this.#present(conversationId),
      publishers: this.#publishers(keyPackageRefs),
    }));

  readonly sendMessage: Store["sendMessage"] = ({ messageId, conversationId }, rule) =>
    this.#decide(rule, () => ({
      sequence: this.#sequenceOf(messageId),
      conversation: this.#conversation(conversationId),
      members: this.#present(conversationId),
    }));

  readonly publishKeyPackages: Store["publishKeyPackages"] = (refs, rule) =>
    this.#decide(rule, () => this.#publishers(refs));

  readonly claimKeyPackage: Store["claimKeyPackage"] = (about, rule) => this.#decide(rule, () => this.#supply(about));

  countKeyPackages(about: AboutSupply): Promise<number> {
    return this.#read(() => this.#available(about).filter(({ lastResort }) => !lastResort).length);
  }

  withdrawKeyPackages(clientId: Id): Promise<void> {
    return this.#write(() => {
      for (const one of this.#published) one.spent ||= one.clientId === clientId;
    });
  }

  standing(conversationId: Id, clientId: Id): Promise<Standing> {
    return this.#read(() => this.#standing(conversationId, clientId));
  }

  groupInfo(conversationId: Id, clientId: Id): Promise<GroupInfoFacts> {
    return this.#read(() => {
      const { conversation, member } = this.#standing(conversationId, clientId);
      const groupInfo = this.#conversations.get(conversationId)?.groupInfo;
      return { conversation: conversation && groupInfo && { ...conversation, groupInfo: copy(groupInfo) }, member };
    });
  }

  readLog({ conversationId, fromEpoch, after, last, limit }: LogRange): Promise<LogEntry[]> {
    return this.#read(() => {
      const log = this.#entries.flatMap((entry) => (isInLog(entry, conversationId) ? [entry] : []));
      const range = log.filter(({ epoch, sequence }) => epoch >= fromEpoch && sequence > after && sequence <= last);
      return page(range.slice(0, limit)).map(({ sequence, bytes }) => ({ sequence, bytes: copy(bytes) }));
    });
  }

  readQueue({ clientId, after, limit }: QueueRange): Promise<QueueEntry[]> {
    return this.#read(() => {
      const waiting = this.#queues.filter((one) => one.clientId === clientId && one.cursor > after);
      const entries = waiting.map(({ cursor, entry: { conversationId, bytes } }) => ({
        cursor,
        conversationId,
        bytes,
      }));
      return page(entries.slice(0, limit)).map((entry) => ({ ...entry, bytes: copy(entry.bytes) }));
    });
  }

  acknowledge(clientId: Id, cursor: number): Promise<void> {
    return this.#write(() => {
      this.#queues = this.#queues.filter((one) => one.clientId !== clientId || one.cursor > cursor);
    });
  }

  async close(): Promise<void> {
    this.#open = false;
  }

  async #decide<Facts, Answer>(rule: Rule<Facts, Answer>, gather: () => Facts): Promise<Decision<Answer>> {
    for (;;) {
      let version = 0;
      const facts = await this.#read(() => {
        version = this.#version;
        return gather();
      });
      const decision = rule(facts);
      await roundTrip();
      if (version !== this.#version) continue;
      for (const effect of decision.effects) this.#apply(effect);
      if (decision.effects.length > 0) this.#version++;
      return decision;
    }
  }

  async #read<R>(work: () => R): Promise<R> {
    if (!this.#open) throw closed();
    await roundTrip();
    const answer = work();
    await roundTrip();
    return answer;
  }

  #write(work: () => void): Promise<void> {
    return this.#read(() => {
      work();
      this.#version++;
    });
  }

  #apply(effect: Effect): void {
    switch (effect.type) {
      case "deliver":
        this.#entries.push(effect.entry);
        for (const clientId of effect.to) {
          this.#queues.push({ clientId, cursor: ++this.#cursor, entry: effect.entry });
        }
        return;
      case "saveConversation":
        this.#conversations.set(effect.conversationId, effect);
        return;
      case "saveMember": {
        const members = this.#members.get(effect.conversationId) ?? new Map<Id, Member>();
        this.#members.set(effect.conversationId, members.set(effect.member.clientId, effect.member));
        return;
      }
      case "rememberAbort":
        this.#aborted.set(effect.commitId, effect.reason);
        return;
      case "publishKeyPackage":
        this.#published.push({ ...effect, spent: false });
        return;
      case "retireLastResort":
        for (const one of this.#published) {
          const { lastResort, cipherSuite } = one.keyPackage;
          one.spent ||= lastResort && one.clientId === effect.clientId && cipherSuite === effect.cipherSuite;
        }
        return;
      case "spendKeyPackage":
        for (const one of this.#published) one.spent ||= one.keyPackage.ref === effect.ref;
    }
  }

  #sequenceOf(messageId: string): number | undefined {
    return this.#entries.find((entry) => entry.messageId === messageId && entry.sequence !== undefined)?.sequence;
  }

  #conversation(conversationId: Id | undefined): Conversation | undefined {
    const saved = conversationId === undefined ? undefined : this.#conversations.get(conversationId);
    if (saved === undefined) return undefined;
    const lastSequence = this.#entries.filter((entry) => isInLog(entry, saved.conversationId)).length;
    return { epoch: saved.epoch, externalJoin: saved.externalJoin, lastSequence };
  }

  #present(conversationId: Id | undefined): Member[] {
    const members = conversationId === undefined ? undefined : this.#members.get(conversationId);
    return [...(members?.values() ?? [])].filter(({ leaves }) => leaves > 0);
  }

  #standing(conversationId: Id, clientId: Id): Standing {
    const member = this.#members.get(conversationId)?.get(clientId);
    return { conversation: this.#conversation(conversationId), member };
  }

  #publishers(refs: readonly Id[]): Publishers {
    const asked = this.#published.filter(({ keyPackage }) => refs.includes(keyPackage.ref));
    return new Map(asked.map(({ clientId, keyPackage }) => [keyPackage.ref, clientId]));
  }

  #available({ clientId, cipherSuite, now }: AboutSupply): PublishedKeyPackage[] {
    const supply = this.#published.filter((one) => one.clientId === clientId && !one.spent);
    return supply
      .map(({ keyPackage }) => ({ ...keyPackage, bytes: copy(keyPackage.bytes) }))
      .filter((keyPackage) => keyPackage.cipherSuite === cipherSuite && keyPackage.notAfter.getTime() > now);
  }

  #supply(about: AboutSupply): Supply {
    const available = this.#available(about);
    return {
      oldest: available.find(({ lastResort }) => !lastResort),
      lastResort: available.find(({ lastResort }) => lastResort),
    };
  }
}

const isInLog = (entry: Entry, conversationId: Id): entry is Entry & { sequence: number } =>
  entry.conversationId === conversationId && entry.sequence !== undefined;
const copy = (bytes: Uint8Array) => new Uint8Array(bytes);
/** The way to a database and back: other calls go on meanwhile. */
const roundTrip = () => new Promise<void>((resolve) => setImmediate(resolve));
