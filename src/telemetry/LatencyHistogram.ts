/**
 * Log-linear buckets for times in nanoseconds, and the statistics that are computed from their counts.
 *
 * Below 64 ns every nanosecond has a bucket. Above, every power of two is divided into 64 buckets of equal width. So
 * the middle of a bucket differs from any value counted in it by at most 1/128 (0.78 %), and the stated error of every
 * percentile is 1 %. Times of {@link rangeNanos} (18.3 minutes) and more are counted in the last bucket.
 *
 * The coarse histogram, 64 buckets of floor(log2(ns)), is computed from the fine one, so the two can never disagree.
 */

const subBucketBits = 6
const subBuckets = 1 << subBucketBits
const rangeBits = 40

/** Times of this length and more share the last bucket. In nanoseconds. */
export const rangeNanos = 2 ** rangeBits

/** The number of buckets. */
export const bucketCount = (rangeBits - subBucketBits + 1) * subBuckets

/** The relative error that no percentile exceeds below {@link rangeNanos}. */
export const relativeErrorMax = 0.01

/** Long times are divided by 2 to this power, so that the rest is 32-bit arithmetic. */
const longBits = 25

const shortBucketOf = (nanos: number): number => {
  if (nanos < subBuckets) return nanos
  const exponent = 31 - Math.clz32(nanos)
  return ((exponent - subBucketBits + 1) << subBucketBits) +
    ((nanos >>> (exponent - subBucketBits)) & (subBuckets - 1))
}

/** Gives the bucket of a time, a whole number of nanoseconds that is at least 0. */
export const bucketOf = (nanos: number): number => {
  if (nanos < 0x80000000) return shortBucketOf(nanos)
  if (nanos >= rangeNanos) return bucketCount - 1
  return shortBucketOf(Math.floor(nanos / 2 ** longBits)) + longBits * subBuckets
}

/** Gives the lowest time that a bucket counts, in nanoseconds. */
export const bucketLowestNanos = (bucket: number): number =>
  bucket < subBuckets
    ? bucket
    : (subBuckets + (bucket & (subBuckets - 1))) * 2 ** ((bucket >> subBucketBits) - 1)

/** Gives the middle of the times that a bucket counts, in nanoseconds. */
export const bucketMiddleNanos = (bucket: number): number =>
  (bucketLowestNanos(bucket) + bucketLowestNanos(bucket + 1) - 1) / 2

/** The counts of the buckets that are not empty, in ascending order of the bucket. */
export type BucketCounts = ReadonlyArray<readonly [bucket: number, count: number]>

/** The percentiles that are reported, in parts per million of the samples. */
export const percentiles = {
  p50: 500_000,
  p90: 900_000,
  p99: 990_000,
  "p99.9": 999_000,
  "p99.99": 999_900,
  "p99.999": 999_990,
  "p99.9999": 999_999
} as const

/** The name of a reported percentile. */
type PercentileName = keyof typeof percentiles

/** The names of the reported percentiles in ascending order. */
export const percentileNames = Object.keys(percentiles) as ReadonlyArray<PercentileName>

/** Counts the samples. */
export const countOf = (counts: BucketCounts): number => counts.reduce((sum, [, count]) => sum + count, 0)

/**
 * Gives the time that `partsPerMillion` of the samples do not exceed (nearest rank), within {@link relativeErrorMax},
 * in nanoseconds; 0 if there are no samples.
 */
export const percentileNanos = (counts: BucketCounts, partsPerMillion: number): number => {
  const rank = Math.max(1, Math.ceil(countOf(counts) * partsPerMillion / 1_000_000))
  let seen = 0
  for (const [bucket, count] of counts) {
    seen += count
    if (seen >= rank) return bucketMiddleNanos(bucket)
  }
  return 0
}

/** Gives every reported percentile, in nanoseconds. */
export const percentilesNanos = (counts: BucketCounts): Record<PercentileName, number> => {
  const values = {} as Record<PercentileName, number>
  for (const name of percentileNames) values[name] = percentileNanos(counts, percentiles[name])
  return values
}

/** Gives the jitter: the difference between every reported percentile and p50, in nanoseconds. */
export const jitterNanos = (counts: BucketCounts): Record<PercentileName, number> => {
  const values = percentilesNanos(counts)
  const median = values.p50
  for (const name of percentileNames) values[name] -= median
  return values
}

/** Gives the coarse histogram: 64 counts, each of the times with the same floor(log2(ns)). A time of 0 counts as 1. */
export const log2Counts = (counts: BucketCounts): ReadonlyArray<number> => {
  const folded = Array.from({ length: 64 }, () => 0)
  for (const [bucket, count] of counts) {
    const power = Math.floor(Math.log2(Math.max(1, bucketLowestNanos(bucket))))
    folded[power] = folded[power]! + count
  }
  return folded
}
