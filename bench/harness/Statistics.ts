/** The few statistics that the tables use. */

/** The middle one of the sorted values (the mean of the two middle ones). NaN of none. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that a share `q` of the samples does not exceed. Sorts the samples. */
export const quantileOfSorted = (sorted: Float64Array, q: number): number =>
  sorted.length === 0 ? Number.NaN : sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * q) - 1)]!

/** The latencies that the tables print, in the unit of the samples. */
export const percentiles = (samples: Float64Array): Record<string, number> => {
  const sorted = samples.slice().sort()
  return {
    "p50": quantileOfSorted(sorted, 0.5),
    "p90": quantileOfSorted(sorted, 0.9),
    "p99": quantileOfSorted(sorted, 0.99),
    "p99.9": quantileOfSorted(sorted, 0.999),
    "p99.99": quantileOfSorted(sorted, 0.9999)
  }
}

/** The ratio of each round of `a` to the same round of `b`. */
export const ratios = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): ReadonlyArray<number> =>
  a.slice(0, b.length).map((value, round) => value / b[round]!)
