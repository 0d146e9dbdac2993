/** A clock that stands still until the test moves it, and spreads nothing. */
export { SimulatedClock as FakeClock } from "conclave-mls/testing";
