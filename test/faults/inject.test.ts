import { assert, describe, it } from "@effect/vitest"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { isLong, playSample } from "../samples.ts"
import { layers } from "./harness.ts"
import { countCalls, injectionMissing, injectOnce, targets } from "./inject.ts"

const missing = injectionMissing()
const samplesOf = { fiber: "injectionsFiber", worker: "injectionsWorker" } as const

/** Faults for ever need seconds to be given up, so a short run leaves them to the long one. */
const modes = isLong ? ["once", "once", "on"] as const : ["once"] as const

describe("a system call that fails", () => {
  for (const layer of layers) {
    const name = `once costs no event and no time, wherever it is (${layer} layer)`
    it.skipIf(missing !== "")(missing === "" ? name : `${name}: skipped, ${missing}`, async ({ annotate }) => {
      const calls = await countCalls(layer)
      const made = targets.filter((target) => calls.get(target)! > 0)
      let met = 0
      const played = await playSample(samplesOf[layer], annotate, async (seed) => {
        const random = new SeededRandom(seed)
        const target = made[random.below(made.length)]!
        const fault = target.errors[random.below(target.errors.length)]!
        const mode = fault === "SIGKILL" ? "once" : modes[random.below(modes.length)]!
        const { faults, outcome } = await injectOnce(layer, target, fault, 1 + random.below(calls.get(target)!), mode)
        if (faults > 0 || outcome === "killed") met += 1
      })
      // How many calls a run makes depends on how fast it is, so some come to an end before theirs.
      assert.isAtLeast(met, played / 2, "most have met their fault")
    })
  }
})
