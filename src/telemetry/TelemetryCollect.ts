/**
 * Passes a snapshot to a collector, value by value, under the names of the counters: a prefix, the name of the group,
 * the name of the field. Times are in nanoseconds or milliseconds, as the end of the name states. Each value has the
 * label `subsystem`.
 *
 * Samples and successes of an operation are always passed. Its total time and its latency histogram follow after the
 * first sample; minimum, maximum, average, jitter and rate after the second.
 */
import { type Field, type Group, groups } from "./CounterLayout.ts"
import { type OperationName, operations, type Unit } from "./Counters.ts"
import { type BucketCounts, percentileNames, percentileNanos, percentiles } from "./LatencyHistogram.ts"
import { type TelemetrySnapshot, valueIn } from "./TelemetrySnapshot.ts"

/** A value of a snapshot. */
export interface Sample {
  readonly name: string
  readonly help: string
  readonly unit: Unit
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** A latency histogram of a snapshot. All times in nanoseconds. */
export interface HistogramSample {
  readonly name: string
  readonly help: string
  readonly unit: "ns"
  readonly labels: Readonly<Record<string, string>>
  readonly counts: BucketCounts
  readonly sum: number
  readonly min: number
  readonly max: number
}

/**
 * Receives the values that {@link collect} passes. A counter only grows as long as the telemetry exists; a gauge may
 * change in any direction.
 */
interface Collector {
  /** A value that only grows. */
  readonly counter: (sample: Sample) => void
  /** A value that grows and shrinks. */
  readonly gauge: (sample: Sample) => void
  /** A latency histogram: the counts of its buckets. */
  readonly histogram: (sample: HistogramSample) => void
}

/** The default prefix of exported names. */
export const defaultPrefix = "effect_wal"

/**
 * Passes every value of `snapshot` to `collector`, in the order of the layout.
 *
 * Derived values: `avg` is total over samples; `jitter` is maximum minus minimum; `rate_per_second` is samples per
 * second spent in the operation; `active_ratio_percent` is active time over cycle time; `avg_active_time_ms` is over
 * the cycles that did work.
 */
export const collect = (snapshot: TelemetrySnapshot, collector: Collector, prefix: string = defaultPrefix): void => {
  for (const group of groups) {
    const target = targetOf(collector, group, prefix)
    for (const field of group.fields) {
      if (isShown(snapshot, group, field)) target.field(field, valueIn(snapshot, group, field))
    }
    if (group.kind === "lifecycle") collectLifecycle(snapshot, target)
    if (group.kind === "operation") collectOperation(snapshot, group.name as OperationName, target)
    if (group.kind === "counters") collectCompression(snapshot, target)
  }
}

/** A collector that knows the names and labels of one group. */
interface Target {
  readonly field: (field: Field, value: number) => void
  readonly derived: (name: string, unit: Unit, help: string, value: number, labels?: Record<string, string>) => void
  readonly latency: (
    name: string,
    help: string,
    values: Pick<HistogramSample, "counts" | "sum" | "min" | "max">
  ) => void
}

const targetOf = (collector: Collector, group: Group, prefix: string): Target => {
  const labels = { subsystem: group.subsystem }
  return {
    field: ({ exported, help, labels, merge, unit }, value) => {
      const isCounter = merge === "sum" && group.kind !== "gauges"
      const sample: Sample = { name: `${prefix}_${exported}`, help, unit, labels, value }
      if (isCounter) collector.counter(sample)
      else collector.gauge(sample)
    },
    derived: (name, unit, help, value, more) =>
      collector.gauge({ name: `${prefix}_${name}`, help, unit, labels: { ...labels, ...more }, value }),
    latency: (name, help, values) =>
      collector.histogram({ name: `${prefix}_${name}`, help, unit: "ns", labels, ...values })
  }
}

const samplesMin: Readonly<Record<string, number>> = { totalNanos: 1, minNanos: 2, maxNanos: 2 }

const isShown = (snapshot: TelemetrySnapshot, group: Group, field: Field): boolean =>
  group.kind !== "operation" ||
  snapshot.operations[group.name as OperationName].samples >= (samplesMin[field.name] ?? 0)

const collectLifecycle = ({ lifecycle }: TelemetrySnapshot, target: Target): void => {
  const { activeNanos, cycleNanos, cycles, didWork } = lifecycle
  const name = "persistence_lifecycle"
  target.derived(
    `${name}_active_ratio_percent`,
    "percent",
    "Share of the cycles' time that was active.",
    ratio(activeNanos * 100, cycleNanos)
  )
  target.derived(`${name}_avg_cycle_time_ms`, "ms", "Average time of a cycle.", ratio(cycleNanos / 1e6, cycles))
  target.derived(
    `${name}_avg_active_time_ms`,
    "ms",
    "Average active time of a cycle that did work.",
    ratio(activeNanos / 1e6, didWork)
  )
}

const collectOperation = (snapshot: TelemetrySnapshot, operation: OperationName, target: Target): void => {
  const { latency, maxNanos, minNanos, samples, totalNanos } = snapshot.operations[operation]
  const { exported: name, help } = operations[operation]
  if (samples >= 2) {
    target.derived(`${name}_avg_ns`, "ns", `${help}: the average run.`, ratio(totalNanos, samples))
    target.derived(`${name}_jitter_ns`, "ns", `${help}: the longest run minus the shortest.`, maxNanos - minNanos)
    target.derived(
      `${name}_rate_per_second`,
      "",
      `${help}: runs for each second spent in it.`,
      ratio(samples * 1e9, totalNanos)
    )
    for (const percentile of percentileNames) {
      target.derived(
        `${name}_latency_percentile_ns`,
        "ns",
        `${help}: percentiles since the start, within 1 %.`,
        percentileNanos(latency, percentiles[percentile]),
        { percentile }
      )
    }
  }
  if (samples >= 1) {
    target.latency(`${name}_latency_ns`, `${help}: how long it took.`, {
      counts: latency,
      sum: totalNanos,
      min: minNanos,
      max: maxNanos
    })
  }
}

const collectCompression = ({ counters }: TelemetrySnapshot, target: Target): void => {
  if (counters.compressionBytesOut === 0) return
  target.derived(
    "compression_ratio",
    "",
    "Bytes that went into compression for each byte that came out.",
    counters.compressionBytesIn / counters.compressionBytesOut
  )
}

const ratio = (part: number, whole: number): number => whole === 0 ? 0 : part / whole
