import { assert, describe, it } from "@effect/vitest"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

const numbers = (seed: number, count = 4) => {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => random.uint32())
}

describe("SeededRandom", () => {
  it("gives the same numbers for the same seed, and others for others, high bits of the seed included", () => {
    assert.deepStrictEqual(numbers(1), numbers(1))
    const seeds = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 33, Number.MAX_SAFE_INTEGER]
    assert.strictEqual(new Set(seeds.map((seed) => numbers(seed).join())).size, seeds.length)
  })

  it("never changes what a seed stands for", () => {
    assert.deepStrictEqual(numbers(1), [393288148, 2174103013, 3814759091, 2092745082])
  })

  it("draws every number below a limit about equally often", () => {
    const random = new SeededRandom(3)
    const counts = Array.from({ length: 7 }, () => 0)
    for (let round = 0; round < 70_000; round++) counts[random.below(7)]!++
    for (const count of counts) assert.closeTo(count, 10_000, 400)
  })

  it("is right about a probability, and sure about 0 and 1", () => {
    const random = new SeededRandom(4)
    let hits = 0
    for (let round = 0; round < 100_000; round++) {
      if (random.chance(0.3)) hits++
      if (random.chance(0) || !random.chance(1)) assert.fail("0 happened, or 1 did not")
    }
    assert.closeTo(hits, 30_000, 600)
  })

  it("shuffles into every order about equally often", () => {
    const random = new SeededRandom(5)
    const counts = new Map<string, number>()
    for (let round = 0; round < 24_000; round++) {
      const order = random.shuffle(["a", "b", "c", "d"]).join("")
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    assert.strictEqual(counts.size, 24)
    for (const count of counts.values()) assert.closeTo(count, 1000, 150)
  })
})
