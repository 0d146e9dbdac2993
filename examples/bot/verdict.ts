import type { Id } from "conclave-mls";
import { answersTo, type Line } from "./person.js";
import { LAST_WORDS } from "./story.js";

/** What has happened, as far as it must be judged. */
export interface Account {
  /** What was asked, by whom. */
  readonly asked: readonly Line[];
  /** What each person has heard. */
  readonly heard: ReadonlyMap<Id, readonly Line[]>;
  /** What has reached the bot. */
  readonly requests: readonly { conversationId: Id; request: string }[];
  /** For each conversation, how its members see it in the end: who is in, and the epoch authenticator. */
  readonly views: ReadonlyMap<Id, readonly string[]>;
  /** What was rejected, or is lost for good. */
  readonly trouble: readonly string[];
}

/** What is not as it must be: nothing if no message was lost or said twice, and all members of a conversation agree. */
export function complaints({ asked, heard, requests, views, trouble }: Account): string[] {
  return [
    ...asked.flatMap(({ conversationId, by, text }) => {
      const reached = requests.filter((one) => one.conversationId === conversationId && one.request === text);
      return expectOne(reached, `${by}'s "${text}" in ${conversationId} has reached the bot`);
    }),
    ...asked.flatMap(({ conversationId, by, text }) =>
      expectOne(answersTo(text, conversationId, heard.get(by) ?? []), `"${text}" in ${conversationId} was answered`),
    ),
    ...[...heard].flatMap(([name, lines]) =>
      lines
        .filter(({ text }) => text.startsWith(`${LAST_WORDS}: `))
        .map(({ conversationId }) => `the bot spoke to ${name} in ${conversationId} after it was removed`),
    ),
    ...[...views].flatMap(([id, seen]) => (new Set(seen).size === 1 ? [] : [`the members of ${id} do not agree`])),
    ...trouble,
  ];
}

function expectOne(found: readonly unknown[], what: string): string[] {
  return found.length === 1 ? [] : [`${what} ${found.length} times`];
}
