import type { Random } from "../random.js";
import type { Moment } from "./post-office.js";

/** When a client is killed: some time after its start, or in the middle of something that it does. */
export type Occasion =
  | { readonly at: "time"; readonly ms: number }
  /** When this many requests of it have arrived; before they are served, or when they are and the answer is not out. */
  | { readonly at: "request"; readonly count: number; readonly moment: Moment }
  /** When this many messages were handed out to it. */
  | { readonly at: "sealed"; readonly count: number }
  /** At this operation on its keystore's files; a write is then half done. */
  | { readonly at: "operation"; readonly count: number };

/** The longest life of a client, in milliseconds: an occasion that does not come ends it then. */
export const LONGEST_LIFE = 1_500;

/** Chooses an occasion. */
export function occasion(random: Random): Occasion {
  switch (random.weighted({ time: 3, request: 3, sealed: 4, operation: 3 })) {
    case "time":
      return { at: "time", ms: 60 + random.below(500) };
    case "request":
      return { at: "request", count: 1 + random.below(40), moment: random.of(["before", "after"]) };
    case "sealed":
      return { at: "sealed", count: 1 + random.below(25) };
    case "operation":
      return { at: "operation", count: 1 + random.below(random.of([60, 400])) };
  }
}
