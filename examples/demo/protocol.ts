import { inspect } from "node:util";
import type { Line, PersonReport, ReadingAttempt, Standing } from "./record.js";

/** The id of the conversation. */
export const GROUP = "the group";

/** What the story asks of a person. Each call is one message to that person's process, and one back. */
export interface Commands {
  /** Makes key packages, by which others can add this person to groups, and publishes them. */
  publishKeyPackages(): Promise<void>;
  /** Creates the group with these people. */
  createGroup(others: readonly string[]): Promise<void>;
  /** Says these lines, one after the other, without waiting for readers. Answers what was sent. */
  say(lines: readonly string[]): Promise<Line[]>;
  /** Makes a commit that renews this person's keys and keeps it back. Answers the epoch that it is made for. */
  prepareKeyUpdate(): Promise<bigint>;
  /** Lets that commit go. Answers, when it was accepted, the epoch of the group then and the number of attempts. */
  sendKeyUpdate(): Promise<{ epoch: bigint; attempts: number }>;
  /** Removes somebody from the group. */
  remove(name: string): Promise<void>;
  /** Answers when this person has so many lines on the list and sees the group in that epoch, or beyond it. */
  reached(goal: { lines: number; epoch?: bigint }): Promise<Standing>;
  /** Tries everything to take part after having been removed; the messages are what was said since. */
  tryToTakePart(messages: readonly Uint8Array[]): Promise<ReadingAttempt>;
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

/** From a person to the story: the answer to a request, or unasked how many lines have been read by now. */
export type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly failure: string }
  | { readonly read: number };

/** Sends a word to the story. */
export function tell(reply: Reply): void {
  process.send?.(reply);
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
  process.on("message", (request: Request) => void answer(request));
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
