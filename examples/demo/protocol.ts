import { on } from "node:events";
import { inspect } from "node:util";
import type { Id } from "conclave-mls";
import type { FileDigest, Line, PersonReport, ReadingAttempt, Standing } from "./record.js";

/** The id of the conversation. */
export const GROUP = "the group";

/**
 * What the story gives a person on the way, as the first word. It goes to the process alone: arguments can be seen by everybody on
 * this machine.
 */
export interface Introduction {
  /** Where the delivery service is. */
  readonly url: string;
  /** Opens the person's keystore. A real application has it from the operating system; in Electron, from safeStorage. */
  readonly key: Uint8Array;
}

/** Something to say: a line of the text, and the number by which it is said once, however often it is asked for. */
export interface Cue {
  readonly number: number;
  readonly text: string;
}

/** What the story asks of a person. Each call is one message to that person's process, and one back. */
export interface Commands {
  /** Makes key packages, by which others can add this person to groups, and publishes them. */
  publishKeyPackages(): Promise<void>;
  /** Creates a group with these people, which others can join from outside. */
  createGroup(others: readonly string[]): Promise<void>;
  /** Adds somebody to the group, by a key package. */
  invite(name: string): Promise<void>;
  /** Joins the group without being invited, by an external commit. */
  joinFromOutside(): Promise<void>;
  /** Removes somebody from the group. */
  remove(name: string): Promise<void>;
  /**
   * Says these lines, one after the other, without waiting for readers. What a process of this person has said already is not said
   * again. Answers what was sent.
   */
  say(cues: readonly Cue[]): Promise<Line[]>;
  /** Sends a file to the group, in chunks. Answers what was sent. */
  sendFile(path: string): Promise<FileDigest & { messageIds: Id[] }>;
  /** Answers, when everything of the announced file is there, what it is. */
  fileArrived(): Promise<FileDigest>;
  /** Makes a commit that renews this person's keys and keeps it back. Answers the epoch that it is made for. */
  prepareKeyUpdate(): Promise<bigint>;
  /** Lets that commit go. Answers, when it was accepted, the epoch of the group then and the number of attempts. */
  sendKeyUpdate(): Promise<{ epoch: bigint; attempts: number }>;
  /** Answers when this person has so many lines on the list and sees the group in that epoch, or beyond it. */
  reached(goal: { lines: number; epoch?: bigint }): Promise<Standing>;
  /** Tries everything to read these messages, which were sent while this person was not in the group. */
  tryToRead(messages: readonly Uint8Array[]): Promise<ReadingAttempt>;
  /** Tries to write to the group. Answers an error code, or "encrypted". */
  tryToWrite(): Promise<string>;
  /** What this person has to show in the end. */
  report(): Promise<PersonReport>;
  /** Closes everything. The process then ends by itself, when the story disconnects. */
  leave(): Promise<void>;
}

/** From the story to a person. */
export interface Request {
  readonly id: number;
  readonly command: keyof Commands;
  readonly args: readonly unknown[];
}

/** From a person to the story: the answer to a request, or unasked how much is on the list by now. */
export type Reply =
  { readonly id: number; readonly answer: unknown } | { readonly id: number; readonly failure: string } | Reading;

/** How much a person has read. */
export interface Reading {
  readonly lines: number;
  readonly chunks: number;
}

/** Sends a word to the story. */
export function tell(reply: Reply): void {
  process.send?.(reply);
}

/** What the story says to this process, kept until somebody listens. */
const words = on(process, "message") as AsyncIterator<[unknown]>;

/** The story's first word. */
export async function introduction(): Promise<Introduction> {
  const { value } = (await words.next()) as { value: [Introduction] };
  return value[0];
}

/**
 * Takes requests in this process and answers them, several at a time. When the story is gone before it has asked this person to
 * leave, the process ends at once.
 */
export function takeRequests(commands: Commands): void {
  const orphaned = (): never => process.exit(1);
  process.once("disconnect", orphaned);
  // Ctrl-C reaches all processes of the terminal. The story hears it too, and ends this one.
  process.on("SIGINT", () => {});

  const calls = commands as unknown as Record<keyof Commands, (...args: readonly unknown[]) => Promise<unknown>>;
  void (async () => {
    for (;;) {
      const { value } = (await words.next()) as { value: [Request] };
      void answer(value[0]);
    }
  })();
  async function answer({ id, command, args }: Request): Promise<void> {
    try {
      const result = await calls[command](...args);
      if (command === "leave") process.off("disconnect", orphaned);
      tell({ id, answer: result });
    } catch (error) {
      tell({ id, failure: inspect(error) });
    }
  }
}
