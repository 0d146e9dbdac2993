/** What others do to a keystore's files: owners are told apart by the file itself, and what is lost is never told as stored. */
import { copyFile, link, readdir, rename, rm, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { Credential, Database, DatabaseKey, Session } from "conclave-mls";
import { expectCode } from "../support/expect.js";
import { cleanUp, freshPath } from "../support/files.js";
import { bytes, everybodyLeaves, Person, suite } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);
afterEach(cleanUp);

const key = () => DatabaseKey.from(new Uint8Array(32).fill(7));

/** Alice with a file, bob without one, and their team. */
async function aTeam(path: string, server: Server) {
  const alice = await Person.comes("alice", server, { database: await Database.open(path, key()) });
  const bob = await Person.comes("bob", server);
  await alice.creates("team", bob);
  return { alice, bob };
}

it("has one owner, also when its lock file was deleted", async () => {
  const path = await freshPath();
  const { alice, bob } = await aTeam(path, new Server());
  await unlink(`${path}.lock`);
  await expectCode(Database.open(path, key()), "DATABASE_IN_USE");
  await alice.says("team", "still the only one");
  expect(await bob.hears("team")).toEqual(["still the only one"]);
});

it("hands out nothing once its file was renamed, deleted or replaced, not even within a transaction", async () => {
  const losses: Record<string, (path: string) => Promise<unknown>> = {
    renamed: (path) => rename(path, `${path}.away`),
    deleted: (path) => unlink(path),
    replaced: async (path) => {
      await copyFile(path, `${path}.copy`);
      await rename(`${path}.copy`, path);
    },
    "its log deleted": (path) => unlink(`${path}-wal`),
  };
  for (const lose of Object.values(losses)) {
    const path = await freshPath();
    const session = await Session.open(await Database.open(path, key()), { clientId: "alice" });
    const credential = await session.addCredential(Credential.basic("alice", { cipherSuite: suite }));
    const team = await session.createConversation("team", { credential });
    const lost = session.transaction(async (tx) => {
      await tx.conversation("team").encrypt(bytes("before"));
      await lose(path);
      await tx.conversation("team").encrypt(bytes("after"));
    });
    await expectCode(lost, "DATABASE_LOST");
    await expectCode(team.encrypt(bytes("later")), "DATABASE_LOST");
    await expectCode(session.setData("key", bytes("value")), "DATABASE_LOST");
    await expectCode(session.close(), "DATABASE_LOST");
  }
});

it("what was stored before its file was renamed is in the file by its new name", async () => {
  const path = await freshPath();
  const session = await Session.open(await Database.open(path, key()), { clientId: "alice" });
  await session.setData("key", bytes("before"));
  await rename(path, `${path}.away`);
  await expectCode(session.setData("key", bytes("after")), "DATABASE_LOST");
  await expectCode(Database.open(`${path}.away`, key()), "DATABASE_IN_USE");
  await expectCode(session.close(), "DATABASE_LOST");
  const again = await Session.open(await Database.open(`${path}.away`, key()), { clientId: "alice" });
  expect(await again.data("key")).toEqual(bytes("before"));
  await again.close();
});

it("goes on while a backup makes a hard link to it, and is opened again when that is gone", async () => {
  const path = await freshPath();
  const session = await Session.open(await Database.open(path, key()), { clientId: "alice" });
  await link(path, `${path}.backup`);
  await session.setData("key", bytes("value"));
  await session.close();
  const error = await expectCode(Database.open(path, key()), "INVALID_ARGUMENT");
  expect(error.message).toContain("second name");
  await unlink(`${path}.backup`);
  await (await Database.open(path, key())).close();
});

it("is no new one where a file is empty or cut off, and leaves the mode of what it is not alone", async () => {
  const path = await freshPath();
  await writeFile(path, "", { mode: 0o644 });
  await expectCode(Database.open(path, key()), "DATABASE_CORRUPT");
  await writeFile(path, "x".repeat(5000));
  await expectCode(Database.open(path, key()), "DATABASE_KEY_WRONG");
  if (process.platform !== "win32") expect((await stat(path)).mode & 0o777).toBe(0o644);
  expect(await readdir(dirname(path))).toEqual(["keystore.db"]);

  await rm(path);
  const session = await Session.open(await Database.open(path, key()), { clientId: "alice" });
  await session.close();
  await truncate(path);
  await expectCode(Database.open(path, DatabaseKey.generate()), "DATABASE_CORRUPT");
});

it("goes on from an older state only with consent, and renews the keys of each conversation before it sends", async () => {
  const path = await freshPath();
  const server = new Server();
  const { alice, bob } = await aTeam(path, server);
  await alice.session.close();
  await copyFile(path, `${path}.backup`);
  const lost = await Person.comes("alice", server, { database: await Database.open(path, key()) });
  await lost.says("team", "by the state that is lost");
  expect(await bob.hears("team")).toEqual(["by the state that is lost"]);
  await lost.session.close();

  await copyFile(`${path}.backup`, path);
  await expectCode(Database.open(path, key()), "DATABASE_ROLLED_BACK");
  await expectCode(Database.open(path, key(), { acceptRollback: false }), "DATABASE_ROLLED_BACK");
  const database = await Database.open(path, key(), { acceptRollback: true });
  const again = await Person.comes("alice", server, { database });
  const team = again.session.conversation("team");
  const error = await expectCode(team.encrypt(bytes("too early")), "EPOCH_EXHAUSTED");
  expect(error.message).toContain("updateKeys()");
  const echoes = await again.session.receive(server.log("team"));
  expect(echoes.map((one) => (one.type === "ignored" ? one.why : one.type))).not.toContain("rejected");
  await team.updateKeys();
  await again.says("team", "with new keys");
  expect(await bob.hears("team")).toEqual(["with new keys"]);
  await again.session.close();
  await (await Database.open(path, key())).close(); // Accepted is accepted.
});

it("looks at its options like every other call", async () => {
  const path = await freshPath();
  for (const options of [{ acceptRollback: "yes" }, { acceptRolback: true }, null, 7])
    await expectCode(Database.open(path, key(), options as never), "INVALID_ARGUMENT");
  expect(await readdir(dirname(path))).toEqual([]);
});
