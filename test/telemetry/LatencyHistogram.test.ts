import { assert, describe, it } from "@effect/vitest"
import {
  bucketCount,
  type BucketCounts,
  bucketLowestNanos,
  bucketMiddleNanos,
  bucketOf,
  jitterNanos,
  log2Counts,
  percentileNames,
  percentileNanos,
  percentiles,
  percentilesNanos,
  rangeNanos,
  relativeErrorMax
} from "../../src/telemetry/LatencyHistogram.ts"

/** A small generator with a seed (mulberry32), so that a failure can be repeated. */
const randomOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const countsOf = (values: Iterable<number>): BucketCounts => {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(bucketOf(value), (counts.get(bucketOf(value)) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => a - b)
}

describe("LatencyHistogram", () => {
  it("puts every time into the bucket whose bounds contain it", () => {
    const random = randomOf(1)
    const values = [0, 1, 63, 64, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, rangeNanos - 1]
    for (let i = 0; i < 100_000; i++) values.push(Math.floor(2 ** (random() * 40)))
    for (const value of values) {
      const bucket = bucketOf(value)
      assert.isTrue(bucketLowestNanos(bucket) <= value && value < bucketLowestNanos(bucket + 1), `${value} ns`)
    }
  })

  it("has no gaps between buckets", () => {
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      assert.strictEqual(bucketOf(bucketLowestNanos(bucket)), bucket)
      if (bucket > 0) assert.strictEqual(bucketOf(bucketLowestNanos(bucket) - 1), bucket - 1)
    }
    assert.strictEqual(bucketLowestNanos(bucketCount), rangeNanos)
  })

  it("counts what is out of range in the last bucket", () => {
    for (const value of [rangeNanos, 2 ** 52, Number.MAX_SAFE_INTEGER, Infinity]) {
      assert.strictEqual(bucketOf(value), bucketCount - 1)
    }
  })

  it("is never more than 1 % off", () => {
    const random = randomOf(2)
    let worst = 0
    for (let i = 0; i < 300_000; i++) {
      const value = Math.max(1, Math.floor(2 ** (random() * 40)))
      worst = Math.max(worst, Math.abs(bucketMiddleNanos(bucketOf(value)) - value) / value)
    }
    assert.isAtMost(worst, relativeErrorMax)
    assert.isAtLeast(worst, 0.005)
  })

  it("reports every percentile within 1 % of the sorted samples", () => {
    for (const seed of [3, 4, 5]) {
      const random = randomOf(seed)
      // Three peaks, as from a page cache, a disk, and a disk that stalls.
      const values = Array.from({ length: 100_000 }, () => {
        const hump = random() < 0.9 ? 80_000 : random() < 0.98 ? 4_000_000 : 3_000_000_000
        return Math.floor(hump * (0.5 + random() * random()))
      })
      const counts = countsOf(values)
      values.sort((a, b) => a - b)
      for (const name of percentileNames) {
        const exact = values[Math.max(1, Math.ceil(values.length * percentiles[name] / 1e6)) - 1]!
        const error = Math.abs(percentileNanos(counts, percentiles[name]) - exact) / exact
        assert.isAtMost(error, relativeErrorMax, `seed ${seed}, ${name}`)
      }
    }
  })

  it("tells the last percentiles apart from ten million samples on", () => {
    const counts: BucketCounts = [[10, 9_999_980], [20, 11], [30, 9]]
    assert.strictEqual(percentilesNanos(counts)["p99.999"], 10)
    assert.strictEqual(percentilesNanos(counts)["p99.9999"], 20)
  })

  it("measures jitter against p50", () => {
    const jitter = jitterNanos([[10, 89], [20, 10], [50, 1]])
    assert.deepStrictEqual(jitter, {
      p50: 0,
      p90: 10,
      p99: 10,
      "p99.9": 40,
      "p99.99": 40,
      "p99.999": 40,
      "p99.9999": 40
    })
  })

  it("says 0 when nothing was counted", () => {
    assert.strictEqual(percentileNanos([], 500_000), 0)
  })

  it("folds into the buckets of floor(log2(ns))", () => {
    const random = randomOf(6)
    const values = [0, 1, ...Array.from({ length: 20_000 }, () => Math.max(1, Math.floor(2 ** (random() * 40))))]
    const expected = Array.from({ length: 64 }, () => 0)
    for (const value of values) expected[Math.floor(Math.log2(Math.max(1, value)))]!++
    assert.deepStrictEqual(log2Counts(countsOf(values)), expected)
  })
})
