import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type CipherSuite, Credential, limits } from "conclave-mls";
import { cipherSuiteNumbers, cipherSuites } from "../lib/cipher-suite.js";
import { native } from "../lib/native.js";
import { expectCode } from "./support/expect.js";
import { bytes, everybodyLeaves, Person } from "./support/people.js";
import { Server } from "./support/server.js";
import { aliceAndBob } from "./support/teams.js";

afterEach(everybodyLeaves);

it("the limits are those of the addon", () => {
  const ofAddon = native()
    .limits()
    .map(({ name, ...limit }) => [name, limit]);
  expect(limits).toEqual(Object.fromEntries(ofAddon));
});

it("the cipher suites are those of the addon", () => {
  expect(Object.values(cipherSuiteNumbers)).toEqual(native().cipherSuites());
});

it("nobody moves a limit", () => {
  expect(() => Object.assign(limits, { idBytes: { min: 0, max: 0 } })).toThrow(TypeError);
  expect(() => Object.assign(limits.idBytes, { max: 0 })).toThrow(TypeError);
});

describe("what is at a limit passes, and what is beyond is refused with the limit in the message", () => {
  it.each<CipherSuite>(cipherSuites)("an exported secret of %s", async (cipherSuite) => {
    const alice = await Person.comes("alice", new Server());
    const credential = await alice.session.addCredential(Credential.basic("alice", { cipherSuite }));
    const team = await alice.session.createConversation("team", { credential });
    const { min, max } = limits.secretBytes;
    for (const length of [min, max])
      expect(await team.exportSecret("label", bytes("context"), length)).toHaveLength(length);
    for (const length of [min - 1, max + 1, 65_535]) {
      const error = await expectCode(team.exportSecret("label", bytes("context"), length), "INVALID_ARGUMENT");
      expect(error.message).toContain(String(max));
    }
    await team.exportSecret("l".repeat(limits.labelBytes.max), bytes(""), 32);
    const long = "l".repeat(limits.labelBytes.max + 1);
    await expectCode(team.exportSecret(long, bytes(""), 32), "INVALID_ARGUMENT");
  });

  it("a message, its aad, and the bytes of both together at the delivery service's and the receiver's door", async () => {
    const { team, bob } = await aliceAndBob();
    const plaintext = new Uint8Array(limits.plaintextBytes.max);
    const aad = new Uint8Array(limits.aadBytes.max);
    const message = await team.encrypt(plaintext, { aad });
    expect(message.length).toBeLessThanOrEqual(limits.messageBytes.max);
    const [received] = await bob.session.receive(message);
    expect(received?.type === "message" && received.plaintext.length).toBe(plaintext.length);
    const larger = await expectCode(team.encrypt(new Uint8Array(plaintext.length + 1)), "INVALID_ARGUMENT");
    expect(larger.message).toContain(`plaintext must have at most ${limits.plaintextBytes.max} bytes`);
    const more = team.encrypt(bytes("x"), { aad: new Uint8Array(aad.length + 1) });
    expect((await expectCode(more, "INVALID_ARGUMENT")).message).toContain(`at most ${limits.aadBytes.max} bytes`);
  });

  it("lists, and values of the application", async () => {
    const { team, alice } = await aliceAndBob();
    const { max } = limits.listLength;
    const adding = team.addMembers(new Array<Uint8Array>(max + 1).fill(bytes("x")));
    expect((await expectCode(adding, "INVALID_ARGUMENT")).message).toContain(`${max} entries`);
    await expectCode(team.addMembers(new Array<Uint8Array>(max).fill(bytes("x"))), "KEY_PACKAGE_INVALID");
    const removing = team.removeMembers(new Array<string>(max + 1).fill("bob"));
    expect((await expectCode(removing, "INVALID_ARGUMENT")).message).toContain(`${max} entries`);
    await alice.session.setData("k".repeat(limits.dataKeyBytes.max), new Uint8Array(limits.dataValueBytes.max));
    const value = new Uint8Array(limits.dataValueBytes.max + 1);
    await expectCode(alice.session.setData("key", value), "INVALID_ARGUMENT");
    await expectCode(alice.session.setData("k".repeat(limits.dataKeyBytes.max + 1), bytes("")), "INVALID_ARGUMENT");
  });
});

describe("the numbers in the pages", () => {
  const number = (value: number): string => value.toLocaleString("en-US");
  const size = (value: number): string => {
    const [whole, rest] = [Math.floor(value / 2 ** 20), (value % 2 ** 20) / 1024];
    if (whole === 0) return `${rest} KiB`;
    return rest === 0 ? `${whole} MiB` : `${whole} MiB and ${rest} KiB`;
  };
  const days = (value: number): string => `${value / 86_400_000} days`;
  const { pastEpochs, secretBytes, messageBytes, plaintextBytes, aadBytes, keyPackageLifetimeMs: lifetime } = limits;
  const epochs = ["none", "one", "two", "three", "four", "five", "six"][pastEpochs.max];

  const pages: [string, ...[RegExp, string][]][] = [
    [
      "README.md",
      [/a message (\d+ MiB),/, size(plaintextBytes.max)],
      [/its `aad` (\d+ KiB)/, size(aadBytes.max)],
      [/a received message or Welcome (\d+ MiB(?: and \d+ KiB)?)/, size(messageBytes.max)],
      [/a commit that is not encrypted (\d+ MiB)/, size(limits.publicMessageBytes.max)],
      [/a GroupInfo (\d+ MiB)/, size(limits.groupInfoBytes.max)],
      [/a key package (\d+ KiB)/, size(limits.keyPackageBytes.max)],
      [/an id ([\d,]+) bytes/, number(limits.idBytes.max)],
      [/an exported secret ([\d,]+) bytes/, number(secretBytes.max)],
      [/([\d,]+) members added or removed/, number(limits.listLength.max)],
      [/([\d,]+) key packages made at once/, number(limits.keyPackages.max)],
      [/good for (\d+ days) at most/, days(lifetime.max)],
      [/`setData` (\d+ MiB)/, size(limits.dataValueBytes.max)],
      [/read for (\d+) past epochs/, number(pastEpochs.max)],
      [/of one sender ([\d,]+) may come out of order/, number(limits.outOfOrder.max)],
      [/and ([\d,]+) be missing/, number(limits.forwardDistance.max)],
    ],
    [
      "docs/server.md",
      [/GroupInfo has at most (\d+ MiB(?: and \d+ KiB)?)/, size(messageBytes.max)],
      [/key package has at most (\d+ KiB)/, size(limits.keyPackageBytes.max)],
      [/adds and removes at most ([\d,]+) clients/, number(limits.listLength.max)],
      [/publication has at most ([\d,]+) key packages/, number(limits.keyPackages.max)],
      [/an id ([\d,]+) characters/, number(2 * limits.idBytes.max + 2)],
      [/more than (\w+) epochs old/, epochs!],
    ],
    [
      "docs/05-keystore-and-keys.md",
      [/can be used for (\d+ days)/, days(lifetime.default!)],
      [/from now, (\d+ days) at most/, days(lifetime.max)],
    ],
    ["docs/04-transactions.md", [/small\*\*: (\d+ MiB) at most/, size(limits.dataValueBytes.max)]],
    ["docs/from-corecrypto.md", [/(\d+) past epochs/, number(pastEpochs.max)]],
    [
      "SECURITY.md",
      [/kept: for (\d+) past epochs/, number(pastEpochs.max)],
      [/up to ([\d,]+) earlier messages of a sender/, number(limits.outOfOrder.max)],
      [/of one member at most ([\d,]+) proposals/, number(limits.pendingProposals.max)],
    ],
    [
      "lib/conversation.ts",
      [/label is 1 to ([\d,]+) bytes/, number(limits.labelBytes.max)],
      [/length 1 to ([\d,]+) bytes/, number(secretBytes.max)],
    ],
    [
      "lib/operations.ts",
      [/Makes 1 to ([\d,]+) key packages/, number(limits.keyPackages.max)],
      [/one second to (\d+ days)/, days(lifetime.max)],
      [/(\d+ days) if it is not given/, days(lifetime.default!)],
      [/for more than ([\d,]+)\./, number(limits.listLength.max)],
      [/key is 1 to ([\d,]+) bytes of text/, number(limits.dataKeyBytes.max)],
      [/the value (\d+ MiB) at most/, size(limits.dataValueBytes.max)],
    ],
    ["lib/id.ts", [/1 to ([\d,]+) of them/, number(limits.idBytes.max)]],
    ["lib/received.ts", [/More than (\w+) epochs old/, epochs!]],
    ["delivery-service/service.ts", [/message more than (\w+) epochs old/, epochs!]],
  ];

  it.each(pages)("of %s", (page, ...claims) => {
    const text = readFileSync(join(__dirname, "..", page), "utf8").replace(/\s+(?:\*\s+)?/g, " ");
    const told = claims.map(([pattern]) => [pattern.source, pattern.exec(text)?.[1]]);
    expect(told).toEqual(claims.map(([pattern, value]) => [pattern.source, value]));
  });
});
