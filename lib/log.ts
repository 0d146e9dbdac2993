import { type Bytes, copyMessage } from "./bytes.js";
import { MlsError } from "./errors.js";
import type { Id } from "./id.js";
import { isList } from "./lists.js";
import { outside } from "./nesting.js";
import type { SessionState } from "./state.js";
import { Question, transportOf } from "./transport.js";

/**
 * A chunk of the log has no more messages than this, and ends with the message that makes it this
 * large.
 */
const CHUNK_MESSAGES = 32;
const CHUNK_BYTES = 1024 * 1024;
/**
 * No log is read for longer than this, in milliseconds: the conversation's next commits wait for
 * the end.
 */
const LONGEST_READING = 60 * 60 * 1000;

/** How reading the log ended. */
export interface Reading {
  /** Whether the transport can be asked for the log at all. */
  readonly asked: boolean;
  /** Why the log could not be read to its end. What was read before counts. */
  readonly cause?: unknown;
}

/** Gets one chunk after the other; "enough" ends the reading. */
export type Take = (chunk: Bytes[]) => Promise<"enough" | undefined>;

/** Whether the transport can be asked for what the server has of a conversation. */
export function canReadLog(state: SessionState): boolean {
  return typeof state.settings.transport?.fetchMessages === "function";
}

/**
 * Reads what the server has of a conversation from an epoch on, chunk by chunk; the next chunk is
 * asked for when the last one was taken. What the transport does wrong is answered as `cause`; what
 * `take` throws comes out.
 */
export async function readLog(
  state: SessionState,
  id: Id,
  from: bigint,
  signal: AbortSignal | undefined,
  take: Take,
): Promise<Reading> {
  if (!canReadLog(state)) return { asked: false };
  const log = chunks(state, id, from, signal);
  try {
    for (;;) {
      let next: IteratorResult<Bytes[], void>;
      try {
        next = await log.next();
      } catch (cause) {
        state.refuseWhenClosed();
        return { asked: true, cause };
      }
      if (next.done === true || (await take(next.value)) === "enough") return { asked: true };
    }
  } finally {
    await log.return();
  }
}

/**
 * The log in pieces that this session owns. No more than one piece of it is held here at a time.
 */
async function* chunks(
  state: SessionState,
  id: Id,
  from: bigint,
  signal: AbortSignal | undefined,
): AsyncGenerator<Bytes[], void, undefined> {
  const { clock } = state.settings;
  const question = new Question(state, signal);
  const end = clock.now() + LONGEST_READING;
  try {
    const answer: unknown = await question.step(async (abort) => transportOf(state).fetchMessages?.(id, from, abort));
    let [chunk, size, place]: [Bytes[], number, number] = [[], 0, 0];
    for await (const message of messagesOf(answer, question)) {
      const name = `the answer of fetchMessages.${place++}`;
      const copy = copyMessage(message, name);
      chunk.push(copy);
      size += copy.length;
      if (chunk.length < CHUNK_MESSAGES && size < CHUNK_BYTES) continue;
      yield chunk;
      [chunk, size] = [[], 0];
      if (clock.now() >= end) throw new DOMException("The log did not end within an hour.", "TimeoutError");
    }
    if (chunk.length > 0) yield chunk;
  } finally {
    question.end();
  }
}

/** The messages of an array, or of an async iterable. */
async function* messagesOf(answer: unknown, question: Question): AsyncGenerator<unknown, void, undefined> {
  if (isList(answer)) {
    for (let place = 0; place < answer.length; place++) yield answer[place];
    return;
  }
  if (!isAsyncIterable(answer)) {
    throw new MlsError(
      "INVALID_ARGUMENT",
      "the answer of fetchMessages must be an array or an async iterable of Uint8Array.",
    );
  }
  const iterator = outside(() => answer[Symbol.asyncIterator]());
  let ended = false;
  try {
    for (;;) {
      const { done, value } = await question.step(async () => iterator.next());
      ended = done === true;
      if (ended) return;
      yield value;
    }
  } finally {
    if (!ended) leave(iterator);
  }
}

/**
 * Tells an iterator that nobody will ask it for more. It is not waited for: it may be what never
 * answers.
 */
function leave(iterator: AsyncIterator<unknown, unknown>): void {
  outside(() => void (async () => iterator.return?.())().catch(() => {}));
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown, unknown> {
  if (typeof value !== "object" || value === null) return false;
  return typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === "function";
}
