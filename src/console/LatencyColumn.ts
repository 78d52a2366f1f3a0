/** What happened between two reports of one recorder: a column of the heat maps, and the marks on their time axis. */
import type { MonitorReport } from "../recorder/monitor/MonitorReport.ts"
import { log2Counts } from "../telemetry/LatencyHistogram.ts"
import type { BucketCounts } from "../telemetry/LatencyHistogram.ts"

/** How often an operation took how long: pairs of a power of two, in nanoseconds, and a count. */
type PowerCounts = ReadonlyArray<readonly [power: number, count: number]>

/** A column. */
export interface LatencyColumn {
  /** Unix time of the later report. */
  readonly atMillis: number
  readonly seconds: number
  readonly commit: PowerCounts
  readonly sync: PowerCounts
  readonly freeze: PowerCounts
  readonly events: number
  readonly bytes: number
  readonly rotations: number
  readonly freezes: number
  readonly deletions: number
  readonly restarts: number
  /** Attempts that failed, and the messages of those that failed for good. */
  readonly failures: number
  readonly messages: ReadonlyArray<string>
}

/** The column between two reports; `undefined` when they cannot be compared: another process counts from 0 again. */
export const columnBetween = (before: MonitorReport | undefined, now: MonitorReport): LatencyColumn | undefined => {
  const isSame = before !== undefined && before.pid === now.pid && before.startedMillis === now.startedMillis &&
    before.uptimeMillis < now.uptimeMillis
  if (!isSame) return undefined
  const { operations: earlier } = before.telemetry
  const { operations: later } = now.telemetry
  const counted = (counter: (report: MonitorReport) => number): number => counter(now) - counter(before)
  return {
    atMillis: now.atMillis,
    seconds: (now.uptimeMillis - before.uptimeMillis) / 1000,
    commit: powersBetween(earlier.commit.latency, later.commit.latency),
    sync: powersBetween(earlier.sync.latency, later.sync.latency),
    freeze: powersBetween(earlier.retention.latency, later.retention.latency),
    events: counted(({ telemetry }) => telemetry.counters.eventsWritten),
    bytes: counted(({ telemetry }) => telemetry.counters.bytesWritten),
    rotations: counted(({ telemetry }) => telemetry.operations.rotation.success),
    freezes: counted(({ telemetry }) => telemetry.operations.retention.success),
    deletions: counted(({ telemetry }) => telemetry.operations.deletion.success),
    restarts: counted(({ telemetry }) => telemetry.counters.restarts),
    failures: counted(({ telemetry }) => Object.values(telemetry.failures).reduce((sum, count) => sum + count, 0)),
    messages: now.failures.filter(({ atMillis }) => atMillis > before.atMillis).map(({ message }) => message)
  }
}

const powersBetween = (earlier: BucketCounts, later: BucketCounts): PowerCounts => {
  if (later.length === 0) return []
  const before = log2Counts(earlier)
  return log2Counts(later)
    .map((count, power): readonly [number, number] => [power, count - before[power]!])
    .filter(([, count]) => count > 0)
}
