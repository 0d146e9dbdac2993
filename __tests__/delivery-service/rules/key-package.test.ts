/** The rules for key packages alone: from facts to decisions, without a store. */
import type { Decision } from "../../../delivery-service/rules/decision.js";
import {
  decideClaim,
  decidePublication,
  type Publication,
  type Publishers,
  type ReadKeyPackage,
  type Supply,
} from "../../../delivery-service/rules/key-package.js";
import type { PublishedKeyPackage } from "../../../delivery-service/service.js";
import { errorWith } from "./facts.js";

const NOW = 1000;
const cipherSuite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519";
const keyPackage = (ref: string, lastResort = false): PublishedKeyPackage => ({
  bytes: Buffer.from(ref),
  ref,
  cipherSuite,
  notAfter: new Date(NOW + 1),
  lastResort,
});
const [one, two] = [keyPackage("one"), keyPackage("two")];
const [rescue, newRescue] = [keyPackage("rescue", true), keyPackage("new rescue", true)];

const read = (of: PublishedKeyPackage, differences: Partial<ReadKeyPackage> = {}): ReadKeyPackage => ({
  keyPackage: of,
  frame: { kind: "key-package", encrypted: false, external: false, cipherSuite },
  ref: of.ref,
  ...differences,
});
const publish = (...keyPackages: ReadKeyPackage[]): Publication => ({ clientId: "bob", keyPackages, now: NOW });
const published = (of: PublishedKeyPackage) =>
  ({ type: "publishKeyPackage", clientId: "bob", keyPackage: of }) as const;
const retired = { type: "retireLastResort", clientId: "bob", cipherSuite } as const;
const by = (publishers: Record<string, string> = {}): Publishers => new Map(Object.entries(publishers));

test.each<[string, Publication, Publishers, Decision<undefined>["effects"]]>([
  ["adds each to the supply", publish(read(one), read(two)), by(), [published(one), published(two)]],
  ["passes over its own that are known", publish(read(one), read(two)), by({ one: "bob" }), [published(two)]],
  ["adds one once that is in it twice", publish(read(one), read(one)), by(), [published(one)]],
  ["replaces the last resort", publish(read(rescue)), by(), [retired, published(rescue)]],
  ["leaves a known last resort alone", publish(read(rescue)), by({ rescue: "bob" }), []],
  [
    "keeps the newer of two last resorts",
    publish(read(rescue), read(newRescue)),
    by(),
    [retired, published(rescue), retired, published(newRescue)],
  ],
])("A publication %s", (_title, publication, publishers, effects) => {
  expect(decidePublication(publication, publishers)).toEqual({ answer: undefined, effects });
});

const welcome: ReadKeyPackage["frame"] = { kind: "welcome", encrypted: true, external: false, cipherSuite };
const otherSuite = "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519";
const expired = { ...two, notAfter: new Date(NOW) };

test.each<[string, ReadKeyPackage, Publishers, string]>([
  ["another client has published", read(two), by({ two: "alice" }), "KEY_PACKAGE_TAKEN"],
  ["is something else", read(two, { frame: welcome }), by(), "INVALID_REQUEST"],
  ["is of another cipher suite", read({ ...two, cipherSuite: otherSuite }), by(), "INVALID_REQUEST"],
  ["has another ref", read(two, { ref: "three" }), by(), "INVALID_REQUEST"],
  ["has expired", read(expired), by(), "INVALID_REQUEST"],
])("A publication is refused if one of its key packages %s", (_title, bad, publishers, code) => {
  expect(() => decidePublication(publish(read(one), bad), publishers)).toThrow(errorWith(code));
});

test.each<[string, Supply, Decision<PublishedKeyPackage | undefined>]>([
  [
    "hands out the oldest, and never again",
    { oldest: one, lastResort: rescue },
    { answer: one, effects: [{ type: "spendKeyPackage", ref: "one" }] },
  ],
  [
    "hands out the last resort, which stays",
    { oldest: undefined, lastResort: rescue },
    { answer: rescue, effects: [] },
  ],
  ["finds none", { oldest: undefined, lastResort: undefined }, { answer: undefined, effects: [] }],
])("A claim %s", (_title, supply, decision) => {
  expect(decideClaim(supply)).toEqual(decision);
});
