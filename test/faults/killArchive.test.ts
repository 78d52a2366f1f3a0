import { assert, describe, it } from "@effect/vitest"
import { isLong } from "../samples.ts"
import { layers } from "./harness.ts"
import { killArchive } from "./killArchive.ts"

describe("kill -9 of a recorder with an archive", () => {
  for (const layer of layers) {
    it(`loses no event, with the store away in half of its lives, and the store alone has them all (${layer} layer)`, async () => {
      const report = await killArchive({ kills: isLong ? 100 : 2, layer, seed: Date.now() % 1_000_000 })
      assert.isAbove(report.archivedSegments, 0)
    })
  }
})
