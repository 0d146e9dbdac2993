import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { Database, DatabaseKey, type MlsConversation, type MlsTransport } from "conclave-mls";
import { conversationCalls } from "../../lib/in-conversation.js";
import { expectCode, failure } from "../support/expect.js";
import { freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { sayAbort, Server } from "../support/server.js";
import { aliceAndBob } from "../support/teams.js";

afterEach(everybodyLeaves);

/** The words of the chain under an error. */
function causes(error: Error): string[] {
  const words = [];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) words.push(cause.message);
  return words;
}

describe("the cause", () => {
  it("has the words of the system where a file cannot be opened", async () => {
    const path = join(await freshPath(), "in-no-such-folder");
    const error = await expectCode(Database.open(path, DatabaseKey.generate()), "DATABASE_IO");
    expect(causes(error).join()).toMatch(/os error 2|unable to open/);
    expect(causes(error)).not.toContain(error.message);
  });

  it("has what SQLite, OpenMLS and the decoder say, and never the message once more", async () => {
    const { team, bob, alice } = await aliceAndBob();
    const path = await freshPath();
    await (await Database.open(path, DatabaseKey.generate())).close();
    const failures = [
      await expectCode(Database.open(path, DatabaseKey.generate()), "DATABASE_KEY_WRONG"),
      await expectCode(team.addMembers([bytes("key package")]), "KEY_PACKAGE_INVALID"),
      await expectCode(bob.session.joinByWelcome(bytes("welcome")), "WELCOME_INVALID"),
    ];
    for (const error of failures) {
      const words = causes(error);
      expect(words.length).toBeGreaterThan(0);
      expect(words).not.toContain(error.message);
    }
    const cut = (await alice.keyPackage()).slice(0, -1);
    expect(causes(await failure(team.addMembers([cut])))).toEqual([expect.stringMatching(/do not follow RFC 9420/)]);
  });

  it("is missing where nothing was underneath", async () => {
    const alice = await Person.comes("alice", new Server());
    const error = await expectCode(alice.session.conversation("nowhere").epoch(), "CONVERSATION_NOT_FOUND");
    expect("cause" in error).toBe(false);
  });

  it("reads well where a developer looks: one trace, then the words", async () => {
    const { team } = await aliceAndBob();
    const error = await failure(team.addMembers([bytes("nonsense")]));
    const shown = inspect(error);
    expect(shown).toMatch(/^MlsError: The key package cannot be used: it is not an MLSMessage/);
    expect(shown).toMatch(/^ +at .*errors\.test\.ts/m);
    expect(shown).toMatch(/code: 'KEY_PACKAGE_INVALID'/);
    expect(shown).toMatch(/context: \{ conversationId: 'team', index: 0 \}/);
    expect(shown).toMatch(/\[cause\]: .?Error: /);
    expect(shown.slice(shown.indexOf("[cause]"))).not.toMatch(/^ +at /m);
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: "MlsError",
      code: "KEY_PACKAGE_INVALID",
      message: error.message,
      retryable: false,
      context: { conversationId: "team", index: 0 },
    });
  });
});

describe("the conversation is in the context", () => {
  const calls: [string, (conversation: MlsConversation, alice: Person) => Promise<unknown>][] = [
    ["epoch", (one) => one.epoch()],
    ["members", (one) => one.members()],
    ["active", (one) => one.active()],
    ["state", (one) => one.state()],
    ["groupInfo", (one) => one.groupInfo()],
    ["addMembers", async (one, alice) => one.addMembers([await alice.keyPackage()])],
    ["removeMembers", (one) => one.removeMembers(["bob"])],
    ["updateKeys", (one) => one.updateKeys()],
    ["commitPendingProposals", (one) => one.commitPendingProposals()],
    ["encrypt", (one) => one.encrypt(bytes("hello"))],
    ["exportSecret", (one) => one.exportSecret("label", bytes(""), 32)],
    ["epochAuthenticator", (one) => one.epochAuthenticator()],
    ["wipe", (one) => one.wipe()],
  ];

  it.each(calls)("of %s", async (_, call) => {
    const alice = await Person.comes("alice", new Server());
    const byText = await failure(call(alice.session.conversation("nowhere"), alice));
    expect(byText).toMatchObject({ code: "CONVERSATION_NOT_FOUND", context: { conversationId: "nowhere" } });
    const byBytes = await failure(call(alice.session.conversation(Uint8Array.of(0, 255)), alice));
    expect(byBytes.context.conversationId).toBe("0x00ff");
  });

  it("of what creates and joins", async () => {
    const { alice, bob, server } = await aliceAndBob();
    const { credential } = alice;
    const creating = [
      alice.session.createConversation("team", { credential }),
      alice.session.createConversation("team", { credential, members: [await bob.keyPackage()] }),
    ];
    for (const error of await Promise.all(creating.map(failure)))
      expect(error).toMatchObject({ code: "CONVERSATION_EXISTS", context: { conversationId: "team" } });
    const joining = failure(alice.session.joinByExternalCommit("team", { credential }));
    expect(await joining).toMatchObject({ code: "EXTERNAL_JOIN_REFUSED", context: { conversationId: "team" } });
    await alice.session.conversation("team").addMembers([await (await Person.comes("carol", server)).keyPackage()]);
  });

  it("inside a transaction", async () => {
    const database = await Database.open(await freshPath(), DatabaseKey.generate());
    const alice = await Person.comes("alice", new Server(), { database });
    await alice.creates("team");
    const inside = alice.session.transaction(async (tx) => tx.conversation("elsewhere").epoch());
    expect((await failure(inside)).context).toEqual({ conversationId: "elsewhere" });
  });

  it("is given by every native call that takes a conversation", () => {
    const declared = readFileSync(join(__dirname, "../../lib/native-binding.d.ts"), "utf8");
    const onConversations = [...declared.matchAll(/^ {2}(\w+)\(id: Uint8Array/gm)].map(([, name]) => name!);
    expect([...conversationCalls].sort()).toEqual(onConversations.sort());
  });
});

it("what the server says when it refuses a commit is a field, as it was said", async () => {
  const { server, team } = await aliceAndBob();
  server.next(sayAbort);
  const error = await expectCode(team.updateKeys(), "COMMIT_REJECTED");
  expect(error.context).toEqual({ conversationId: "team", epoch: "1", attempt: 1, reason: "not on my watch" });
  expect(error.message).toContain("not on my watch");
  const reason = `two\nlines, and ${"long ".repeat(100)}`;
  server.next(() => ({ status: "abort", reason }));
  const odd = await expectCode(team.updateKeys(), "COMMIT_REJECTED");
  expect(odd.context.reason).toBe(reason);
  expect(odd.message).not.toContain("\n");
  expect(odd.message.length).toBeLessThan(300);
  expect(structuredClone(JSON.parse(JSON.stringify(odd)))).toMatchObject({ context: { reason } });
});

it("a transport that throws is the cause, as it was thrown", async () => {
  const thrown = new Error("no route to host");
  const transport: MlsTransport = { sendCommitBundle: () => Promise.reject(thrown) };
  const alice = await Person.comes("alice", new Server(), { transport });
  await alice.creates("team");
  const error = await expectCode(alice.session.conversation("team").updateKeys(), "COMMIT_OUTCOME_UNKNOWN");
  expect(error.cause).toBe(thrown);
});
