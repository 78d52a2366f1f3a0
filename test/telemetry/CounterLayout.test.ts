import { assert, describe, it } from "@effect/vitest"
import {
  blockBytes,
  groupOf,
  groups,
  histograms,
  lineBytes,
  maintenanceBytes
} from "../../src/telemetry/CounterLayout.ts"
import { operationNames } from "../../src/telemetry/Counters.ts"
import { bucketCount } from "../../src/telemetry/LatencyHistogram.ts"
import { makeUpdater } from "../../src/telemetry/SegmentMaintainerUpdater.ts"
import { blockOffset, makeBuffer, writersOf } from "../../src/telemetry/TelemetryBuffer.ts"

const offsetsOf = (name: string) => groupOf(name).fields.map((field) => [field.name, field.offset, field.bytes])

describe("CounterLayout", () => {
  it("lays the groups of maintenance out in the first 320 bytes", () => {
    assert.deepStrictEqual(offsetsOf("lifecycle"), [
      ["cycles", 0, 8],
      ["didWork", 8, 8],
      ["cycleNanos", 16, 8],
      ["activeNanos", 24, 8],
      ["lastSleepMillis", 32, 4]
    ])
    for (const [name, offset] of [["retention", 64], ["compression", 128], ["deletion", 192]] as const) {
      assert.deepStrictEqual(offsetsOf(name), [
        ["totalNanos", offset, 8],
        ["samples", offset + 8, 8],
        ["success", offset + 16, 8],
        ["minNanos", offset + 24, 8],
        ["maxNanos", offset + 32, 8]
      ])
    }
    assert.deepStrictEqual(offsetsOf("limits"), [["maxHotSegments", 256, 8], ["maxColdSegments", 264, 8]])
    assert.strictEqual(maintenanceBytes, 320)
    assert.strictEqual(groups.findIndex((group) => group.offset >= maintenanceBytes), 5)
  })

  it("gives every group and histogram lines of its own", () => {
    let end = 0
    for (const { bytes, offset } of [...groups, ...histograms]) {
      assert.strictEqual(offset % lineBytes, 0)
      assert.strictEqual(bytes % lineBytes, 0)
      assert.strictEqual(offset, end)
      end = offset + bytes
    }
    assert.strictEqual(end, blockBytes)
    assert.strictEqual(blockBytes % lineBytes, 0)
    assert.strictEqual(blockOffset(0) % lineBytes, 0)
    assert.strictEqual(blockOffset(7) % lineBytes, 0)
  })

  it("keeps fields and sequence words apart", () => {
    const taken = new Set<number>()
    const take = (offset: number, bytes: number) => {
      for (let byte = offset; byte < offset + bytes; byte++) {
        if (taken.has(byte)) assert.fail(`byte ${byte} is used twice`)
        taken.add(byte)
      }
    }
    for (const group of groups) {
      for (const field of group.fields) take(field.offset, field.bytes)
    }
    for (const place of histograms) {
      take(place.offset, bucketCount * 4)
      take(place.highOffset, bucketCount * 4)
    }
    for (const sequence of new Set([...groups, ...histograms].map((each) => each.sequenceOffset))) take(sequence, 4)
  })

  it("has a group and a histogram for each operation, and unique names", () => {
    assert.deepStrictEqual(histograms.map((place) => place.operation), [...operationNames])
    for (const name of operationNames) assert.strictEqual(groupOf(name).kind, "operation")
    const series = groups.flatMap((group) => group.fields.map((field) => field.exported + JSON.stringify(field.labels)))
    assert.strictEqual(new Set(series).size, series.length)
  })
})

describe("TelemetryBuffer", () => {
  it("starts with minima at the unsigned 64-bit maximum and all else zero", () => {
    const view = new DataView(makeBuffer(2))
    for (const group of groups) {
      for (const field of group.fields) {
        if (field.bytes === 4) continue
        const expected = field.name === "minNanos" ? 2n ** 64n - 1n : 0n
        assert.strictEqual(view.getBigUint64(blockOffset(1) + field.offset, true), expected)
      }
    }
  })

  it("knows its writers, and refuses a buffer that is not its own", () => {
    assert.strictEqual(writersOf(makeBuffer(3)), 3)
    assert.strictEqual(writersOf(makeBuffer(0)), 0)
    assert.throws(() => writersOf(new SharedArrayBuffer(4096)), /was made by telemetry/)
    assert.throws(() => writersOf(new SharedArrayBuffer(8)), /has a header/)
    const newer = makeBuffer(1)
    new Uint32Array(newer)[1] = 99
    assert.throws(() => writersOf(newer), /same version/)
    assert.throws(() => makeBuffer(257), /0 to 256 writers/)
    assert.throws(() => makeUpdater(makeBuffer(2), 2), /writer 2 is one of the 2/)
  })
})
