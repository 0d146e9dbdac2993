import { MlsError } from "conclave-mls";
import { everybodyLeaves } from "../support/people.js";
import { sayAbort } from "../support/server.js";
import { Trio } from "../support/trio.js";

afterEach(everybodyLeaves);

/** The code that a call rejects with, or "merged". */
async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "merged";
  } catch (error) {
    return MlsError.is(error) ? error.code : String(error);
  }
}

it("commits that the server refuses never carry a client out of what others can read", async () => {
  const { alice, bob, server, team } = await Trio.meets();
  let refusals = 0;
  for (let code = "COMMIT_REJECTED"; code === "COMMIT_REJECTED" && refusals < 2_100; refusals++) {
    server.nextFrom("alice", sayAbort);
    code = await codeOf(team.updateKeys());
    if (code !== "COMMIT_REJECTED") expect(code).toBe("EPOCH_EXHAUSTED");
  }
  expect(refusals).toBeLessThan(1_000);
  // Her messages are read as ever, and the commit of another member ends it.
  await alice.says("team", "still here");
  expect(await bob.hears("team")).toEqual(["still here"]);
  await bob.session.conversation("team").updateKeys();
  await alice.reads("team");
  // The whim of the call that sent nothing.
  await expect(team.updateKeys()).rejects.toMatchObject({ code: "COMMIT_REJECTED" });
  await team.updateKeys();
  expect((await bob.reads("team")).at(-1)).toMatchObject({ type: "commit" });
});
