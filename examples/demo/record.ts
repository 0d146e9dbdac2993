import type { Id } from "conclave-mls";

/** Everything that happened in one demo, as plain data: what the verdict is found from, and what table and report show. */
export interface DemoRecord {
  readonly acts: readonly Act[];
  readonly conflict: readonly KeyUpdate[];
  readonly kill: Kill;
  readonly file: FileCrossing;
  /** The message ids of everything that was sent to the group, as the delivery service put it in order. */
  readonly order: readonly Id[];
  readonly reports: readonly PersonReport[];
  /** What those who joined later could do with what was said before, in the order in which they joined. */
  readonly beforeJoining: readonly ReadingAttempt[];
  readonly afterRemoval: ReadingAttempt & {
    /** What became of a message that they tried to write: an error code, or "encrypted". */
    readonly writing: string;
  };
  /** How the processes of each person ended, in turn: "code 0", or a signal. */
  readonly exits: Readonly<Record<string, readonly string[]>>;
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

/** A process that was ended with SIGKILL while its person was sending and receiving, and the one that went on. */
export interface Kill {
  readonly name: string;
  /** The title of the act in which it happened. */
  readonly act: string;
  /** The line that the delivery service had taken, and to which the process never got the answer. */
  readonly unanswered: Id;
  /** How many messages waited for this person then, delivered or not, whose acknowledgement had not arrived. */
  readonly unacknowledged: number;
  /** The process that was killed, and the one after it. */
  readonly processes: readonly [killed: number, next: number];
  /** From the kill until the next process had opened the keystore. */
  readonly secondsAway: number;
}

/** A file on its way through the group, in chunks. */
export interface FileCrossing extends FileDigest {
  readonly by: string;
  /** The title of the act in which it happened. */
  readonly act: string;
  /** The messages that carried it: what it is, and each chunk. */
  readonly messageIds: readonly Id[];
  /** What came out at the other sides. */
  readonly received: readonly (FileDigest & { readonly by: string })[];
}

/** What tells whether two files are the same. */
export interface FileDigest {
  readonly name: string;
  readonly bytes: number;
  /** In hex, computed where the file is, not taken from a message. */
  readonly sha256: string;
}

/** What a person has to show in the end. */
export interface PersonReport {
  readonly name: string;
  readonly process: number;
  /** The message list, own lines included, in the order of display. */
  readonly list: readonly Line[];
  /** How many messages were delivered to a list that had them already: only a kill between list and keystore explains one. */
  readonly again: number;
  /** How many messages came to this process once more and were recognised, after a kill or when a retry read the log again. */
  readonly repeats: number;
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
  /** How this person came to the epoch: as its founder, by a Welcome, by an external commit, or as a member already. */
  readonly cause: "created" | "welcome" | "external" | "member";
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly updated: readonly string[];
}

/** What came of the attempt to read what was said while somebody was not in the group. */
export interface ReadingAttempt {
  readonly name: string;
  /** How many of the messages the delivery service handed out to them. */
  readonly fetched: number;
  /** What became of each message that they were given all the same, in words. */
  readonly results: readonly string[];
}

/** A file that the demo left, when all processes had ended. */
export interface FileOnDisk {
  readonly name: string;
  readonly bytes: number;
  /** How many of the longest lines of the text are in it, readable for everybody. */
  readonly readableLines: number;
}
