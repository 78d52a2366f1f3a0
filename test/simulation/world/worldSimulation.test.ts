/** The world of machines with one store in the ordinary test run, and some of the mistakes that it finds. */
import { assert, describe, it } from "@effect/vitest"
import { isLong, playSample } from "../../samples.ts"
import { plantedWorldBugs, worldOptionsOf } from "./planted.ts"
import { runWorld } from "./WorldSimulation.ts"

const passes = (seed: number): void => {
  const { violation } = runWorld({ seed })
  if (violation !== undefined) {
    assert.fail(`${violation.message}\nsee it happen: npm run simulate -- --world --seed ${seed} --verbose`)
  }
}

describe("machines with one store", () => {
  it("have every event that was acknowledged as replicated, for the same seeds every time and for some that nobody has seen", ({ annotate }) =>
    playSample("worldSimulation", annotate, passes))

  it("do the same when they are given the same seed", () => {
    const first = runWorld({ seed: 1, isVerbose: true })
    assert.deepStrictEqual(runWorld({ seed: 1, isVerbose: true }).lines, first.lines)
  })

  for (const bug of plantedWorldBugs) {
    const { name, seedFirst = 1, seedsMax } = bug
    // A run takes a second.
    it.skipIf(seedsMax > 1 && !isLong)(`are caught within ${seedsMax} seeds when ${name}`, () => {
      for (let seed = seedFirst; seed < seedFirst + seedsMax; seed++) {
        if (runWorld(worldOptionsOf(bug, seed)).violation !== undefined) return
      }
      assert.fail(`${seedsMax} seeds did not find it; see npm run simulate -- --world --planted`)
    })
  }
})
