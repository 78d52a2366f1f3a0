import { assert, describe, it } from "@effect/vitest"
import { plantedBugs } from "./planted.ts"
import { run } from "./Simulation.ts"
import type { RunOptions } from "./Simulation.ts"

describe("planted bugs", () => {
  for (const { damageShare, focus, hintShare, name, openRotShare, plant, seedFirst = 1, seedsMax } of plantedBugs) {
    it(`finds within ${seedsMax} seeds that ${name}`, () => {
      for (let seed = seedFirst; seed < seedFirst + seedsMax; seed++) {
        const options: RunOptions = {
          seed,
          seams: plant(),
          ...(focus === undefined ? {} : { focus }),
          ...(damageShare === undefined ? {} : { damageShare }),
          ...(hintShare === undefined ? {} : { hintShare }),
          ...(openRotShare === undefined ? {} : { openRotShare })
        }
        if (run(options).violation !== undefined) return
      }
      assert.fail(`${seedsMax} seeds did not find it`)
    })
  }

  it("are at least twenty", () => {
    assert.isAtLeast(plantedBugs.length, 20)
  })
})
