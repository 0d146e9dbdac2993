import type { DeliveryService } from "../delivery-service/index.js";
import { DeliveryError } from "../delivery-service/errors.js";
import type { SimulatedClock } from "./clock.js";
import { type NetworkFaults, noFaults, usualFaults } from "./faults.js";
import { FaultyDeliveryService } from "./faulty-service.js";
import type { SeededRandom } from "./random.js";

/** What a {@link FaultyNetwork} is made of. */
export interface NetworkOptions {
  /** The time that requests take is this clock's. */
  readonly clock: SimulatedClock;
  /** Decides what goes wrong; all of it and nothing else comes from here. */
  readonly random: SeededRandom;
  /** What goes wrong how often; {@link usualFaults} for what is not given. */
  readonly faults?: Partial<NetworkFaults>;
  /** Told of everything that goes wrong, for a history. */
  readonly onFault?: (clientId: string, fault: string) => void;
}

/**
 * The way between clients and a delivery service, with what goes wrong there. A client cannot tell it from a bad day: the
 * duties of `docs/server.md` are kept, so that honest clients must come through.
 */
export class FaultyNetwork {
  /** Where its requests wait. */
  readonly clock: SimulatedClock;
  readonly #random: SeededRandom;
  readonly #onFault: (clientId: string, fault: string) => void;
  #faults: NetworkFaults;

  /** A network of its own; `over` puts it before a service. */
  constructor({ clock, random, faults, onFault }: NetworkOptions) {
    this.clock = clock;
    this.#random = random;
    this.#faults = { ...usualFaults, ...faults };
    this.#onFault = onFault ?? (() => {});
  }

  /** The same service, reached through this network. Hand it to `transportOf` and to everything else that uses a service. */
  over(service: DeliveryService): DeliveryService {
    return new FaultyDeliveryService(service, this);
  }

  /** Nothing goes wrong from here on. What is on its way arrives as it was going to. */
  calm(): void {
    this.#faults = noFaults;
  }

  /** One request of a client: on its way, carried out at the other end, and its answer on its way back. */
  async request<R>(clientId: string, what: string, carryOut: () => Promise<R>): Promise<R> {
    const lost = this.happens("requestLost", clientId, `${what} was lost on its way`);
    const unanswered = !lost && this.happens("unanswered", clientId, `${what} is never answered`);
    const answerLost = !lost && !unanswered && this.happens("answerLost", clientId, `the answer to ${what} was lost`);
    if (!lost && this.happens("requestRepeated", clientId, `${what} arrives twice`)) {
      const copy = async (): Promise<unknown> => this.clock.during(carryOut());
      this.clock.after(this.#way() + this.#way() + this.#way(), () => void copy().catch(() => {}));
    }
    await this.#travel();
    if (lost) throw unreachable();
    // Its failure travels back as well, and can be lost.
    const carried = await this.clock.during(settled(carryOut()));
    if (unanswered) await new Promise<never>(() => {});
    await this.#travel();
    if (answerLost) throw unreachable();
    if (carried.status === "rejected") throw carried.reason;
    return carried.value;
  }

  /** Whether this goes wrong now; if so, it is told. */
  happens(fault: Exclude<keyof NetworkFaults, "delayMs">, clientId: string, words: string): boolean {
    if (!this.#random.chance(this.#faults[fault])) return false;
    this.#onFault(clientId, words);
    return true;
  }

  /** Makes the choices of faults, for what belongs to one of them. */
  get random(): SeededRandom {
    return this.#random;
  }

  /** Even without delay a request takes a moment of its own: two of them never share one. */
  #travel(): Promise<void> {
    return this.clock.sleep(this.#way());
  }

  #way(): number {
    return this.#random.below(this.#faults.delayMs + 1);
  }
}

async function settled<R>(work: Promise<R>): Promise<PromiseSettledResult<R>> {
  const [result] = await Promise.allSettled([work]);
  return result;
}

function unreachable(): DeliveryError {
  return new DeliveryError("UNREACHABLE", "The connection broke (simulated). Whether the call took effect is unknown.");
}
