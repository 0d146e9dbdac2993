import { SeededRandom } from "conclave-mls/testing";

describe("seeded random numbers", () => {
  const draws = (random: SeededRandom, count = 5): number[] => Array.from({ length: count }, () => random.below(1000));

  it("are the same for the same seed, for ever and everywhere", () => {
    expect(draws(new SeededRandom("a seed"))).toEqual(draws(new SeededRandom("a seed")));
    expect(draws(new SeededRandom(17))).toEqual(draws(new SeededRandom("17")));
    expect(draws(new SeededRandom(17))).toEqual(KNOWN);
  });

  it("are others for another seed", () => {
    expect(draws(new SeededRandom(18))).not.toEqual(KNOWN);
  });

  it("have streams that do not disturb each other", () => {
    const one = new SeededRandom(1);
    const before = draws(one.stream("bob"));
    one.next();
    draws(one.stream("alice"), 100);
    expect(draws(one.stream("bob"))).toEqual(before);
    expect(draws(one.stream("alice"))).not.toEqual(before);
  });

  it("are spread evenly", () => {
    const random = new SeededRandom("dice");
    const thrown = new Array<number>(6).fill(0);
    for (let count = 0; count < 60_000; count++) thrown[random.below(6)]! += 1;
    for (const times of thrown) expect(Math.abs(times - 10_000)).toBeLessThan(500);
    expect(random.next()).toBeLessThan(1);
  });

  it("decide never for 0 and always for 1", () => {
    const random = new SeededRandom(1);
    for (let count = 0; count < 1000; count++) {
      expect(random.chance(0)).toBe(false);
      expect(random.chance(1)).toBe(true);
    }
  });

  it("pick and shuffle what there is, and leave it as it was", () => {
    const random = new SeededRandom(1);
    const names = ["alice", "bob", "carol", "dave"];
    expect(names).toContain(random.pick(names));
    expect(random.shuffled(names).sort()).toEqual(names);
    expect(new Set(Array.from({ length: 50 }, () => random.shuffled(names).join(" "))).size).toBeGreaterThan(10);
    expect(names).toEqual(["alice", "bob", "carol", "dave"]);
    expect(() => random.pick([])).toThrow(RangeError);
  });
});

const KNOWN = [518, 883, 16, 362, 399];
