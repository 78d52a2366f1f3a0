/** The simulation with a store in the ordinary test run, and the mistakes of an archive that it finds. */
import { assert, describe, it } from "@effect/vitest"
import { isLong, playSample } from "../../samples.ts"
import { runArchived } from "./ArchivedSimulation.ts"
import { archivedOptionsOf, plantedStoreBugs } from "./planted.ts"

const passes = (seed: number): void => {
  const { violation } = runArchived({ seed })
  if (violation !== undefined) {
    assert.fail(`${violation.message}\nsee it happen: npm run simulate -- --store --seed ${seed} --verbose`)
  }
}

describe("simulation with a store", () => {
  it("holds every promise of the archive, for the same seeds every time and for some that nobody has seen", ({ annotate }) =>
    playSample("archivedSimulation", annotate, passes))

  it("does the same when it is given the same seed", () => {
    for (let seed = 1; seed <= 3; seed++) {
      const first = runArchived({ seed, isVerbose: true })
      assert.deepStrictEqual(runArchived({ seed, isVerbose: true }).lines, first.lines)
    }
  })

  for (const bug of plantedStoreBugs) {
    const { longShare = 0, name, seedFirst = 1, seedsMax } = bug
    // A life of some hundred segments takes seconds.
    it.skipIf(longShare > 0 && !isLong)(`finds within ${seedsMax} seeds that ${name}`, () => {
      for (let seed = seedFirst; seed < seedFirst + seedsMax; seed++) {
        if (runArchived(archivedOptionsOf(bug, seed)).violation !== undefined) return
      }
      assert.fail(`${seedsMax} seeds did not find it; see npm run simulate -- --store --planted`)
    })
  }
})
