import { assert, describe, it } from "@effect/vitest"
import { layers } from "./harness.ts"
import { kill } from "./kill.ts"

describe("kill -9", () => {
  for (const layer of layers) {
    it(`at ten moments loses no durable event, and every reopening is clean (${layer} layer)`, async () => {
      const report = await kill({ kills: 10, layer, seed: Date.now() % 1_000_000 })
      assert.isAbove(report.withPromises, 0, "some victims had something to promise")
    }, 120_000)
  }
})
