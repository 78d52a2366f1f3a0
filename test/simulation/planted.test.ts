import { assert, describe, it } from "@effect/vitest"
import { optionsOf, plantedBugs } from "./planted.ts"
import { run } from "./Simulation.ts"

describe("planted bugs", () => {
  for (const bug of plantedBugs) {
    const { name, seedFirst = 1, seedsMax } = bug
    it(`finds within ${seedsMax} seeds that ${name}`, () => {
      for (let seed = seedFirst; seed < seedFirst + seedsMax; seed++) {
        if (run(optionsOf(bug, seed)).violation !== undefined) return
      }
      assert.fail(`${seedsMax} seeds did not find it; see npm run simulate -- --planted`)
    })
  }

  it("are at least twenty", () => {
    assert.isAtLeast(plantedBugs.length, 20)
  })
})
