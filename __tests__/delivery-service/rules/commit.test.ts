/** The rule for commits alone: from facts to decisions, without a store and without MLS bytes. */
import { type CommitFacts, decideCommit, type SentCommit } from "../../../delivery-service/rules/commit.js";
import type { Decision } from "../../../delivery-service/rules/decision.js";
import type { Frame, Framed } from "../../../delivery-service/framing.js";
import { member, textWith } from "./facts.js";

const framed = (name: string, frame: Partial<Frame>): Framed => ({
  bytes: Buffer.from(name),
  messageId: `the hash of the ${name}`,
  frame: { kind: "commit", encrypted: true, external: false, ...frame },
});
const commit = (frame: Partial<Frame> = {}) =>
  framed("commit", { kind: "commit", conversationId: "team", epoch: 3n, ...frame });
const welcome = framed("welcome", { kind: "welcome" });
const groupInfo = (epoch = 4n, frame: Partial<Frame> = {}) =>
  framed("group info", { kind: "group-info", conversationId: "team", epoch, externalJoin: false, ...frame });
const adds = (...clients: string[]) => ({
  welcome,
  welcomeTo: clients.map((clientId) => ({ clientId, keyPackageRef: `a key package of ${clientId}` })),
});

/** Alice, of a team of three in epoch 3, commits; what is told of each row differs from that. */
const sent = (difference: Partial<SentCommit>): SentCommit => ({
  clientId: "alice",
  commit: commit(),
  welcome: undefined,
  groupInfo: groupInfo(),
  welcomeTo: [],
  removed: [],
  ...difference,
});
const facts = (difference: Partial<CommitFacts>): CommitFacts => ({
  sequence: undefined,
  abortedBefore: undefined,
  conversation: { epoch: 3n, externalJoin: false, lastSequence: 8 },
  members: [member("alice", { since: 0n }), member("bob", { since: 1n }), member("carol", { since: 1n })],
  publishers: new Map(),
  ...difference,
});
const open = { epoch: 3n, externalJoin: true, lastSequence: 8 };
const outside = { clientId: "dave", commit: commit({ external: true }) };
const founding = { commit: commit({ epoch: 0n }), groupInfo: groupInfo(1n) };
const unheardOf = { conversation: undefined, members: [] };

type Row = [string, Partial<SentCommit>, Partial<CommitFacts>];

test.each<Row>([
  ["is in the log", {}, { sequence: 5 }],
  ["is in the log, and its sender was removed since", {}, { sequence: 5, members: [] }],
])("A commit that %s is accepted again, and nothing is stored", (_title, request, known) => {
  expect(decideCommit(sent(request), facts(known))).toEqual({ answer: { status: "success" }, effects: [] });
});

test("A commit that was aborted once is aborted with the same reason, though its epoch has come", () => {
  const answer = { status: "abort", reason: "too early" };
  expect(decideCommit(sent({}), facts({ abortedBefore: "too early" }))).toEqual({ answer, effects: [] });
});

test.each<Row>([
  ["the last epoch", { commit: commit({ epoch: 2n }), groupInfo: groupInfo(3n) }, {}],
  ["the first epoch", founding, {}],
  [
    "an epoch that is over, from outside",
    { ...outside, commit: commit({ external: true, epoch: 2n }) },
    { conversation: open },
  ],
])("A commit of %s is answered with retry", (_title, request, known) => {
  expect(decideCommit(sent(request), facts(known))).toEqual({ answer: { status: "retry" }, effects: [] });
});

const publisher = { publishers: new Map([["a key package of dave", "eve"]]) };

test.each<[string, ...Row]>([
  ["not an MLS commit", "it cannot be read", { commit: { ...commit(), frame: undefined } }, {}],
  ["not an MLS commit", "it is a message", { commit: commit({ kind: "message" }) }, {}],
  ["not known here", "its conversation is unheard of and it founds none", {}, unheardOf],
  [
    "not known here",
    "it founds a conversation from outside",
    { ...founding, commit: commit({ epoch: 0n, external: true }) },
    unheardOf,
  ],
  ["not a member", "its sender is a stranger", { clientId: "mallory" }, {}],
  ["not a member", "a stranger founds a conversation that exists", { ...founding, clientId: "mallory" }, {}],
  [
    "commits accepted before are missing",
    "its epoch has not begun",
    { commit: commit({ epoch: 4n }), groupInfo: groupInfo(5n) },
    {},
  ],
  ["does not allow joining", "it comes from outside of a closed conversation", outside, {}],
  ["former leaf of its own", "it joins and removes another", { ...outside, removed: ["bob"] }, { conversation: open }],
  ["former leaf of its own", "it joins and adds another", { ...outside, ...adds("eve") }, { conversation: open }],
  ["only one of them", "its Welcome is for nobody", { welcome }, {}],
  ["only one of them", "it adds without a Welcome", { ...adds("dave"), welcome: undefined }, {}],
  ["not an MLS Welcome", "its Welcome is something else", { ...adds("dave"), welcome: commit() }, {}],
  ["not an MLS GroupInfo", "its GroupInfo is something else", { groupInfo: welcome }, {}],
  ["does not describe the epoch", "its GroupInfo is of its own epoch", { groupInfo: groupInfo(3n) }, {}],
  [
    "does not describe the epoch",
    "its GroupInfo is another's",
    { groupInfo: groupInfo(4n, { conversationId: "other" }) },
    {},
  ],
  ["published by another client", "it adds one by the key package of another", adds("dave"), publisher],
])("A commit is aborted (%s), and that is remembered, if %s", (reason, _title, request, known) => {
  const { answer, effects } = decideCommit(sent(request), facts(known));
  expect(answer).toEqual({ status: "abort", reason: textWith(reason) });
  const remembered = { type: "rememberAbort", commitId: "the hash of the commit", reason: textWith(reason) };
  expect(effects).toEqual([remembered]);
});

const delivered = (framed: Framed, entry: object, ...to: string[]) => ({
  type: "deliver",
  entry: { conversationId: "team", messageId: framed.messageId, bytes: framed.bytes, ...entry },
  to,
});
const theCommit = (...to: string[]) => delivered(commit(), { kind: "commit", epoch: 3n, sequence: 9 }, ...to);
const theWelcome = (...to: string[]) => delivered(welcome, { kind: "welcome", epoch: 4n, sequence: undefined }, ...to);
const saved = (...[clientId, row]: Parameters<typeof member>) => ({
  type: "saveMember",
  conversationId: "team",
  member: member(clientId, row),
});
const begun = (epoch: bigint, externalJoin = false) => ({
  type: "saveConversation",
  conversationId: "team",
  epoch,
  groupInfo: groupInfo().bytes,
  externalJoin,
});

test.each<[...Row, unknown[]]>([
  ["changes keys only", {}, {}, [theCommit("alice", "bob", "carol"), begun(4n)]],
  [
    "lets join from outside from now on",
    { groupInfo: groupInfo(4n, { externalJoin: true }) },
    {},
    [theCommit("alice", "bob", "carol"), begun(4n, true)],
  ],
  [
    "founds a conversation",
    { ...founding, ...adds("bob") },
    unheardOf,
    [
      delivered(commit(), { kind: "commit", epoch: 0n, sequence: 1 }, "alice"),
      begun(1n),
      saved("alice", { since: 0n }),
      saved("bob", { since: 1n }),
      delivered(welcome, { kind: "welcome", epoch: 1n, sequence: undefined }, "bob"),
    ],
  ],
  [
    "adds two leaves of dave, who gets one Welcome",
    adds("dave", "dave"),
    {},
    [theCommit("alice", "bob", "carol"), begun(4n), saved("dave", { since: 4n, leaves: 2 }), theWelcome("dave")],
  ],
  [
    "removes carol, who gets it as the last",
    { removed: ["carol"] },
    {},
    [theCommit("alice", "bob", "carol"), begun(4n), saved("carol", { since: 1n, leaves: 0, removedAt: 9 })],
  ],
  [
    "removes one of carol's two leaves",
    { removed: ["carol"] },
    { members: [member("alice", { since: 0n }), member("carol", { since: 1n, leaves: 2 })] },
    [theCommit("alice", "carol"), begun(4n), saved("carol", { since: 1n, leaves: 1 })],
  ],
  [
    "replaces carol by herself, who gets it before the Welcome",
    { removed: ["carol"], ...adds("carol") },
    {},
    [theCommit("alice", "bob", "carol"), begun(4n), saved("carol", { since: 4n }), theWelcome("carol")],
  ],
  ["claims to remove a stranger", { removed: ["mallory"] }, {}, [theCommit("alice", "bob", "carol"), begun(4n)]],
  [
    "claims to remove carol more often than she is there",
    { removed: ["carol", "carol"] },
    {},
    [theCommit("alice", "bob", "carol"), begun(4n), saved("carol", { since: 1n, leaves: 0, removedAt: 9 })],
  ],
  [
    "joins from outside",
    outside,
    { conversation: open },
    [theCommit("alice", "bob", "carol"), begun(4n), saved("dave", { since: 4n })],
  ],
  [
    "joins from outside in place of its former leaf",
    { ...outside, clientId: "bob", removed: ["bob"] },
    { conversation: open },
    [theCommit("alice", "bob", "carol"), begun(4n), saved("bob", { since: 4n })],
  ],
  [
    "adds by the key package that its client has published",
    adds("dave"),
    { publishers: new Map([["a key package of dave", "dave"]]) },
    [theCommit("alice", "bob", "carol"), begun(4n), saved("dave", { since: 4n }), theWelcome("dave")],
  ],
])("A commit that %s is accepted", (_title, request, known, effects) => {
  const decision: Decision<unknown> = decideCommit(sent(request), facts(known));
  expect(decision).toEqual({ answer: { status: "success" }, effects });
});
