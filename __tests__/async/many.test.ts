import { MlsError } from "conclave-mls";
import { bytes, everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

it("100 sessions in one process talk to each other", async () => {
  const server = new Server();
  const people = await Promise.all(Array.from({ length: 100 }, (_, place) => Person.comes(`person ${place}`, server)));
  const [first, ...others] = people;
  await first!.creates("everybody", ...others);
  await Promise.all(people.map((person) => person.says("everybody", `hello from ${person.name}`)));
  const expected = people.map(({ name }) => `hello from ${name}`).sort();
  for (const person of people) {
    const heard = await person.hears("everybody");
    expect(heard.sort()).toEqual(expected.filter((words) => words !== `hello from ${person.name}`));
  }
}, 60_000);

it("12 sessions that commit in one conversation at once all get through", async () => {
  const server = new Server();
  const names = Array.from({ length: 12 }, (_, place) => `person ${place}`);
  // With deliver a retry may read on by itself, however far the others are.
  const people = await Promise.all(names.map((name) => Person.comes(name, server, { deliver: () => {} })));
  const [first, ...others] = people;
  await first!.creates("everybody", ...others);
  const results = await Promise.all(
    people.map(({ session }) => session.conversation("everybody").updateKeys({ attempts: 100 })),
  );
  expect(results.map(({ epoch }) => Number(epoch)).sort((a, b) => a - b)).toEqual(names.map((_, place) => place + 2));
  await Promise.all(people.map((person) => person.reads("everybody")));
  const authenticators = await Promise.all(
    people.map(({ session }) => session.conversation("everybody").epochAuthenticator()),
  );
  for (const authenticator of authenticators) expect(authenticator).toEqual(authenticators[0]);
});

it("100 sessions closed with work under way end in results or typed errors, and nothing hangs", async () => {
  const server = new Server();
  const names = Array.from({ length: 100 }, (_, place) => `person ${place}`);
  const people = await Promise.all(names.map((name) => Person.comes(name, server)));
  const begun = people.map(({ session, credential }) => {
    const created = session.createConversation("own", { credential });
    const others = [
      session.transaction(async (tx) => {
        await tx.setData("x", bytes("1"));
        return tx.conversation("own").encrypt(bytes("x"));
      }),
      session.conversation("own").updateKeys(),
      session.generateKeyPackages(credential, { count: 20 }),
    ];
    return { created, others };
  });
  const endings = begun.flatMap(({ others }) =>
    others.map((call) =>
      call.then(
        () => "done",
        (error: unknown) => (MlsError.is(error) ? error.code : error),
      ),
    ),
  );
  await Promise.all(begun.map(({ created }) => created));
  await Promise.all(people.map(({ session }) => session.close()));
  expect(["done", "SESSION_CLOSED"]).toEqual(expect.arrayContaining([...new Set(await Promise.all(endings))]));
});
