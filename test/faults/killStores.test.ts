import { assert, describe, it } from "@effect/vitest"
import { isLong } from "../samples.ts"
import { layers } from "./harness.ts"
import { killBuffer } from "./killBuffer.ts"
import { killEventlog, killJournal } from "./killEventlog.ts"
import { killKvs } from "./killKvs.ts"
import { killQueue } from "./killQueue.ts"

const kills = isLong ? 100 : 2

describe("kill -9 of a program with a store over a log", () => {
  for (const layer of isLong ? layers : layers.slice(0, 1)) {
    it(`loses no element of a queue, and hands out none that was acknowledged (${layer} layer)`, async () => {
      const report = await killQueue({ kills, layer, seed: Date.now() % 1_000_000 })
      assert.isAtLeast(report.acknowledged, Math.min(1, report.accepted))
    })

    it(`loses no change of a key that was answered (${layer} layer)`, async () => {
      const report = await killKvs({ kills, layer, seed: Date.now() % 1_000_000 })
      assert.strictEqual(report.kills, kills)
    })

    it(`loses no entry of a journal, and nothing that it knows of its remotes (${layer} layer)`, async () => {
      const report = await killJournal({ kills, layer, seed: Date.now() % 1_000_000 })
      assert.isAtLeast(report.entries, report.accepted)
    })

    it(`loses no entry of an event-log server, and gives no sequence to another one (${layer} layer)`, async () => {
      const report = await killEventlog({ kills, layer, seed: Date.now() % 1_000_000 })
      assert.isAtLeast(report.entries, report.accepted)
    })

    it(`loses no batch of telemetry that its buffer accepted, and keeps their order (${layer} layer)`, async () => {
      const report = await killBuffer({ kills, layer, seed: Date.now() % 1_000_000 })
      assert.isAtLeast(report.received, report.accepted)
    })
  }
})
