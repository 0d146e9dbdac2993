import { inspectMessage, limits } from "conclave-mls";
import { messageIn } from "../delivery-service/framed.js";
import { expectCode } from "../support/expect.js";
import { everybodyLeaves, Person } from "../support/people.js";
import { Server } from "../support/server.js";

afterEach(everybodyLeaves);

/** The frame of a message of another conversation, and so many bytes. */
const ofSize = (size: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  bytes.set(messageIn("another", 1n).subarray(0, 20));
  return bytes;
};

it("a message that is larger than any is judged like every other, and only its beginning is looked at", async () => {
  const alice = await Person.comes("alice", new Server());
  const [large, larger, largest] = [1, 1000, 48 * 1024 * 1024].map((more) => ofSize(limits.messageBytes.max + more));
  const received = await alice.session.receive([large!, messageIn("another", 1n), larger!, largest!]);
  expect(received.map(({ type }) => type)).toEqual(["rejected", "waiting", "rejected", "rejected"]);
  expect(received[0]).toMatchObject({ code: "MESSAGE_INVALID", reason: expect.stringContaining("larger") as string });
  expect(received[2]!.messageId).toBe(received[0]!.messageId);
  expect(received[3]!.messageId).toBe(received[0]!.messageId);
  for (const message of [large!, largest!]) {
    await expectCode(
      Promise.resolve().then(() => inspectMessage(message)),
      "MESSAGE_INVALID",
    );
    await expectCode(alice.session.joinByWelcome(message), "WELCOME_INVALID");
  }
});

it("a view that lies about its size, or is none of bytes, is copied as what it is", () => {
  class Lying extends Uint8Array {
    override get byteLength(): number {
      return 0;
    }
    override get length(): number {
      return 1;
    }
  }
  const message = messageIn("another", 1n);
  expect(inspectMessage(new Lying(message))).toMatchObject({ conversationId: "another" });
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  expect(inspectMessage(view as unknown as Uint8Array)).toMatchObject({ conversationId: "another" });
});
