/** How often the network does what, each from 0 (never) to 1 (always). What it does is what a server and a network really can do. */
export interface NetworkFaults {
  /** The longest time that a request, or its answer, is on its way, in simulated milliseconds. */
  readonly delayMs: number;
  /** A request does not arrive; the caller gets an error. */
  readonly requestLost: number;
  /** A request is carried out and its answer does not arrive; the caller gets an error. */
  readonly answerLost: number;
  /** A request is carried out, and the caller never hears anything. */
  readonly unanswered: number;
  /** A copy of a request arrives a second time, later. */
  readonly requestRepeated: number;
  /** A commit is answered `retry` and not looked at. */
  readonly retry: number;
  /** A commit is accepted and answered `retry`, as by a server that does not know yet. */
  readonly retryAfterAccepting: number;
  /** A commit is answered `abort`, and for ever. */
  readonly abort: number;
  /** A commit is accepted, or not, by the rules, and the answer is nonsense. */
  readonly garbage: number;
  /** What waits for a client is held back, and comes with a later answer. */
  readonly held: number;
  /** What waits for a client comes in another order; never mixed over more than five entries. */
  readonly reordered: number;
  /** Something comes twice, perhaps after it was acknowledged. */
  readonly repeated: number;
  /** A copy with one bit changed comes before the genuine message. */
  readonly tampered: number;
  /** With what waits for a client comes an old Welcome of that client, which it may have used long ago. */
  readonly welcomeReplayed: number;
  /** Who asks for the GroupInfo of a conversation gets that of an epoch that is over. */
  readonly groupInfoReplayed: number;
}

/** What else can happen in a simulation. */
export interface Faults extends NetworkFaults {
  /** A client closes its session in the middle of an action, and opens the keystore again later. */
  readonly crash: number;
  /** `deliver`, or the callback of a transaction, throws. */
  readonly thrown: number;
  /** The caller of a commit aborts its signal after a while. */
  readonly givenUp: number;
  /** A client's own clock is wrong from the beginning, by up to three days, and jumps now and then. */
  readonly clockWrong: number;
  /** Before an action somebody goes away, for longer than a key package is good. */
  readonly absent: number;
}

/** A network that is bad enough to meet every case within a few dozen steps, and good enough to get on. */
export const usualFaults: Faults = {
  delayMs: 400,
  requestLost: 0.05,
  answerLost: 0.08,
  unanswered: 0.03,
  requestRepeated: 0.08,
  retry: 0.1,
  retryAfterAccepting: 0.08,
  abort: 0.05,
  garbage: 0.05,
  held: 0.15,
  reordered: 0.25,
  repeated: 0.1,
  tampered: 0.08,
  welcomeReplayed: 0.05,
  groupInfoReplayed: 0.1,
  crash: 0.2,
  thrown: 0.35,
  givenUp: 0.1,
  clockWrong: 0.3,
  absent: 0.01,
};

/** Everything arrives at once, in order, and is answered by the rules. */
export const noFaults: Faults = {
  delayMs: 0,
  requestLost: 0,
  answerLost: 0,
  unanswered: 0,
  requestRepeated: 0,
  retry: 0,
  retryAfterAccepting: 0,
  abort: 0,
  garbage: 0,
  held: 0,
  reordered: 0,
  repeated: 0,
  tampered: 0,
  welcomeReplayed: 0,
  groupInfoReplayed: 0,
  crash: 0,
  thrown: 0,
  givenUp: 0,
  clockWrong: 0,
  absent: 0,
};
