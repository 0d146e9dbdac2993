import { type Database, type Id, MlsError } from "conclave-mls";
import { DeliveryError, type DeliveryService } from "conclave-mls/delivery-service";
import { Client } from "./client.js";
import { type Task, TaskList } from "./task-list.js";

/** Answers every message in every conversation it is in, exactly once, and adds and removes members when it is asked to. */
export class Bot {
  readonly client: Client;
  readonly tasks: TaskList;
  /** Resolves after `leave()`, and rejects when the bot cannot go on. */
  readonly working: Promise<void>;
  readonly #attended = new Map<Id, Promise<void>>();
  #fail: (error: unknown) => void = () => {};
  #leaving = false;

  /** Opens the bot on its keystore. What it has left undone it does now. */
  static async arrive(name: Id, service: DeliveryService, database: Database): Promise<Bot> {
    const tasks = new TaskList();
    const bot = new Bot(await Client.arrive(name, service, database, tasks.deliver), tasks);
    for (const id of await bot.client.session.conversations()) bot.#attend(id);
    return bot;
  }

  private constructor(client: Client, tasks: TaskList) {
    this.client = client;
    this.tasks = tasks;
    tasks.onDue = () => client.wake();
    this.working = Promise.race([client.reading, new Promise<void>((_, reject) => (this.#fail = reject))]);
    client.session.on("conversationChanged", ({ conversationId }) => this.#attend(conversationId));
  }

  /** Finishes what it is doing and closes the session. */
  async leave(): Promise<void> {
    this.#leaving = true;
    this.client.wake();
    await Promise.all(this.#attended.values());
    await this.client.leave();
  }

  /** Conversations do not wait for each other: one worker for each. */
  #attend(id: Id): void {
    if (this.#attended.has(id)) return;
    const worker = this.#work(id);
    this.#attended.set(id, worker);
    worker.catch(this.#fail);
  }

  async #work(id: Id): Promise<void> {
    const { session } = this.client;
    while (!this.#leaving) {
      this.tasks.due.delete(id);
      for (let task = await this.tasks.next(session, id); task; task = await this.tasks.next(session, id)) {
        await this.#serve(id, task);
      }
      await this.client.until(() => this.tasks.due.has(id) || this.#leaving);
    }
  }

  /** One step: find the answer, or send it. */
  async #serve(id: Id, { request, answer }: Task): Promise<void> {
    const { session, service, name } = this.client;
    try {
      if (answer === undefined) {
        const words = await this.#answerTo(id, request);
        await session.transaction(async (tx) => {
          const bytes = await tx.conversation(id).encrypt(new TextEncoder().encode(words));
          await this.tasks.setAnswer(tx, id, bytes);
        });
      } else {
        await this.client.persist(() => service.sendMessage(name, Buffer.from(answer, "base64")));
        await session.transaction((tx) => this.tasks.remove(tx, id));
      }
    } catch (error) {
      await this.#giveUp(id, error);
    }
  }

  async #answerTo(id: Id, request: string): Promise<string> {
    const [, verb = "", name = ""] = /^(\w+) (.+)$/.exec(request) ?? [];
    const conversation = this.client.session.conversation(id);
    const isIn = (members: ReadonlySet<Id>): boolean => members.has(name);
    switch (verb) {
      case "ping":
        return `${request}: pong`;
      case "add": {
        const invitee = await this.client.invitationOf(name);
        await this.client.commitUntil(id, isIn, () => conversation.addMembers([invitee]));
        return `${request}: done`;
      }
      case "remove":
        await this.client.commitUntil(
          id,
          (members) => !isIn(members),
          () => conversation.removeMembers([name]),
        );
        return `${request}: done`;
      default:
        return `${request}: I know ping, add and remove.`;
    }
  }

  async #giveUp(id: Id, error: unknown): Promise<void> {
    const { session } = this.client;
    if (MlsError.is(error, "CONVERSATION_INACTIVE") || DeliveryError.is(error, "NOT_A_MEMBER")) {
      await session.transaction((tx) => this.tasks.clear(tx, id)); // It was removed, and has nothing to say there any more.
    } else if (DeliveryError.is(error, "EPOCH_TOO_OLD")) {
      // Not stored by the server, and never will be. It is encrypted again when the newer commits are here.
      const epoch = this.client.epochs.get(id);
      await session.transaction((tx) => this.tasks.setAnswer(tx, id, undefined));
      await this.client.until(() => this.client.epochs.get(id) !== epoch || this.#leaving);
    } else throw error;
  }
}
