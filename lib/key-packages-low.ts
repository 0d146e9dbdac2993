import { cipherSuiteOf } from "./cipher-suite.js";
import type { KeyPackagesLow } from "./events.js";
import type { SessionState } from "./state.js";

/** Tells all listeners of `keyPackagesLow` of every suite that few key packages are left of. Never rejects. */
export async function warnWhenLow(state: SessionState): Promise<void> {
  for (const low of await state.keyPackages.low()) state.events.emit("keyPackagesLow", low);
}

/**
 * How many key packages are left, for the event `keyPackagesLow`. The event is a hint that comes beside the calls of the application
 * and keeps nothing alive: when the next one falls due because packages expire, that is noticed at the first native call after it.
 */
export class KeyPackageWatch {
  readonly #state: SessionState;
  /** When so many will have expired that the event is due; infinity: not as far as is known. */
  #dueMs = Infinity;

  constructor(state: SessionState) {
    this.#state = state;
  }

  /** The suites of the client's credentials that few are left of; none when that cannot be found out, or the session is closed. */
  async low(): Promise<KeyPackagesLow[]> {
    try {
      return await this.#count();
    } catch {
      return [];
    }
  }

  /** Their number has changed by what the application did, who need not be told; only when the event is due is another moment. */
  async changed(): Promise<void> {
    if (this.#state.events.isHeard("keyPackagesLow")) await this.low();
  }

  /** A native call is about to be made. */
  callIsMade(): void {
    if (this.#dueMs === Infinity || this.#state.settings.clock.now() < this.#dueMs) return;
    this.#dueMs = Infinity;
    void warnWhenLow(this.#state);
  }

  async #count(): Promise<KeyPackagesLow[]> {
    const threshold = this.#state.settings.keyPackagesLowAt;
    const [credentials, keyPackages] = await this.#state.direct.step((native) =>
      Promise.all([native.credentials(), native.keyPackages(false)]),
    );
    const low: KeyPackagesLow[] = [];
    let dueMs = Infinity;
    for (const number of new Set(credentials.map((credential) => credential.cipherSuite))) {
      const cipherSuite = cipherSuiteOf(number);
      if (cipherSuite === undefined) continue;
      const left = keyPackages.filter((one) => one.cipherSuite === number && !one.lastResort && !one.expired);
      const ends = left.map((one) => one.notAfterMs).sort((a, b) => a - b);
      // When so many of them have expired, no more are left than the threshold.
      const lastToSpare = ends[ends.length - threshold - 1];
      if (lastToSpare === undefined) low.push({ cipherSuite, count: ends.length });
      else dueMs = Math.min(dueMs, lastToSpare);
    }
    this.#state.refuseWhenClosed(); // Asked before that, and answered after it: nobody is told any more.
    this.#dueMs = dueMs;
    return low;
  }
}
