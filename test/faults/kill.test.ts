import { assert, describe, it } from "@effect/vitest"
import { isLong, playSample } from "../samples.ts"
import { layers } from "./harness.ts"
import { kill } from "./kill.ts"

const samplesOf = { fiber: "killsFiber", worker: "killsWorker" } as const

describe("kill -9", () => {
  for (const layer of layers) {
    it(`at ten moments loses no durable event, and every reopening is clean (${layer} layer)`, ({ annotate }) =>
      playSample(samplesOf[layer], annotate, async (seed) => {
        const report = await kill({ kills: isLong ? 100 : 10, layer, seed: seed % 1_000_000 })
        assert.isAbove(report.withPromises, 0, "some victims had something to promise")
      }))
  }
})
