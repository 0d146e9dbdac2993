/**
 * The rules for sending and reading alone: from facts to decisions, without a store and without MLS
 * bytes.
 */
import type { Frame } from "../../../delivery-service/framing.js";
import { decideMessage, type MessageFacts } from "../../../delivery-service/rules/message.js";
import {
  type GroupInfoFacts,
  type LogRequest,
  readableGroupInfo,
  readableLog,
  type Standing,
} from "../../../delivery-service/rules/reading.js";
import { errorWith, member } from "./facts.js";

const conversation = { epoch: 8n, externalJoin: false, lastSequence: 20 };
const [alice, bob] = [member("alice", { since: 0n }), member("bob", { since: 6n })];
const removed = member("carol", { since: 2n, leaves: 0, removedAt: 15 });

const send = (frame: Partial<Frame>, facts: Partial<MessageFacts> = {}) => {
  const message = { kind: "message", encrypted: true, external: false, conversationId: "team", epoch: 8n } as const;
  const sent = {
    clientId: "alice",
    bytes: Buffer.from("ciphertext"),
    messageId: "its hash",
    frame: { ...message, ...frame },
  };
  return decideMessage(sent, { sequence: undefined, conversation, members: [alice, bob], ...facts });
};

test.each<[string, Partial<Frame>, string[]]>([
  ["A message of the present epoch", {}, ["alice", "bob"]],
  ["A proposal of the present epoch", { kind: "proposal" }, ["alice", "bob"]],
  ["A message from before bob came", { epoch: 5n }, ["alice"]],
  ["A message of five epochs ago", { epoch: 3n }, ["alice"]],
])("%s is next in the log, for those who can read it", (_title, frame, to) => {
  const stored = { conversationId: "team", kind: "message", epoch: 8n, ...frame };
  const entry = { ...stored, sequence: 21, messageId: "its hash", bytes: Buffer.from("ciphertext") };
  expect(send(frame)).toEqual({ answer: { sequence: 21 }, effects: [{ type: "deliver", entry, to }] });
});

test("A message that the log has keeps its place, though its sender was removed since", () => {
  expect(send({}, { sequence: 7, members: [bob] })).toEqual({ answer: { sequence: 7 }, effects: [] });
});

test.each<[string, string, Partial<Frame>, Partial<MessageFacts>]>([
  ["INVALID_REQUEST", "A commit", { kind: "commit" }, {}],
  ["INVALID_REQUEST", "A commit that the log has", { kind: "commit" }, { sequence: 7 }],
  ["CONVERSATION_UNKNOWN", "A message of an unheard-of conversation", {}, { conversation: undefined, members: [] }],
  ["NOT_A_MEMBER", "A message of a stranger", {}, { members: [bob] }],
  ["EPOCH_AHEAD", "A message of an epoch that has not begun", { epoch: 9n }, {}],
  ["EPOCH_TOO_OLD", "A message of six epochs ago", { epoch: 2n }, {}],
  ["EPOCH_TOO_OLD", "A proposal of the last epoch", { kind: "proposal", epoch: 7n }, {}],
])("%s: %s is refused", (code, _title, frame, facts) => {
  expect(() => send(frame, facts)).toThrow(errorWith(code));
});

test.each<[string, Partial<LogRequest>, Standing, { fromEpoch: bigint; last: number }]>([
  ["A founder reads everything", {}, { conversation, member: alice }, { fromEpoch: 0n, last: 20 }],
  ["Nobody reads what is older than its membership", {}, { conversation, member: bob }, { fromEpoch: 6n, last: 20 }],
  ["A member reads from where it asks", { fromEpoch: 7n }, { conversation, member: bob }, { fromEpoch: 7n, last: 20 }],
  ["A former member reads to its removal", {}, { conversation, member: removed }, { fromEpoch: 2n, last: 15 }],
])("%s", (_title, difference, standing, range) => {
  const request = { conversationId: "team", fromEpoch: 0n, after: 4, limit: 100, ...difference };
  expect(readableLog(request, standing)).toEqual({ ...request, ...range });
});

const groupInfo = Buffer.from("group info");
const closed = { ...conversation, groupInfo };
const open = { ...closed, externalJoin: true };

test.each<[string, GroupInfoFacts]>([
  ["A member", { conversation: closed, member: bob }],
  ["A former member of an open conversation", { conversation: open, member: removed }],
  ["A stranger, of an open conversation,", { conversation: open, member: undefined }],
])("%s gets the GroupInfo", (_title, facts) => {
  expect(readableGroupInfo(facts)).toEqual({ epoch: 8n, groupInfo });
});

test.each<[string, string, GroupInfoFacts]>([
  ["CONVERSATION_UNKNOWN", "an unheard-of conversation", { conversation: undefined, member: undefined }],
  ["NOT_A_MEMBER", "a closed conversation with a stranger", { conversation: closed, member: undefined }],
])("%s: of %s neither log nor GroupInfo is readable", (code, _title, facts) => {
  const request = { conversationId: "team", fromEpoch: 0n, after: 0, limit: 100 };
  expect(() => readableGroupInfo(facts)).toThrow(errorWith(code));
  expect(() => readableLog(request, facts)).toThrow(errorWith(code));
});

test("A former member of a closed conversation does not get its GroupInfo", () => {
  expect(() => readableGroupInfo({ conversation: closed, member: removed })).toThrow(errorWith("NOT_A_MEMBER"));
});
