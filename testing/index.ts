/**
 * For tests: a clock that a test moves, a network that goes wrong as its seed says, and a simulation of many clients on both.
 * `docs/simulation.md` shows how. Nothing of it belongs into a program that holds real keys.
 *
 * {@link simulate} uses the embedded delivery service, which needs better-sqlite3, unless it is given another; the rest needs none.
 *
 * @module conclave-mls/testing
 */
export { type Clock, withClock } from "../lib/clock.js";
export { SimulatedClock } from "./clock.js";
export { type Faults, type NetworkFaults, noFaults, usualFaults } from "./faults.js";
export { FaultyNetwork, type NetworkOptions } from "./network.js";
export { SeededRandom } from "./random.js";
export type { Guest, GuestFactory, GuestWorld } from "./simulation/guest.js";
export { simulate, type SimulationOptions, SimulationResult } from "./simulate.js";
