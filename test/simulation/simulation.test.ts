/**
 * The simulation in the ordinary test run: the same seeds every time, a few that nobody has seen, which are printed when
 * they fail, and the proof that the same seed is the same run.
 */
import { assert, describe, it } from "@effect/vitest"
import { run } from "./Simulation.ts"

/** Long enough to find what is wrong, short enough to be run always; the rest is for `npm run simulate`. */
const fixedSeeds = 600
const seedsAtOnce = 100
const freshSeeds = 100

const passes = (seed: number): void => {
  const { violation } = run({ seed })
  if (violation !== undefined) {
    assert.fail(`${violation.message}\nsee it happen: npm run simulate -- --seed ${seed} --verbose`)
  }
}

describe("simulation", () => {
  for (let from = 1; from <= fixedSeeds; from += seedsAtOnce) {
    it(`holds every promise for the ${seedsAtOnce} seeds from ${from}`, () => {
      for (let seed = from; seed < from + seedsAtOnce; seed++) passes(seed)
    })
  }

  it(`holds every promise for ${freshSeeds} seeds that nobody has seen`, () => {
    const from = Math.floor(Math.random() * 2 ** 40)
    for (let seed = from; seed < from + freshSeeds; seed++) passes(seed)
  })

  it("does the same when it is given the same seed", () => {
    const hashes = new Set<string>()
    for (let seed = 1; seed <= 20; seed++) {
      const first = run({ seed, isVerbose: true })
      const second = run({ seed, isVerbose: true })
      assert.deepStrictEqual(second.lines, first.lines)
      assert.strictEqual(second.hash, first.hash)
      hashes.add(first.hash)
    }
    assert.strictEqual(hashes.size, 20, "other seeds are other runs")
  })
})
