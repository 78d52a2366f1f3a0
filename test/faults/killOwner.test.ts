import { assert, describe, it } from "@effect/vitest"
import { isLong } from "../samples.ts"
import { layers } from "./harness.ts"
import { killOwner } from "./killOwner.ts"

const takeovers = isLong ? 100 : 2

describe("a log that is taken over from owners that are killed, asleep or cut off", () => {
  for (const store of ["directory", "s3"] as const) {
    // The other layer with the other store.
    for (const layer of isLong ? layers : [store === "s3" ? "fiber" as const : "worker" as const]) {
      it(`has every event that was acknowledged as replicated, once and under its id (${layer} layer, ${store})`, async () => {
        const report = await killOwner({ takeovers, layer, store, seed: Date.now() % 1_000_000 })
        assert.strictEqual(report.takeovers, takeovers)
        assert.isAbove(report.events, 0)
      })
    }
  }
})
