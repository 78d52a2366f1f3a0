import { assert, describe, it } from "@effect/vitest"
import { isLong } from "../samples.ts"
import { killCluster } from "./killCluster.ts"

describe("kill -9 of a cluster under load", () => {
  it("loses no message that was accepted, and processes none again whose answer was acknowledged", async () => {
    const report = await killCluster({ kills: isLong ? 100 : 2, layer: "worker", seed: Date.now() % 1_000_000 })
    assert.isAbove(report.answered, 0)
  })
})
