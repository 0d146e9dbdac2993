import { Mallory } from "../support/mallory.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

describe("a conversation at the end of the numbers", () => {
  it.each([2n ** 64n - 2n, 2n ** 64n - 3n, 2n ** 62n])("in epoch %s is not joined by a Welcome", async (epoch) => {
    const bob = await Person.comes("bob", new Server());
    const mallory = await Mallory.comes();
    const welcome = await mallory.founds("evil", epoch, await bob.keyPackage());
    await expect(bob.session.joinByWelcome(welcome)).rejects.toMatchObject({ code: "WELCOME_INVALID" });
    await bob.session.receive(await mallory.commits());
    expect(await bob.session.conversations()).toEqual([]);
  });
});
