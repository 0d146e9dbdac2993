import type { Id } from "conclave-mls";
import type { DeliveryService } from "conclave-mls/delivery-service";
import { messageIdOf } from "./message-list.js";
import type { PersonProcess } from "./person-process.js";
import type { Kill } from "./record.js";

/**
 * Stands before the delivery service, where everybody comes by, and has somebody killed there at the worst moment: the service
 * has taken a message of theirs, and the answer is not on its way yet; messages of others are; and for what was read since the
 * ambush was laid, the acknowledgements have got lost.
 */
export class Ambush {
  /** What everybody talks to. */
  readonly service: DeliveryService;
  readonly #behind: DeliveryService;
  #trap: Trap | undefined;

  constructor(behind: DeliveryService) {
    this.#behind = behind;
    this.service = {
      publishKeyPackages: (...args) => behind.publishKeyPackages(...args),
      claimKeyPackage: (...args) => behind.claimKeyPackage(...args),
      countKeyPackages: (...args) => behind.countKeyPackages(...args),
      withdrawKeyPackages: (...args) => behind.withdrawKeyPackages(...args),
      sendCommit: (...args) => behind.sendCommit(...args),
      sendMessage: (clientId, message) => this.#sendMessage(clientId, message),
      fetch: (...args) => behind.fetch(...args),
      groupInfo: (...args) => behind.groupInfo(...args),
      pull: (...args) => behind.pull(...args),
      acknowledge: (clientId, cursor) => this.#acknowledge(clientId, cursor),
      close: () => behind.close(),
      [Symbol.asyncDispose]: () => behind.close(),
    };
  }

  /**
   * Lies in wait for this person, who is about to send so many messages, as is everybody else, and resolves when the process is
   * being killed. Half of the messages come through; of everybody else's, not more than one beyond that until it has happened, so
   * that there are always some who speak on.
   */
  lieInWaitFor(victim: PersonProcess, share: number): Promise<Omit<Kill, "act" | "secondsAway" | "processes">> {
    const read = signal();
    const dead = signal();
    const half = Math.floor(share / 2);
    return new Promise((resolve, reject) => {
      const strike = async (unanswered: Id): Promise<void> => {
        await read.given;
        resolve({ name: victim.name, unanswered, unacknowledged: await this.#waitingFor(victim.name) });
        await victim.crash();
        this.#trap = undefined;
        dead.give();
      };
      this.#trap = {
        victim: victim.name,
        sent: new Map(),
        until: half,
        othersUntil: half + 1,
        dead: dead.given,
        onRead: read.give,
        strike: (unanswered) => strike(unanswered).catch(reject),
      };
    });
  }

  async #waitingFor(clientId: Id): Promise<number> {
    let count = 0;
    for (let after: number | undefined = 0; after !== undefined;) {
      const entries = await this.#behind.pull(clientId, { after });
      count += entries.length;
      after = entries.at(-1)?.cursor;
    }
    return count;
  }

  async #sendMessage(clientId: Id, message: Uint8Array) {
    const trap = this.#trap;
    const sent = trap === undefined ? 0 : (trap.sent.get(clientId) ?? 0) + 1;
    trap?.sent.set(clientId, sent);
    if (trap !== undefined && clientId !== trap.victim && sent > trap.othersUntil) await trap.dead;
    const answer = await this.#behind.sendMessage(clientId, message);
    if (clientId === trap?.victim && sent === trap.until) await trap.strike(messageIdOf(message));
    return answer;
  }

  async #acknowledge(clientId: Id, cursor: number): Promise<void> {
    if (clientId === this.#trap?.victim) this.#trap.onRead();
    else await this.#behind.acknowledge(clientId, cursor);
  }
}

interface Trap {
  readonly victim: string;
  /** How many messages came from each person since it was laid. */
  readonly sent: Map<string, number>;
  /** The victim's message that springs it. */
  readonly until: number;
  readonly othersUntil: number;
  readonly dead: Promise<void>;
  /** The victim has read something. */
  readonly onRead: () => void;
  readonly strike: (unanswered: Id) => Promise<void>;
}

function signal(): { given: Promise<void>; give: () => void } {
  let give = (): void => {};
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give: () => give() };
}
