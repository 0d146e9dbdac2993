import type { Id } from "conclave-mls";

/** Everything that happened in one demo, as plain data: what the verdict is found from, and what the table shows. */
export interface DemoRecord {
  readonly acts: readonly Act[];
  readonly conflict: readonly KeyUpdate[];
  /** The message ids of all lines as the delivery service put them in order. */
  readonly order: readonly Id[];
  readonly reports: readonly PersonReport[];
  readonly afterRemoval: ReadingAttempt;
  /** How each process ended: "code 0". */
  readonly exits: Readonly<Record<string, string>>;
  readonly files: readonly FileOnDisk[];
}

/** One part of the story. */
export interface Act {
  readonly title: string;
  readonly seconds: number;
  /** What was said in it, as the speakers tell. */
  readonly said: readonly Line[];
  /** How everybody saw the group when it was over. */
  readonly standings: readonly Standing[];
}

/** A line of the text that somebody said. */
export interface Line {
  readonly messageId: Id;
  readonly by: string;
  readonly text: string;
}

/** The group as one person sees it. */
export interface Standing {
  readonly name: string;
  readonly epoch: bigint;
  /** Equal for two people if and only if they share the epoch (RFC 9420 section 8.7), in hex; undefined for who was removed. */
  readonly authenticator: string | undefined;
}

/** One of two commits made at the same moment. */
export interface KeyUpdate {
  readonly by: string;
  /** The epoch that it was first made for. */
  readonly madeFor: bigint;
  /** The epoch that the group was in when it was accepted. */
  readonly epoch: bigint;
  readonly attempts: number;
}

/** What a person has to show in the end. */
export interface PersonReport {
  readonly name: string;
  readonly process: number;
  /** The message list, own lines included, in the order of display. */
  readonly list: readonly Line[];
  /** How many lines came a second time. */
  readonly again: number;
  /** What arrived and was neither read nor ordinary, in words. */
  readonly trouble: readonly string[];
  /** The epochs that this person went through. */
  readonly changes: readonly EpochChange[];
  /** How often the delivery service answered a commit of this person with "retry". */
  readonly retries: number;
}

/** What began an epoch: names of people. */
export interface EpochChange {
  readonly epoch: bigint;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly updated: readonly string[];
}

/** What came of the attempts of somebody who was removed. */
export interface ReadingAttempt {
  readonly name: string;
  /** How many messages the delivery service handed out to them. */
  readonly fetched: number;
  /** What became of each message that they were given all the same, in words. */
  readonly results: readonly string[];
  /** What became of a message that they tried to write: an error code, or "encrypted". */
  readonly writing: string;
}

/** A file that the demo left, when all processes had ended. */
export interface FileOnDisk {
  readonly name: string;
  readonly bytes: number;
  /** How many of the longest lines of the text are in it, readable for everybody. */
  readonly readableLines: number;
}
