import { Database, type Id } from "conclave-mls";
import type { DeliveryService } from "conclave-mls/delivery-service";
import { Client } from "./client.js";
import { troubleIn } from "./task-list.js";

/** Somebody who talks to the bot, and remembers what everybody said. */
export class Person {
  readonly client: Client;
  /** What was asked, and in which conversation. */
  readonly asked: Line[] = [];
  /** What was heard, by message id. */
  readonly heard: Map<Id, Line>;
  readonly trouble: string[];

  /** Comes with a keystore in memory, and publishes key packages. */
  static async arrive(name: Id, service: DeliveryService, keyPackages: number): Promise<Person> {
    const heard = new Map<Id, Line>();
    const trouble: string[] = [];
    let wake = (): void => {};
    const client = await Client.arrive(name, service, await Database.inMemory(), (received) => {
      for (const one of received) {
        if (one.type === "message") {
          const { messageId, conversationId, sender } = one;
          heard.set(messageId, { conversationId, by: sender.clientId, text: new TextDecoder().decode(one.plaintext) });
        }
        const found = troubleIn(one);
        if (found !== undefined) trouble.push(found);
      }
      wake();
    });
    wake = () => client.wake();
    await client.publishKeyPackages(keyPackages);
    return new Person(client, heard, trouble);
  }

  private constructor(client: Client, heard: Map<Id, Line>, trouble: string[]) {
    this.client = client;
    this.heard = heard;
    this.trouble = trouble;
  }

  get name(): Id {
    return this.client.name;
  }

  /** Says something and waits for the answer. */
  async asks(id: Id, text: string): Promise<void> {
    await this.isIn(id);
    this.asked.push({ conversationId: id, by: this.name, text });
    await this.says(id, text);
    await this.client.until(() => answersTo(text, id, this.heard.values()).length > 0);
  }

  /** Says something. */
  async says(id: Id, text: string): Promise<void> {
    const message = await this.client.session.conversation(id).encrypt(new TextEncoder().encode(text));
    await this.client.persist(() => this.client.service.sendMessage(this.name, message));
  }

  /** Changes the own keys. Whoever commits at the same moment is told to retry, or this one is. */
  async updatesKeys(id: Id): Promise<void> {
    await this.isIn(id);
    let tried = false;
    await this.client.commitUntil(
      id,
      () => tried,
      () => ((tried = true), this.client.session.conversation(id).updateKeys()),
    );
  }

  /** Removes somebody. */
  async removes(id: Id, name: Id): Promise<void> {
    const conversation = this.client.session.conversation(id);
    await this.client.commitUntil(
      id,
      (members) => !members.has(name),
      () => conversation.removeMembers([name]),
    );
  }

  /** Resolves when this person has joined. */
  isIn(id: Id): Promise<void> {
    return this.client.until(() => this.client.epochs.has(id));
  }
}

/** Something that was said. */
export interface Line {
  readonly conversationId: Id;
  readonly by: Id;
  readonly text: string;
}

/** The bot repeats what it was asked in front of its answer. */
export function answersTo(request: string, conversationId: Id, heard: Iterable<Line>): Line[] {
  return [...heard].filter((line) => line.conversationId === conversationId && line.text.startsWith(`${request}: `));
}
