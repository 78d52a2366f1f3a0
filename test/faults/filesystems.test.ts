import { assert, describe, it } from "@effect/vitest"
import { isLong, playSample } from "../samples.ts"
import { scenarios } from "./filesystems.ts"
import { layers } from "./harness.ts"

/** These take their time, or say little more than one that is played, and run with `node test/faults/filesystems.ts`. */
const slow = [
  "a full ext4, and room again",
  "no file descriptors left for a while",
  "the directory moved away and back",
  "two recorders on one directory"
]

for (const scenario of scenarios.filter(({ name }) => !slow.includes(name))) {
  const missing = await scenario.missing()
  describe(scenario.name, () => {
    for (const layer of scenario.layers ?? layers) {
      const name = `loses nothing that was durable, and says what is wrong (${layer} layer)`
      it.skipIf(missing !== "")(missing === "" ? name : `${name}: skipped, ${missing}`, async () => {
        assert.isNotEmpty(await scenario.play(layer))
      })
    }
  })
}

describe("every scenario", () => {
  it.runIf(isLong)(
    "again and again (in the long run)",
    ({ annotate }) =>
      playSample("filesystems", annotate, async (seed) => {
        const scenario = scenarios[seed % scenarios.length]!
        if (await scenario.missing() !== "") return
        const offered = scenario.layers ?? layers
        assert.isNotEmpty(await scenario.play(offered[Math.floor(seed / scenarios.length) % offered.length]!))
      })
  )
})
