/** How an application deals with what it receives. All but the first are mistakes that show only when it is killed. */
export type Habit = "careful" | Mistake;

/** What applications do wrong. */
export type Mistake =
  /** It acknowledges what it pulled, and then receives it. */
  | "acknowledges first"
  /** It notes in `deliver` what came, and stores it when the call has returned. */
  | "stores afterwards"
  /** It moves its cursor, and then receives what is before it. */
  | "moves its cursor first"
  /** It stores in `deliver`, but not by the messageId. */
  | "stores without a key";

/** Where it must be killed to pay for a mistake: at the moments of these names. */
export const REVEALED_AT: Readonly<Record<Mistake, string>> = {
  "acknowledges first": "after acknowledge",
  "stores afterwards": "after receive",
  "moves its cursor first": "after setData",
  "stores without a key": "after storing a row",
};
