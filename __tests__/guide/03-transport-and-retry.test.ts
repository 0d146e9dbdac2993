/** The scenario of docs/03-transport-and-retry.md: its regions are what the page shows. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import {
  type CommitResult,
  Credential,
  Database,
  DatabaseKey,
  type Invitee,
  type MlsConversation,
  MlsError,
  type MlsTransport,
  Session,
  type SessionOptions,
  type UnsettledCommit,
} from "conclave-mls";
import { EmbeddedDeliveryService, type MembershipClaim } from "conclave-mls/delivery-service";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";

// snippet: transport
function transportTo(server: string, token: string): MlsTransport {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return {
    async sendCommitBundle({ commit, welcome, groupInfo }, { commitId, welcomeTo, change, signal }) {
      const body = JSON.stringify({
        commit: Buffer.from(commit).toString("base64"),
        welcome: welcome === undefined ? null : Buffer.from(welcome).toString("base64"),
        groupInfo: Buffer.from(groupInfo).toString("base64"),
        welcomeTo, // Who gets the Welcome, and for which key package.
        removed: change.removed.map(({ clientId }) => clientId), // Who gets nothing after this commit.
      });
      const response = await fetch(`${server}/commits/${commitId}`, { method: "PUT", headers, body, signal });
      if (response.status === 200) return { status: "success" }; // Accepted, now or before.
      if (response.status === 409) return { status: "retry" }; // Another commit was accepted for that epoch.
      if (response.status === 403) return { status: "abort", reason: await response.text() }; // And never will be.
      throw new Error(`The server answered ${response.status}.`); // In doubt: 500, 502, a proxy's page.
    },
    // end

    // snippet: fetch
    async fetchMessages(conversationId, fromEpoch, signal) {
      const log = `${server}/log/${encodeURIComponent(conversationId)}?from=${fromEpoch}`;
      const response = await fetch(log, { headers, signal });
      if (!response.ok) throw new Error(`The server answered ${response.status}.`);
      const messages = (await response.json()) as string[];
      return messages.map((message) => new Uint8Array(Buffer.from(message, "base64")));
    },
    // end
  };
}

// snippet: outcome
async function invite(team: MlsConversation, invitee: Invitee): Promise<CommitResult | "refused" | "open" | "again"> {
  try {
    return await team.addMembers([invitee]);
  } catch (error) {
    if (MlsError.is(error, "COMMIT_REJECTED")) return "refused"; // error.context.reason says why; nothing has changed.
    if (MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED")) {
      if (error.context.earlier) return "again"; // An earlier commit is open: settle it first. Of this call nothing is.
      return "open"; // On the disk, and settled later.
    }
    if (MlsError.is(error, "COMMIT_LOST", "CONVERSATION_BEHIND")) return "again"; // Nothing is open, and nothing was done.
    throw error;
  }
}
// end

// snippet: settle
/** At every start, and whenever the connection is back. */
async function online(session: Session): Promise<UnsettledCommit[]> {
  const stillOpen = await session.settle();
  for (const { conversationId, why } of stillOpen) console.warn(`A change in ${conversationId} is still open: ${why}.`);
  return stillOpen;
}
// end

// snippet: settled
/** Says what became of changes that had been open. */
function tellWhatBecameOfThem(session: Session, show: (line: string) => void): () => void {
  return session.on("commitSettled", ({ conversationId, outcome, intent }) => {
    const names = [...intent.added, ...intent.removed].map(({ clientId }) => clientId).join(", ");
    show(outcome === "merged" ? `${conversationId}: done (${names})` : `${conversationId}: did not happen (${names})`);
  });
}
// end

// snippet: signal
/** Gives up when the user does. */
async function renewKeys(team: MlsConversation, signal: AbortSignal): Promise<"done" | "not begun" | "open"> {
  try {
    await team.updateKeys({ signal, attempts: 3 });
    return "done";
  } catch (error) {
    if (MlsError.is(error, "ABORTED")) return "not begun"; // Nothing was sent.
    if (MlsError.is(error, "COMMIT_OUTCOME_UNKNOWN", "RETRY_EXHAUSTED")) return "open"; // Sent: it may have been accepted.
    throw error;
  }
}
// end

const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";

/** A web server over the embedded service. Its moods are for the commits to come, one each. */
class Web {
  readonly service: EmbeddedDeliveryService;
  readonly moods: ("lose the answer" | "be busy" | "refuse" | "say nothing")[] = [];
  commits = 0;
  readonly #server: Server;

  private constructor(service: EmbeddedDeliveryService) {
    this.service = service;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async starts(): Promise<Web> {
    const web = new Web(await EmbeddedDeliveryService.inMemory());
    await new Promise<void>((listening) => web.#server.listen(0, "127.0.0.1", listening));
    return web;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((closed) => this.#server.close(closed));
    await this.service.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const clientId = request.headers.authorization!.replace("Bearer ", "");
    const { pathname, searchParams } = new URL(request.url!, this.url);
    if (request.method === "PUT") return this.#commit(clientId, request, response);
    const conversationId = decodeURIComponent(pathname.split("/").at(-1)!);
    const log = await this.service.fetch(clientId, conversationId, { fromEpoch: BigInt(searchParams.get("from")!) });
    response.end(JSON.stringify(log.map(({ bytes }) => Buffer.from(bytes).toString("base64"))));
  }

  async #commit(clientId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { commit, welcome, groupInfo, welcomeTo, removed } = JSON.parse(await text(request)) as Sent;
    this.commits += 1;
    const mood = this.moods.shift();
    if (mood === "say nothing") return;
    if (mood === "be busy") return void response.writeHead(409).end();
    if (mood === "refuse") return void response.writeHead(403).end("This group is full.");
    const bundle = {
      commit: bytesOf(commit),
      ...(welcome !== null && { welcome: bytesOf(welcome) }),
      groupInfo: bytesOf(groupInfo),
    };
    const answer = await this.service.sendCommit(clientId, bundle, { welcomeTo, removed });
    if (mood === "lose the answer") return void response.destroy();
    response.writeHead({ success: 200, retry: 409, abort: 403 }[answer.status]).end();
  }
}

interface Sent extends MembershipClaim {
  commit: string;
  welcome: string | null;
  groupInfo: string;
}

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, "base64"));
}

const keys = new Map<string, DatabaseKey>();
const open: Session[] = [];
let folder: string;
let web: Web;

beforeEach(async () => {
  folder = dirname(await freshPath());
  web = await Web.starts();
});

afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
  await web.close();
  keys.clear();
  await cleanUp();
});

/** Somebody with a keystore on the disk and a transport over HTTP. Who comes again has been restarted. */
async function comes(clientId: string, changed: Partial<SessionOptions> = {}): Promise<Session> {
  const key = keys.get(clientId) ?? DatabaseKey.generate();
  const database = await Database.open(join(folder, `${clientId}.keystore`), key);
  const session = await Session.open(database, { clientId, transport: transportTo(web.url, clientId), ...changed });
  open.push(session);
  if (!keys.has(clientId)) {
    const credential = await session.addCredential(Credential.basic(clientId, { cipherSuite }));
    await web.service.publishKeyPackages(clientId, await session.generateKeyPackages(credential, { count: 3 }));
  }
  keys.set(clientId, key);
  return session;
}

async function invited(clientId: string): Promise<Invitee> {
  const claimed = await web.service.claimKeyPackage(clientId, cipherSuite);
  return { keyPackage: claimed!.bytes, clientId };
}

/** Receives what waits, as an application's own loop does. */
async function reads(session: Session): Promise<void> {
  for (const { bytes, cursor } of await web.service.pull(session.clientId)) {
    if ((await session.receive(bytes)).some(({ type }) => type === "welcome")) await session.joinByWelcome(bytes);
    await web.service.acknowledge(session.clientId, cursor);
  }
}

/** Alice and Bob in a group; dave and erin have key packages for whoever invites them. */
async function aliceAndBob(ofAlice: Partial<SessionOptions> = {}) {
  const [alice, bob] = [await comes("alice", ofAlice), await comes("bob")];
  for (const name of ["dave", "erin"]) await comes(name);
  const [credential] = await alice.credentials();
  const team = await alice.createConversation("team", { credential: credential!, members: [await invited("bob")] });
  await reads(bob);
  return { alice, bob, team, bobsTeam: bob.conversation("team") };
}

async function names(team: MlsConversation): Promise<string[]> {
  return (await team.members()).map(({ clientId }) => clientId).sort();
}

test("another commit was first: alice catches up by herself, and hers is built again", async () => {
  const { bob, team, bobsTeam } = await aliceAndBob();
  await bobsTeam.addMembers([await invited("dave")]); // Alice has not heard of it.
  expect(await invite(team, await invited("erin"))).toMatchObject({ outcome: "merged", epoch: 3n, attempts: 2 });
  await reads(bob);
  expect(await names(bobsTeam)).toEqual(["alice", "bob", "dave", "erin"]);
});

test("what both wanted is done once, and the second is told so", async () => {
  const { team, bobsTeam } = await aliceAndBob();
  const [first, second] = [await invited("dave"), await invited("dave")];
  await bobsTeam.addMembers([first]);
  expect(await invite(team, second)).toMatchObject({ outcome: "already-applied", epoch: 2n });
});

test("the server refuses: nothing has changed, and the reason is told", async () => {
  const { team } = await aliceAndBob();
  web.moods.push("refuse", "refuse");
  const dave = await invited("dave");
  expect(await invite(team, dave)).toBe("refused");
  expect((await expectCode(team.addMembers([dave]), "COMMIT_REJECTED")).message).toContain("This group is full.");
  expect(await names(team)).toEqual(["alice", "bob"]);
  expect(await invite(team, dave)).toMatchObject({ outcome: "merged" });
});

test("the answer is lost: the commit stays on the disk, and the next session learns that it was accepted", async () => {
  const { alice, team } = await aliceAndBob();
  web.moods.push("lose the answer");
  expect(await invite(team, await invited("dave"))).toBe("open");
  expect(await team.epoch()).toBe(1n);
  await alice.close();

  const again = await comes("alice");
  expect(await again.unsettledCommits()).toMatchObject([{ conversationId: "team", why: "unknown" }]);
  const shown: string[] = [];
  tellWhatBecameOfThem(again, (line) => shown.push(line));
  expect(await online(again)).toEqual([]);
  expect(shown).toEqual(["team: done (dave)"]);
  expect(await names(again.conversation("team"))).toEqual(["alice", "bob", "dave"]);
});

test("the answer is lost, and the commit comes back by the queue first", async () => {
  const { alice, team } = await aliceAndBob();
  web.moods.push("lose the answer");
  expect(await invite(team, await invited("dave"))).toBe("open");
  const shown: string[] = [];
  tellWhatBecameOfThem(alice, (line) => shown.push(line));
  await reads(alice);
  expect(shown).toEqual(["team: done (dave)"]);
  expect(await alice.unsettledCommits()).toEqual([]);
});

test("a commit that was open has lost: it is told with what it was to do, and not made again", async () => {
  const { alice, team, bobsTeam } = await aliceAndBob();
  web.moods.push("be busy");
  const dave = await invited("dave");
  await expectCode(team.addMembers([dave], { attempts: 1 }), "RETRY_EXHAUSTED");
  const shown: string[] = [];
  tellWhatBecameOfThem(alice, (line) => shown.push(line));
  await bobsTeam.updateKeys();
  expect(await online(alice)).toEqual([]);
  expect(shown).toEqual(["team: did not happen (dave)"]);
  expect(await names(team)).toEqual(["alice", "bob"]);
  expect(await invite(team, dave)).toMatchObject({ outcome: "merged" });
});

test("what stays open is said when somebody asks, and the same bytes are sent the next time", async () => {
  const warn = jest.spyOn(console, "warn").mockReturnValue(undefined);
  const { alice, team } = await aliceAndBob({ attempts: 1 });
  web.moods.push("be busy", "be busy");
  expect(await invite(team, await invited("dave"))).toBe("open");
  expect(await online(alice)).toMatchObject([{ conversationId: "team", why: "exhausted" }]);
  expect(warn).toHaveBeenCalledWith("A change in team is still open: exhausted.");
  expect(await online(alice)).toEqual([]);
  expect(await names(team)).toEqual(["alice", "bob", "dave"]);
  warn.mockRestore();
});

test("a push server without fetchMessages: what the application receives brings the retry to its end", async () => {
  const { sendCommitBundle } = transportTo(web.url, "alice");
  let refused = (): void => {};
  const told = new Promise<void>((resolve) => (refused = resolve));
  const transport: MlsTransport = {
    async sendCommitBundle(bundle, context) {
      const answer = await sendCommitBundle(bundle, context);
      if (answer.status !== "retry") return answer;
      refused();
      return { status: "retry", afterMs: 3_600_000 }; // Nobody would wait for that.
    },
  };
  const { alice, team, bobsTeam } = await aliceAndBob({ transport });
  await bobsTeam.addMembers([await invited("dave")]);

  const inviting = invite(team, await invited("erin"));
  await told;
  for (let step = 0; step < 3; step++) await team.epoch(); // By now the call is in its back-off.
  await reads(alice); // The loop of page 2, which goes on beside the call.
  expect(await inviting).toMatchObject({ outcome: "merged", epoch: 3n });
});

test("a signal: before the first send nothing happens, after it the commit stays open", async () => {
  const { alice, team } = await aliceAndBob();
  const sent = web.commits;
  expect(await renewKeys(team, AbortSignal.abort())).toBe("not begun");
  expect(web.commits).toBe(sent);

  const user = new AbortController();
  web.moods.push("say nothing");
  const renewing = renewKeys(team, user.signal);
  while (web.commits === sent) await new Promise(setImmediate);
  user.abort();
  expect(await renewing).toBe("open");
  expect(await online(alice)).toEqual([]);
  expect(await renewKeys(team, new AbortController().signal)).toBe("done");
});
