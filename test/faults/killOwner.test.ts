import { assert, describe, it } from "@effect/vitest"
import { isLong } from "../samples.ts"
import { layers } from "./harness.ts"
import { killOwner } from "./killOwner.ts"

const takeovers = isLong ? 100 : 2
const ways = isLong
  ? (["directory", "s3"] as const).flatMap((store) => layers.map((layer) => [layer, store] as const))
  : [["worker", "directory"]] as const

describe("a log that is taken over from owners that are killed, asleep or cut off", () => {
  it.each(ways)(
    "has every event that was acknowledged as replicated, once and under its id (%s layer, %s)",
    async (layer, store) => {
      const report = await killOwner({ takeovers, layer, store, seed: Date.now() % 1_000_000 })
      assert.strictEqual(report.takeovers, takeovers)
      assert.isAbove(report.events, 0)
    }
  )
})
