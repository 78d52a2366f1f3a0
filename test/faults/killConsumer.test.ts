import { assert, describe, it } from "@effect/vitest"
import { isLong } from "../samples.ts"
import { killConsumer } from "./killConsumer.ts"

const ways = isLong
  ? [["fiber", 1], ["fiber", 2], ["worker", 1], ["worker", 2]] as const
  : [["worker", 2]] as const

describe("kill -9 of a program with consumers", () => {
  it.each(ways)(
    "loses no event to any of them, and hands out nothing that a position has (%s layer, format %d)",
    async (layer, format) => {
      const report = await killConsumer({ kills: isLong ? 100 : 1, layer, format, seed: Date.now() % 1_000_000 })
      assert.isAbove(report.oldestSegment, 0)
    }
  )
})
