import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { maintenanceBytes } from "../../src/telemetry/CounterLayout.ts"
import { makeUpdater } from "../../src/telemetry/SegmentMaintainerUpdater.ts"
import { makeBuffer } from "../../src/telemetry/TelemetryBuffer.ts"
import { collect, type HistogramSample, type Sample } from "../../src/telemetry/TelemetryCollect.ts"
import { dump, formatBytes, formatNanos } from "../../src/telemetry/TelemetryDump.ts"
import { makeReader } from "../../src/telemetry/TelemetryReader.ts"
import { copyTo, TelemetrySnapshot } from "../../src/telemetry/TelemetrySnapshot.ts"

const setup = () => {
  const buffer = makeBuffer(2)
  const updater = (writer: number) => makeUpdater(buffer, writer, () => 20_000_000_000)
  return { read: makeReader(buffer), a: updater(0), b: updater(1), start: (nanos: number) => 20_000_000_000 - nanos }
}

const collected = (snapshot: TelemetrySnapshot, prefix?: string) => {
  const samples: Array<Sample & { readonly type: string }> = []
  const histograms: Array<HistogramSample> = []
  collect(snapshot, {
    counter: (sample) => samples.push({ ...sample, type: "counter" }),
    gauge: (sample) => samples.push({ ...sample, type: "gauge" }),
    histogram: (sample) => histograms.push(sample)
  }, prefix)
  const valueOf = (name: string, labels: Record<string, string> = {}) =>
    samples.find((sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
    )?.value
  return { samples, histograms, valueOf, names: samples.map((sample) => sample.name) }
}

const ofOperation = (operation: string, names: ReadonlyArray<string>) =>
  names.map((name) => `P_maintenance_${operation}_${name}`)
const maintenanceNames = (names: ReadonlyArray<string>) =>
  names.filter((name) => /^P_(persistence_lifecycle|maintenance|persistence_max)_/.test(name)).sort()

describe("copyTo", () => {
  it("writes the groups of maintenance, all writers merged, padding zero", () => {
    const { a, b, read, start } = setup()
    a.onPersistenceLoop(true, start(6_000_000_000), 1_000_000_000)
    a.onHotSegmentRetention(true, start(5_000_000_000))
    b.onHotSegmentRetention(false, start(300))
    b.onHotSegmentCompression(true, start(4_294_967_296))
    a.setMaxSegments(8)
    a.setMaxCompressedSegments(32)
    // Longer than 320 bytes, and not at the start of its memory.
    const target = new Uint8Array(400).fill(0xee).subarray(8)
    copyTo(read(), target)
    const view = new DataView(target.buffer, 8)
    const expected = new Map<number, bigint>([
      [0, 1n],
      [8, 1n],
      [16, 6_000_000_000n],
      [24, 5_000_000_000n],
      [32, 1000n],
      [64, 5_000_000_300n],
      [72, 2n],
      [80, 1n],
      [88, 300n],
      [96, 5_000_000_000n],
      [128, 4_294_967_296n],
      [136, 1n],
      [144, 1n],
      [152, 4_294_967_296n],
      [160, 4_294_967_296n],
      [216, 2n ** 64n - 1n],
      [256, 8n],
      [264, 32n]
    ])
    for (let offset = 0; offset < maintenanceBytes; offset += 8) {
      assert.strictEqual(view.getBigUint64(offset, true), expected.get(offset) ?? 0n, `offset ${offset}`)
    }
    assert.strictEqual(target[maintenanceBytes], 0xee)
  })

  it("refuses a target that is too short", () => {
    assert.throws(() => copyTo(setup().read(), new Uint8Array(319)))
  })
})

describe("TelemetrySnapshot", () => {
  it("survives a file: written as JSON and read back it is the same", () => {
    const { a, b, read, start } = setup()
    a.onPersist(true, start(1_234))
    b.onPersist(true, start(5_678))
    b.onFailure("DiskFull")
    const snapshot = read()
    const json = Schema.fromJsonString(TelemetrySnapshot)
    assert.deepStrictEqual(Schema.decodeSync(json)(Schema.encodeSync(json)(snapshot)), snapshot)
  })

  it("refuses data that lacks a counter", () => {
    const { restarts: _, ...counters } = setup().read().counters
    assert.throws(() => Schema.decodeUnknownSync(TelemetrySnapshot)({ ...setup().read(), counters }), /restarts/)
  })
})

describe("collect", () => {
  const lifecycle = [
    "cycles",
    "did_work_total",
    "total_cycle_time_ns",
    "total_active_time_ns",
    "last_sleep_ms",
    "active_ratio_percent",
    "avg_cycle_time_ms",
    "avg_active_time_ms"
  ].map((name) => `P_persistence_lifecycle_${name}`)
  const limits = ["P_persistence_max_hot_segments", "P_persistence_max_cold_segments"]

  it("uses the names of the counters, and shows of an operation what its samples allow", () => {
    const { a, read, start } = setup()
    const always = ["samples_total", "success_total"]
    const fromOne = [...always, "total_ns"]
    const fromTwo = [...fromOne, "min_ns", "max_ns", "avg_ns", "jitter_ns", "rate_per_second"]
    a.onHotSegmentCompression(true, start(10))
    a.onColdSegmentDeletion(true, start(10))
    a.onColdSegmentDeletion(true, start(20))
    const names = maintenanceNames(collected(read(), "P").names)
    assert.deepStrictEqual(
      names.filter((name) => !name.includes("percentile")),
      [
        ...lifecycle,
        ...limits,
        ...ofOperation("retention", always),
        ...ofOperation("archival", always),
        ...ofOperation("compression", fromOne),
        ...ofOperation("deletion", fromTwo)
      ].sort()
    )
  })

  it("labels everything with its subsystem, and starts with the default prefix", () => {
    const { samples } = collected(setup().read())
    for (const { help, labels, name } of samples) {
      assert.strictEqual(
        labels.subsystem,
        name.startsWith("effect_wal_recorder_") ? "wal_recorder" : "wal_persistence_worker"
      )
      assert.isTrue(name.startsWith("effect_wal_"))
      assert.isNotEmpty(help)
    }
  })

  it("derives averages, ratios, jitter and rate", () => {
    const { a, b, read, start } = setup()
    a.onPersistenceLoop(true, start(40_000_000), 10_000_000)
    a.onPersistenceLoop(false, start(20_000_000), 20_000_000)
    b.onHotSegmentRetention(true, start(2_000_000))
    a.onHotSegmentRetention(true, start(6_000_000))
    a.count("compressionBytesIn", 3_000)
    b.count("compressionBytesOut", 1_000)
    const { valueOf } = collected(read(), "P")
    assert.strictEqual(valueOf("P_persistence_lifecycle_active_ratio_percent"), 50)
    assert.strictEqual(valueOf("P_persistence_lifecycle_avg_cycle_time_ms"), 30)
    assert.strictEqual(valueOf("P_persistence_lifecycle_avg_active_time_ms"), 30)
    assert.strictEqual(valueOf("P_persistence_lifecycle_last_sleep_ms"), 20)
    assert.strictEqual(valueOf("P_maintenance_retention_avg_ns"), 4_000_000)
    assert.strictEqual(valueOf("P_maintenance_retention_jitter_ns"), 4_000_000)
    assert.strictEqual(valueOf("P_maintenance_retention_rate_per_second"), 250)
    assert.strictEqual(valueOf("P_compression_ratio"), 3)
    const percentile = valueOf("P_maintenance_retention_latency_percentile_ns", { percentile: "p99.9999" })!
    assert.approximately(percentile, 6_000_000, 60_000)
  })

  it("tells rings and reasons apart by label", () => {
    const { a, read } = setup()
    a.setGauge("freezePendingBytes", 77)
    a.onFailure("Corrupt")
    const { valueOf } = collected(read(), "P")
    assert.strictEqual(valueOf("P_pending_bytes", { ring: "freeze" }), 77)
    assert.strictEqual(valueOf("P_pending_bytes", { ring: "free" }), 0)
    assert.strictEqual(valueOf("P_failures_total", { reason: "Corrupt" }), 1)
    assert.strictEqual(valueOf("P_failures_total", { reason: "Io" }), 0)
  })

  it("hands out the histogram of an operation that has samples", () => {
    const { a, b, read, start } = setup()
    a.onCommit(true, start(50))
    b.onCommit(true, start(50))
    const { histograms } = collected(read(), "P")
    assert.deepStrictEqual(histograms.map(({ counts, name, sum }) => ({ counts, name, sum })), [
      { name: "P_recorder_commit_latency_ns", counts: [[50, 2]], sum: 100 }
    ])
  })
})

describe("dump", () => {
  it("says durations and bytes in human units", () => {
    assert.deepStrictEqual(
      [0, 999, 1_500, 12_340_000, 1.5e9, 9e10, 7.2e12].map(formatNanos),
      ["0 ns", "999 ns", "1.50 µs", "12.3 ms", "1.50 s", "1.50 min", "2.00 h"]
    )
    assert.deepStrictEqual([0, 512, 1536, 5 * 2 ** 30].map(formatBytes), ["0 B", "512 B", "1.50 KiB", "5.00 GiB"])
  })

  it("shows every group", () => {
    const { a, read, start } = setup()
    a.onPersistenceLoop(true, start(40_000_000), 10_000_000)
    a.onHotSegmentRetention(true, start(2_000_000))
    a.onHotSegmentRetention(false, start(6_000_000))
    a.setMaxSegments(16)
    a.count("bytesWritten", 3 * 2 ** 20)
    a.count("compressionBytesIn", 300)
    a.count("compressionBytesOut", 100)
    a.onFailure("SyncFailed")
    a.setGauge("persistOldestPendingMillis", 1_500)
    const lines = dump(read()).trimEnd().split("\n").map((line) => line.replace(/ {2,}/g, "  "))
    for (
      const expected of [
        "cycles  1, 1 did work, last sleep 10.0 ms",
        "cycle time  40.0 ms, average 40.0 ms",
        "active time  30.0 ms (75.0 %), average 30.0 ms",
        "retention  2 samples, 1 ok, total 8.00 ms, min 2.00 ms, avg 4.00 ms, max 6.00 ms, jitter 4.00 ms, rate 250/s",
        "compression  0 samples, 0 ok",
        "deletion  0 samples, 0 ok",
        "max hot segments  16",
        "bytes written  3.00 MiB",
        "compression ratio  3.00 to 1",
        "failures: SyncFailed  1",
        "persist oldest pending  1.50 s"
      ]
    ) {
      assert.include(lines, expected)
    }
    assert.isTrue(lines.some((line) => line.startsWith("  percentiles  p50 2.0") && line.includes("p99.9999 6.0")))
    assert.isTrue(lines.some((line) => line.startsWith("  jitter against p50  p90 +") && line.includes("p99.9999 +")))
  })
})
