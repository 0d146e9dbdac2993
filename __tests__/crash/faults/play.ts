import { createHash } from "node:crypto";
import { Credential, type CredentialRef } from "conclave-mls";
import { suite } from "../kills/client.js";
import type { Scene } from "./scene.js";

/** One thing that is done. It may be done again after a failure, and then goes on from where that has left it. */
export interface Step {
  readonly name: string;
  readonly work: (scene: Scene) => Promise<void>;
  /** Changes her state not at all when it fails. Commits do: once staged they stay until it is known what became of them. */
  readonly whole: boolean;
}

/** The session that is played with every fault. */
export function play(): readonly Step[] {
  let keyPackages: Uint8Array[] = [];
  let welcome: Uint8Array | undefined;
  let told: string | undefined;
  const step = (name: string, work: Step["work"], whole = true): Step => ({ name, work, whole });
  const commit = (name: string, id: string, work: Step["work"], isDone: (scene: Scene) => Promise<boolean>): Step =>
    step(
      name,
      async (scene) => {
        await scene.alice.settle();
        if (await isDone(scene)) return;
        await work(scene);
        await scene.aliceReads(id);
      },
      false,
    );
  const epochs = new Map<string, bigint>();
  const update = (name: string, id: string): Step =>
    commit(
      name,
      id,
      async ({ alice }) => {
        epochs.set(name, await alice.conversation(id).epoch());
        await alice.conversation(id).updateKeys();
      },
      async ({ alice }) => epochs.has(name) && (await alice.conversation(id).epoch()) > epochs.get(name)!,
    );
  let count = 0;
  let former: CredentialRef | undefined;
  const say = (id: string): Step =>
    step("say", (scene) => scene.says(scene.alice.conversation(id), `words ${count++}`));

  return [
    step("open", (scene) => scene.open()),
    step("add a credential", async ({ alice }) => {
      await alice.addCredential(Credential.basic("alice", { cipherSuite: suite }));
    }),
    step("make key packages", async (scene) => {
      const made = await scene.alice.generateKeyPackages(await scene.alicesCredential(), { count: 2 });
      keyPackages = made.map(({ bytes }) => bytes);
    }),
    commit(
      "found",
      "team",
      async (scene) => {
        const members = [await scene.bobsKeyPackage()];
        await scene.alice.createConversation("team", { credential: await scene.alicesCredential(), members });
      },
      async ({ alice }) => (await alice.conversations()).includes("team"),
    ),
    say("team"),
    say("team"),
    step("say many at once", async (scene) => {
      const team = scene.alice.conversation("team");
      const sent = Array.from({ length: 5 }, () => scene.says(team, `words ${count++}`));
      const ends = await Promise.allSettled(sent);
      for (const end of ends) if (end.status === "rejected") throw end.reason;
    }),
    step("store together", async (scene) => {
      const { alice } = scene;
      await alice.transaction(async (tx) => {
        await tx.setData("one", Buffer.from("1"));
        await scene.says(tx.conversation("team"), `words ${count++}`);
        await tx.setData("two", Buffer.from("2"));
      });
    }),
    step("take back", async (scene) => {
      const regret = new Error("taken back");
      const end = scene.alice.transaction(async (tx) => {
        await tx.setData("one", null);
        await scene.says(tx.conversation("team"), `words ${count++}`);
        throw regret;
      });
      await end.catch((error: unknown) => {
        if (error !== regret) throw error;
      });
    }),
    say("team"),
    step("listen", async (scene) => {
      const again = told !== undefined;
      if (told === undefined) {
        await scene.bobReads();
        scene.server.post(await scene.bob.conversation("team").encrypt(Buffer.from((told = "hello"))));
      }
      await scene.aliceReads("team", { hears: told, again });
    }),
    update("update", "team"),
    say("team"),
    step("join", async (scene) => {
      // Where the disk failed at the very end, it may turn out after all that she has joined.
      if ((await scene.alice.conversations()).includes("bobs")) return;
      welcome ??= await scene.bobInvites("bobs", keyPackages[0]!);
      await scene.alice.joinByWelcome(welcome);
    }),
    say("bobs"),
    step("reopen", async (scene) => {
      await scene.close();
      await scene.open();
    }),
    say("bobs"),
    commit(
      "remove",
      "bobs",
      async ({ alice }) => {
        await alice.conversation("bobs").removeMembers(["bob"]);
      },
      async ({ alice }) => (await alice.conversation("bobs").members()).length === 1,
    ),
    step("wipe", async ({ alice }) => {
      if ((await alice.conversations()).includes("bobs")) await alice.conversation("bobs").wipe();
    }),
    update("update again", "team"),
    say("team"),
    step("add another credential", async ({ alice }) => {
      if ((await alice.credentials()).length === 1)
        await alice.addCredential(Credential.basic("alice", { cipherSuite: suite }));
    }),
    commit(
      "change the credential",
      "team",
      async (scene) => {
        former ??= await credentialIn("team", scene);
        const credential = (await scene.alice.credentials()).find(({ ref }) => ref !== former!.ref)!;
        await scene.alice.conversation("team").updateKeys({ credential });
      },
      async (scene) => former !== undefined && (await credentialIn("team", scene)).ref !== former.ref,
    ),
    step("remove the former credential", async ({ alice }) => {
      if ((await alice.credentials()).length === 2) await alice.removeCredential(former!);
    }),
    say("team"),
    step("close", (scene) => scene.close()),
  ];
}

/** The credential by which she is known in a conversation. */
async function credentialIn(id: string, { alice }: Scene): Promise<CredentialRef> {
  const own = (await alice.conversation(id).members()).find(({ clientId }) => clientId === "alice")!;
  const ref = createHash("sha256").update(own.signatureKey).digest("hex");
  return (await alice.credentials()).find((credential) => credential.ref === ref)!;
}
