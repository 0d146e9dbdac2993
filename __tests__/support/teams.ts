import type { SessionEvents } from "conclave-mls";
import { FakeClock } from "./clock.js";
import { Person } from "./people.js";
import { Server } from "./server.js";

/** Alice and bob in a conversation. */
export async function aliceAndBob() {
  const server = new Server();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const team = await alice.creates("team", bob);
  return { server, alice, bob, team };
}

/** Alice's open team with bob, and dave outside. */
export async function openTeam() {
  const server = new Server();
  const clock = new FakeClock();
  const alice = await Person.comes("alice", server);
  const bob = await Person.comes("bob", server);
  const dave = await Person.comes("dave", server, { clock });
  await alice.opens("team", bob);
  return { server, clock, alice, bob, dave };
}

/** What this person is told of conversations from now on. */
export function told(person: Person): SessionEvents["conversationChanged"][] {
  const events: SessionEvents["conversationChanged"][] = [];
  person.session.on("conversationChanged", (event) => events.push(event));
  return events;
}

/** What this person is told of settled commits from now on. */
export function settled(person: Person): SessionEvents["commitSettled"][] {
  const events: SessionEvents["commitSettled"][] = [];
  person.session.on("commitSettled", (event) => events.push(event));
  return events;
}
