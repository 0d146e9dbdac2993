import type { CommitKind } from "./commit-kind.js";
import { type Deferred, deferred } from "./deferred.js";
import type { MlsError } from "./errors.js";
import type { Id } from "./id.js";
import type { NativeStagedCommit } from "./native-binding.js";
import type { Change } from "./records.js";
import { Turn } from "./turn.js";
import { Bell } from "./wait.js";

/** What became of a commit. */
export type Outcome = "merged" | "lost";

/** The way of one conversation's commits to the server: one after the other. */
export class Lane {
  /** Whose commit it is; the next ones wait in the order of their calls. */
  readonly turn = new Turn();
  /** The commit that is staged and has a caller who waits for it. */
  flight: Flight | undefined;
  /** The last epoch that the application has read itself; a retry that reads handshakes only keeps near it. */
  readUpTo: bigint | undefined;
  /** Rings when the conversation is in another epoch. */
  readonly epochs = new Bell();
  /** Rings when the application itself has received something that could be judged. */
  readonly hearings = new Bell();

  /** The application itself has received something of this epoch. */
  hears(epoch: bigint): void {
    if (this.readUpTo !== undefined && epoch > this.readUpTo) this.readUpTo = epoch;
    this.hearings.ring();
  }
}

/** A commit on its way. Whoever learns first what became of it says so here. */
export class Flight {
  readonly staged: NativeStagedCommit;
  readonly kind: CommitKind;
  /** Whether it was staged by the call that waits for it, and not found open. */
  readonly fresh: boolean;
  /** For a commit that creates the conversation: everybody who is in it then. */
  readonly founding: Change | undefined;
  /** How often this flight has sent it. */
  sends = 0;
  /** The commit that took its epoch has removed this client: what was asked for ended with that membership. */
  removed = false;
  /** For an external commit: a Welcome to a later epoch has brought this client in meanwhile. */
  joined = false;
  /** What failed on this machine while it was sent or merged, when that is why it stays open. */
  failure: MlsError | undefined;
  #outcome: Outcome | undefined;
  readonly #settled: Deferred<Outcome> = deferred();
  readonly #merged: Deferred<void> = deferred();

  constructor(staged: NativeStagedCommit, kind: CommitKind, fresh: boolean, founding?: Change) {
    this.staged = staged;
    this.kind = kind;
    this.fresh = fresh;
    this.founding = founding;
  }

  /** What became of it, once that is known. */
  outcome(): Outcome | undefined {
    return this.#outcome;
  }

  /** Resolves when it is known what became of it. */
  get settled(): Promise<Outcome> {
    return this.#settled.promise;
  }

  /** Resolves when it was accepted; never when it was lost. */
  get merged(): Promise<void> {
    return this.#merged.promise;
  }

  /** Says what became of it; the first word counts. */
  settle(outcome: Outcome): void {
    this.#outcome ??= outcome;
    this.#settled.resolve(outcome);
    if (this.#outcome === "merged") this.#merged.resolve();
  }
}

/** The lanes of all conversations of one session. */
export class Lanes {
  readonly #lanes = new Map<Id, Lane>();
  #closed: (() => MlsError) | undefined;

  /** The lane of this conversation. */
  of(conversationId: Id): Lane {
    let lane = this.#lanes.get(conversationId);
    if (lane === undefined) {
      lane = new Lane();
      if (this.#closed !== undefined) lane.turn.close(this.#closed);
      this.#lanes.set(conversationId, lane);
    }
    return lane;
  }

  /** The lane of this conversation if a commit was ever made in it. */
  find(conversationId: Id): Lane | undefined {
    return this.#lanes.get(conversationId);
  }

  /** Whether a caller waits for this commit. */
  isLive(commitId: Id): boolean {
    for (const { flight } of this.#lanes.values())
      if (flight?.staged.commitId === commitId && flight.fresh) return true;
    return false;
  }

  /** Rejects all who wait for their commit to be next. */
  close(reason: () => MlsError): void {
    this.#closed = reason;
    for (const { turn } of this.#lanes.values()) turn.close(reason);
  }
}
