import { assert, describe, it } from "@effect/vitest"
import { blockBytes, groupOf, histograms } from "../../src/telemetry/CounterLayout.ts"
import { failureReasons, operationNames } from "../../src/telemetry/Counters.ts"
import { bucketOf } from "../../src/telemetry/LatencyHistogram.ts"
import { makeUpdater, monotonicNanos, noopUpdater } from "../../src/telemetry/SegmentMaintainerUpdater.ts"
import { blockOffset, makeBuffer } from "../../src/telemetry/TelemetryBuffer.ts"
import { makeReader } from "../../src/telemetry/TelemetryReader.ts"

const setup = (writersMax = 1) => {
  const buffer = makeBuffer(writersMax)
  const clock = { nanos: 1_000 }
  const read = makeReader(buffer)
  const updater = (writer = 0) => makeUpdater(buffer, writer, () => clock.nanos)
  return { buffer, clock, read, updater }
}

const wordsOf = (buffer: SharedArrayBuffer, writer = 0) => new Int32Array(buffer, blockOffset(writer), blockBytes / 4)

describe("SegmentMaintainerUpdater", () => {
  it("counts a cycle with its sleep, and as active only work without it", () => {
    const { clock, read, updater } = setup()
    const u = updater()
    clock.nanos = 50_000_000
    u.onPersistenceLoop(true, 10_000_000, 10_000_000)
    u.onPersistenceLoop(false, 25_000_000, 20_000_000)
    const { lifecycle, operations } = read()
    assert.deepStrictEqual(lifecycle, {
      cycles: 2,
      didWork: 1,
      cycleNanos: 65_000_000,
      activeNanos: 30_000_000,
      lastSleepMillis: 20
    })
    const { latency, ...iteration } = operations.iteration
    assert.deepStrictEqual(iteration, {
      totalNanos: 35_000_000,
      samples: 2,
      success: 2,
      minNanos: 5_000_000,
      maxNanos: 30_000_000
    })
    assert.deepStrictEqual(latency, [[bucketOf(5_000_000), 1], [bucketOf(30_000_000), 1]])
  })

  it("measures each operation into its own group", () => {
    const { clock, read, updater } = setup()
    const u = updater()
    clock.nanos = 1_000_000
    const calls = {
      retention: u.onHotSegmentRetention,
      compression: u.onHotSegmentCompression,
      deletion: u.onColdSegmentDeletion,
      persist: u.onPersist,
      flush: u.onFlush,
      sync: u.onSync,
      append: u.onAppend,
      rotation: u.onRotation,
      commit: u.onCommit,
      archival: u.onArchival
    }
    let nanos = 0
    for (const call of Object.values(calls)) {
      nanos += 100
      call.call(u, true, clock.nanos - nanos)
      call.call(u, false, clock.nanos - nanos - 50)
    }
    const { operations } = read()
    nanos = 0
    for (const name of Object.keys(calls) as Array<keyof typeof calls>) {
      nanos += 100
      assert.deepStrictEqual(operations[name], {
        totalNanos: 2 * nanos + 50,
        samples: 2,
        success: 1,
        minNanos: nanos,
        maxNanos: nanos + 50,
        latency: [[bucketOf(nanos), 1], [bucketOf(nanos + 50), 1]]
      }, name)
    }
  })

  it("adds beyond 32 bits, and keeps extremes beyond 32 bits", () => {
    const { clock, read, updater } = setup()
    const u = updater()
    clock.nanos = 2 ** 45
    for (const nanos of [2 ** 33 + 5, 2 ** 32 - 1, 2 ** 44 + 7, 2 ** 31, 2 ** 33 + 4]) {
      u.onPersist(true, 2 ** 45 - nanos)
    }
    const { latency, ...persist } = read().operations.persist
    assert.deepStrictEqual(persist, {
      totalNanos: 2 ** 34 + 9 + 2 ** 32 - 1 + 2 ** 44 + 7 + 2 ** 31,
      samples: 5,
      success: 5,
      minNanos: 2 ** 31,
      maxNanos: 2 ** 44 + 7
    })
    assert.strictEqual(latency.reduce((sum, [, count]) => sum + count, 0), 5)

    let expected = 0
    for (const n of [0xffff_ffff, 1, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 2 ** 40 + 3, 0, 2 ** 32]) {
      u.count("bytesWritten", n)
      expected += n
      assert.strictEqual(read().counters.bytesWritten, expected)
    }
  })

  it("keeps counting in a bucket that overflows 32 bits", () => {
    const { buffer, clock, read, updater } = setup()
    const place = histograms.find(({ operation }) => operation === "sync")!
    wordsOf(buffer)[place.offset / 4 + bucketOf(70)] = -2
    const u = updater()
    clock.nanos = 1_000
    for (let i = 0; i < 3; i++) u.onSync(true, 930)
    assert.deepStrictEqual(read().operations.sync.latency, [[bucketOf(70), 2 ** 32 + 1]])
  })

  it("takes a start from the future for no time at all", () => {
    const { clock, read, updater } = setup()
    updater().onPersist(true, clock.nanos + 500)
    assert.strictEqual(read().operations.persist.totalNanos, 0)
    assert.strictEqual(read().operations.persist.samples, 1)
  })

  it("counts failures by reason", () => {
    const { read, updater } = setup()
    const u = updater()
    failureReasons.forEach((reason, index) => {
      for (let i = 0; i <= index; i++) u.onFailure(reason)
    })
    assert.deepStrictEqual(
      read().failures,
      Object.fromEntries(failureReasons.map((reason, index) => [reason, index + 1]))
    )
  })

  it("sets gauges and limits, and makes a negative value 0", () => {
    const { read, updater } = setup()
    const u = updater()
    u.setMaxSegments(16)
    u.setMaxCompressedSegments(64)
    u.setGauge("diskFreeBytes", 2 ** 41 + 1)
    u.setGauge("hotBytes", 2 ** 31)
    u.setGauge("durableLagEvents", -3)
    const { gauges } = read()
    assert.strictEqual(gauges.maxHotSegments, 16)
    assert.strictEqual(gauges.maxColdSegments, 64)
    assert.strictEqual(gauges.diskFreeBytes, 2 ** 41 + 1)
    assert.strictEqual(gauges.hotBytes, 2 ** 31)
    assert.strictEqual(gauges.durableLagEvents, 0)
    u.setGauge("diskFreeBytes", 5)
    assert.strictEqual(read().gauges.diskFreeBytes, 5)
  })

  it("merges writers: sums, extremes, and gauges by their rule", () => {
    const { clock, read, updater } = setup(3)
    const [a, b] = [updater(0), updater(2)]
    clock.nanos = 10_000
    a.onPersist(true, 9_000)
    b.onPersist(false, 4_000)
    b.onPersist(true, 9_990)
    a.count("restarts", 2)
    b.count("restarts", 3)
    a.setGauge("persistPendingTasks", 4)
    b.setGauge("persistPendingTasks", 5)
    a.setGauge("durableLagMillis", 7)
    b.setGauge("durableLagMillis", 6)
    const { counters, gauges, operations } = read()
    assert.deepStrictEqual(operations.persist, {
      totalNanos: 7_010,
      samples: 3,
      success: 2,
      minNanos: 10,
      maxNanos: 6_000,
      latency: [[bucketOf(10), 1], [bucketOf(1_000), 1], [bucketOf(6_000), 1]]
    })
    assert.strictEqual(counters.restarts, 5)
    assert.strictEqual(gauges.persistPendingTasks, 9)
    assert.strictEqual(gauges.durableLagMillis, 7)
  })

  it("goes on with the counts of the writer before it", () => {
    const { read, updater } = setup()
    updater().count("restarts", 1)
    updater().count("restarts", 1)
    assert.strictEqual(read().counters.restarts, 2)
  })

  it("leaves readers the last whole state when a writer dies inside an update", () => {
    const { buffer, read, updater } = setup()
    const u = updater()
    u.onPersist(true, 900)
    assert.strictEqual(read().operations.persist.samples, 1)
    // The writer has entered the group and added a sample, but not yet its time.
    const group = groupOf("persist")
    const samples = group.fields.find(({ name }) => name === "samples")!
    wordsOf(buffer)[group.sequenceOffset / 4]! += 1
    wordsOf(buffer)[samples.offset / 4]! += 1
    assert.strictEqual(read().operations.persist.samples, 1)
    assert.strictEqual(read().operations.flush.samples, 0)
    // Its successor makes the group readable again.
    updater().onPersist(true, 900)
    assert.strictEqual(read().operations.persist.samples, 3)
  })

  it("takes a group that it has never seen whole for one without samples", () => {
    const { buffer, clock, read, updater } = setup(2)
    const group = groupOf("persist")
    updater(0).onPersist(true, clock.nanos - 70)
    updater(1).onPersist(true, clock.nanos - 90)
    wordsOf(buffer, 1)[group.sequenceOffset / 4]! += 1
    const { latency: _, ...persist } = read().operations.persist
    assert.deepStrictEqual(persist, { totalNanos: 70, samples: 1, success: 1, minNanos: 70, maxNanos: 70 })
  })

  it("counts nothing when there are no writers", () => {
    const buffer = makeBuffer(0)
    assert.strictEqual(makeUpdater(buffer, 5), noopUpdater)
    noopUpdater.onPersist(true, noopUpdater.nowNanos())
    noopUpdater.count("restarts", 1)
    const { counters, operations } = makeReader(buffer)()
    assert.strictEqual(counters.restarts, 0)
    for (const name of operationNames) {
      assert.deepStrictEqual(operations[name], {
        totalNanos: 0,
        samples: 0,
        success: 0,
        minNanos: 0,
        maxNanos: 0,
        latency: []
      })
    }
  })

  it("has a clock that never goes back", () => {
    let last = monotonicNanos()
    for (let i = 0; i < 100_000; i++) {
      const now = monotonicNanos()
      assert.isTrue(now >= last)
      last = now
    }
  })
})
