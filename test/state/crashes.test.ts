/** A state machine on a machine that loses power at any operation. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { playSample } from "../samples.ts"
import { plantedStateBugs, play } from "./simulation.ts"

const run = (seed: number, seams?: Parameters<typeof play>[1]) =>
  Effect.runPromise(Effect.provide(play(seed, seams), TestClock.layer()))

describe("a state machine whose power goes off at any operation", () => {
  it("has what it has answered, in order and in whole batches, also when its newest snapshot is damaged", async ({ annotate }) => {
    await playSample("stateCrashes", annotate, async (seed) => {
      const wrong = await run(seed)
      if (wrong !== undefined) throw new Error(wrong)
    })
  })

  it.each(plantedStateBugs)("is found out when $name", async ({ seams }) => {
    for (let seed = 1; seed <= 30; seed++) if (await run(seed, seams) !== undefined) return
    assert.fail("30 seeds did not find it")
  })
})
