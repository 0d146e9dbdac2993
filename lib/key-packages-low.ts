import { cipherSuiteOf } from "./cipher-suite.js";
import type { SessionState } from "./state.js";

/**
 * Emits `keyPackagesLow` for every suite of the client's credentials that has few key packages left. Never rejects: it is a
 * hint that comes beside the call that caused it, and comes again with the next.
 */
export async function warnWhenLow(state: SessionState): Promise<void> {
  const { keyPackagesLowAt, clock } = state.settings;
  try {
    const [credentials, keyPackages] = await state.direct.step((native) =>
      Promise.all([native.credentials(), native.keyPackages()]),
    );
    for (const number of new Set(credentials.map((credential) => credential.cipherSuite))) {
      const left = keyPackages.filter(
        (one) => one.cipherSuite === number && !one.lastResort && one.notAfterMs > clock.now(),
      );
      const cipherSuite = cipherSuiteOf(number);
      if (cipherSuite === undefined || left.length > keyPackagesLowAt) continue;
      state.events.emit("keyPackagesLow", { cipherSuite, count: left.length });
    }
  } catch {
    // Closed or failing: the calls of the application say so.
  }
}
