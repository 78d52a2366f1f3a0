import { assert, describe, it } from "@effect/vitest"
import { playSample } from "../samples.ts"
import { fire } from "./rings-under-fire.ts"

describe("rings under fire", () => {
  for (const consumers of [1, 4]) {
    it(`loses, tears and repeats nothing, ${consumers} consumers in threads`, async () => {
      const report = await fire({ items: 500_000, consumers, kills: 0 })
      assert.deepInclude(report, { lost: 0, torn: 0, repeated: 0 })
    })
  }

  it("loses nothing when consumers are killed, and repeats at most what each of them had in hand", async ({ annotate }) => {
    await playSample("rings", annotate, async (seed) => {
      const report = await fire({ items: 1_000_000, consumers: 1 + seed % 3, kills: 5 })
      assert.isAbove(report.kills, 0)
      assert.deepInclude(report, { lost: 0, torn: 0 })
      assert.isAtMost(report.repeated, report.kills)
    })
  })
})
