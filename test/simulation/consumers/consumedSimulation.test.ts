/** The simulation with consumers in the ordinary test run, and the mistakes that it finds. */
import { assert, describe, it } from "@effect/vitest"
import { playSample } from "../../samples.ts"
import { runConsumed } from "./ConsumedSimulation.ts"
import { consumedOptionsOf, plantedConsumerBugs } from "./planted.ts"

const passes = (seed: number): void => {
  const { violation } = runConsumed({ seed })
  if (violation !== undefined) {
    assert.fail(`${violation.message}\nsee it happen: npm run simulate -- --consumers --seed ${seed} --verbose`)
  }
}

describe("simulation with consumers", () => {
  it("holds every promise of a consumer, for the same seeds every time and for some that nobody has seen", ({ annotate }) =>
    playSample("consumedSimulation", annotate, passes))

  it("does the same when it is given the same seed", () => {
    for (let seed = 1; seed <= 3; seed++) {
      const first = runConsumed({ seed, isVerbose: true })
      assert.deepStrictEqual(runConsumed({ seed, isVerbose: true }).lines, first.lines)
    }
  })

  for (const bug of plantedConsumerBugs) {
    const { name, seedFirst = 1, seedsMax } = bug
    it(`finds within ${seedsMax} seeds that ${name}`, () => {
      for (let seed = seedFirst; seed < seedFirst + seedsMax; seed++) {
        if (runConsumed(consumedOptionsOf(bug, seed)).violation !== undefined) return
      }
      assert.fail(`${seedsMax} seeds did not find it; see npm run simulate -- --consumers --planted`)
    })
  }
})
