import type { Id, MlsTransportResponse } from "../../lib/index.js";
import { closed } from "../errors.js";
import type { CommitFacts } from "../rules/commit.js";
import type { Decision, Effect } from "../rules/decision.js";
import type { Publishers, Supply } from "../rules/key-package.js";
import type { MessageFacts } from "../rules/message.js";
import type { GroupInfoFacts, LogRange, QueueRange, Standing } from "../rules/reading.js";
import type { LogEntry, PublishedKeyPackage, QueueEntry, SentMessage } from "../service.js";
import type { AboutCommit, AboutMessage, AboutSupply, Rule, Store } from "../store.js";
import { abortedCommitTable } from "./aborted-commits.js";
import { conversationTable } from "./conversations.js";
import { type Database, openDatabase, storageError } from "./database.js";
import { entryTable } from "./entries.js";
import { keyPackageTable } from "./key-packages.js";
import { memberTable } from "./members.js";
import { queueTable } from "./queues.js";

/** Everything in one SQLite file. A call runs from beginning to end before another call begins. */
export class SqliteStore implements Store {
  readonly #database: Database;
  readonly #transaction: (work: () => unknown) => unknown;
  readonly #tables: Tables;

  /** Without a path in memory: gone with `close`. */
  static async open(path: string | undefined): Promise<SqliteStore> {
    return new SqliteStore(await openDatabase(path));
  }

  private constructor(database: Database) {
    this.#database = database;
    const transaction = database.transaction((work: () => unknown) => work());
    this.#transaction = (work) => transaction.immediate(work);
    this.#tables = tablesOf(database);
  }

  async sendCommit(
    { commitId, conversationId, keyPackageRefs }: AboutCommit,
    rule: Rule<CommitFacts, MlsTransportResponse>,
  ): Promise<Decision<MlsTransportResponse>> {
    return this.#decide(rule, ({ entries, abortedCommits, conversations, members, keyPackages }) => ({
      sequence: entries.sequenceOf(commitId),
      abortedBefore: abortedCommits.reasonOf(commitId),
      conversation: conversationId === undefined ? undefined : conversations.find(conversationId),
      members: conversationId === undefined ? [] : members.present(conversationId),
      publishers: keyPackages.publishersOf(keyPackageRefs),
    }));
  }

  async sendMessage(
    { messageId, conversationId }: AboutMessage,
    rule: Rule<MessageFacts, SentMessage>,
  ): Promise<Decision<SentMessage>> {
    return this.#decide(rule, ({ entries, conversations, members }) => ({
      sequence: entries.sequenceOf(messageId),
      conversation: conversationId === undefined ? undefined : conversations.find(conversationId),
      members: conversationId === undefined ? [] : members.present(conversationId),
    }));
  }

  async publishKeyPackages(refs: readonly Id[], rule: Rule<Publishers, undefined>): Promise<Decision<undefined>> {
    return this.#decide(rule, ({ keyPackages }) => keyPackages.publishersOf(refs));
  }

  async claimKeyPackage(
    about: AboutSupply,
    rule: Rule<Supply, PublishedKeyPackage | undefined>,
  ): Promise<Decision<PublishedKeyPackage | undefined>> {
    return this.#decide(rule, ({ keyPackages }) => keyPackages.supplyOf(about));
  }

  async countKeyPackages(about: AboutSupply): Promise<number> {
    return this.#run(({ keyPackages }) => keyPackages.count(about));
  }

  async withdrawKeyPackages(clientId: Id): Promise<void> {
    this.#run(({ keyPackages }) => keyPackages.withdraw(clientId));
  }

  async standing(conversationId: Id, clientId: Id): Promise<Standing> {
    return this.#run(({ conversations, members }) => ({
      conversation: conversations.find(conversationId),
      member: members.find(conversationId, clientId),
    }));
  }

  async groupInfo(conversationId: Id, clientId: Id): Promise<GroupInfoFacts> {
    return this.#run(({ conversations, members }) => ({
      conversation: conversations.findWithGroupInfo(conversationId),
      member: members.find(conversationId, clientId),
    }));
  }

  async readLog(range: LogRange): Promise<LogEntry[]> {
    return this.#run(({ entries }) => entries.read(range));
  }

  async readQueue(range: QueueRange): Promise<QueueEntry[]> {
    return this.#run(({ queues }) => queues.read(range));
  }

  async acknowledge(clientId: Id, cursor: number): Promise<void> {
    this.#run(({ queues }) => queues.drop(clientId, cursor));
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  /** Facts, decision, effects: in one transaction. */
  #decide<Facts, Answer>(rule: Rule<Facts, Answer>, gather: (tables: Tables) => Facts): Decision<Answer> {
    return this.#run((tables) => {
      const decision = rule(gather(tables));
      for (const effect of decision.effects) apply(effect, tables);
      return decision;
    });
  }

  /** One transaction, begun and ended without giving way to another call. */
  #run<R>(work: (tables: Tables) => R): R {
    if (!this.#database.open) throw closed();
    try {
      return this.#transaction(() => work(this.#tables)) as R;
    } catch (error) {
      throw storageError(error);
    }
  }
}

function apply(effect: Effect, tables: Tables): void {
  switch (effect.type) {
    case "deliver": {
      const entry = tables.entries.insert(effect.entry);
      for (const clientId of effect.to) tables.queues.put(clientId, entry);
      return;
    }
    case "saveConversation":
      tables.conversations.save(effect);
      return;
    case "saveMember":
      tables.members.save(effect);
      return;
    case "rememberAbort":
      tables.abortedCommits.insert(effect);
      return;
    case "publishKeyPackage":
      tables.keyPackages.publish(effect);
      return;
    case "retireLastResort":
      tables.keyPackages.retireLastResort(effect);
      return;
    case "spendKeyPackage":
      tables.keyPackages.spend(effect);
  }
}

function tablesOf(database: Database) {
  return {
    entries: entryTable(database),
    queues: queueTable(database),
    conversations: conversationTable(database),
    members: memberTable(database),
    abortedCommits: abortedCommitTable(database),
    keyPackages: keyPackageTable(database),
  };
}
type Tables = ReturnType<typeof tablesOf>;
