import type { DeliveryService } from "../../delivery-service/index.js";
import { SimulatedClock } from "../clock.js";
import { type Faults, noFaults } from "../faults.js";
import { OLD_WELCOME } from "../faulty-queue.js";
import { OLD_GROUP_INFO } from "../faulty-service.js";
import { FaultyNetwork } from "../network.js";
import { SeededRandom } from "../random.js";
import { History } from "./history.js";
import { Truth } from "./truth.js";

/** What all people of one simulation share: the time, the chance, the server and its network, and the record. */
export class World {
  readonly random: SeededRandom;
  readonly clock = new SimulatedClock();
  readonly history: History;
  readonly truth: Truth;
  /** The server as clients reach it. */
  readonly service: DeliveryService;
  readonly #network: FaultyNetwork;
  readonly #ongoing = new Set<Promise<void>>();
  faults: Faults;
  /** The same without the network, for guests. */
  readonly directly: DeliveryService;
  /** Whether a key package can be too old, or too young, for who was given it: clocks are wrong, or months pass. */
  keyPackagesAge = false;

  constructor(seed: string | number, faults: Faults, service: DeliveryService) {
    this.random = new SeededRandom(seed);
    this.history = new History(this.clock);
    this.truth = new Truth(this.history);
    this.faults = faults;
    const onFault = (clientId: string, fault: string): void => {
      this.history.count("faults");
      if (fault === OLD_WELCOME) this.history.count("Welcomes replayed");
      if (fault === OLD_GROUP_INFO) this.history.count("GroupInfos replayed");
      this.history.tell(clientId, `~ ${fault}`);
    };
    this.#network = new FaultyNetwork({ clock: this.clock, random: this.random.stream("network"), faults, onFault });
    this.directly = this.truth.witnessing(service);
    this.service = this.#network.over(this.directly);
  }

  /** Keeps an action in mind until it has ended. */
  goesOn(action: Promise<void>): void {
    const ended = action.finally(() => this.#ongoing.delete(ended));
    this.#ongoing.add(ended);
  }

  /** Nothing goes wrong any more. */
  calm(): void {
    this.faults = noFaults;
    this.#network.calm();
  }

  /** Lets the time pass until all actions have ended and nothing is on its way. False: some wait for what never comes. */
  async settles(): Promise<boolean> {
    while (await this.clock.next());
    return this.#ongoing.size === 0;
  }
}
