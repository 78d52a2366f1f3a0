/**
 * Formats one picture of `effect-wal top` as lines of plain text, from the present report and the one before. It is
 * pure, so what a person sees is decided here and nowhere else.
 *
 * Rates and latencies cover the time between the two reports; without an earlier report, the time since the start.
 */
import { isConsumer } from "../../disk/FileNames.ts"
import type { MonitorReport } from "../../recorder/monitor/MonitorReport.ts"
import type { Stats } from "../../report/Stats.ts"
import { archiveText, consumerText, heldBackText } from "../../report/words.ts"
import type { OperationName } from "../../telemetry/Counters.ts"
import { bucketMiddleNanos, countOf, percentileNanos, percentiles } from "../../telemetry/LatencyHistogram.ts"
import type { BucketCounts } from "../../telemetry/LatencyHistogram.ts"
import { formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { bar, sparkline } from "./Drawing.ts"
import { directoryLines } from "./Stats.ts"

/** How many looks the sparklines show: a minute of them at the usual interval. */
const looksShown = 60

/** What a picture shows of the looks before it, the newest last. */
export class Trend {
  readonly eventsPerSecond: Array<number> = []
  readonly commitNanos: Array<number> = []

  /** Takes a look and the one before it. What cannot be compared begins anew. */
  add(now: Stats, before: Stats | undefined): void {
    const compared = comparable(now, before)
    if (now.source === "directory" || compared === undefined) {
      this.eventsPerSecond.length = 0
      this.commitNanos.length = 0
      return
    }
    const seconds = (now.report.uptimeMillis - compared.uptimeMillis) / 1000
    const written = now.report.telemetry.counters.eventsWritten - compared.telemetry.counters.eventsWritten
    const commits = subtract(
      now.report.telemetry.operations.commit.latency,
      compared.telemetry.operations.commit.latency
    )
    this.eventsPerSecond.push(written / seconds)
    this.commitNanos.push(commits.length === 0 ? 0 : percentileNanos(commits, percentiles.p99))
    for (const values of [this.eventsPerSecond, this.commitNanos]) values.splice(0, values.length - looksShown)
  }
}

/** Formats the lines of a picture; the first one is its title. */
export const topFrame = (now: Stats, before: Stats | undefined, trend?: Trend): ReadonlyArray<string> =>
  now.source === "directory"
    ? [`effect-wal top  ${now.report.directory}`, "", ...directoryLines(now.report)]
    : recorderFrame(now.report, comparable(now, before), trend)

/** The report before, unless another process has made it: the counters of another process start at 0 again. */
const comparable = (now: Stats, before: Stats | undefined): MonitorReport | undefined => {
  const isSame = now.source === "recorder" && before?.source === "recorder" && before.report.pid === now.report.pid &&
    before.report.startedMillis === now.report.startedMillis && before.report.uptimeMillis < now.report.uptimeMillis
  return isSame ? before.report : undefined
}

const recorderFrame = (
  now: MonitorReport,
  before: MonitorReport | undefined,
  trend: Trend | undefined
): ReadonlyArray<string> => {
  const { arena, maintainer, telemetry: { counters, gauges } } = now
  const seconds = (now.uptimeMillis - (before?.uptimeMillis ?? 0)) / 1000
  const rate = (value: (report: MonitorReport) => number): number =>
    seconds <= 0 ? 0 : (value(now) - (before === undefined ? 0 : value(before))) / seconds
  const events = rate((report) => report.telemetry.counters.eventsWritten)
  const bytes = rate((report) => report.telemetry.counters.bytesWritten)
  const frozen = rate((report) => report.telemetry.operations.retention.success)
  const freed = rate((report) => report.telemetry.operations.deletion.success)
  const ratio = counters.compressionBytesOut === 0
    ? "-"
    : (counters.compressionBytesIn / counters.compressionBytesOut).toFixed(2)
  const { appended, compressed, deletedBefore, durable } = now.positions
  return [
    `effect-wal top  ${now.directory}  process ${now.pid}  up ${duration(now.uptimeMillis)}`,
    "",
    row(
      "events",
      `${appended} appended, ${durable} durable, ${compressed} compressed, deleted before ${deletedBefore}`
    ),
    row("lag", `${gauges.durableLagEvents} events not durable, the oldest for ${millis(gauges.durableLagMillis)}`),
    row(
      "rates",
      `${perSecond(events)} events/s durable, ${formatBytes(Math.round(bytes))}/s written, ` +
        `${perSecond(frozen)} frozen/s, ${perSecond(freed)} freed/s`
    ),
    ...(trend === undefined || trend.eventsPerSecond.length === 0 ? [] : [
      row("events/s", sparkline(trend.eventsPerSecond)),
      row("commit p99", sparkline(trend.commitNanos))
    ]),
    row("arena", `${bar(arena.active + arena.full + arena.spent, arena.slots)} ${arenaText(arena)}`),
    row(
      "hot",
      `${bar(gauges.hotSegments, gauges.maxHotSegments)} ${gauges.hotSegments} of ${gauges.maxHotSegments} segments, ` +
        formatBytes(gauges.hotBytes)
    ),
    row(
      "cold",
      `${bar(gauges.coldSegments, gauges.maxColdSegments)} ${gauges.coldSegments} of ${
        gauges.maxColdSegments === 0 ? "any" : gauges.maxColdSegments
      } segments, ${formatBytes(gauges.coldBytes)}, ratio ${ratio}`
    ),
    row("disk", `${formatBytes(gauges.diskFreeBytes)} free`),
    row(
      "trouble",
      `${now.maintainer.isDown ? "MAINTAINER DOWN, " : ""}${now.maintainer.failures} steps failed for good, ` +
        `${failureCount(now)} failures, ${counters.restarts} restarts, ${counters.eventsDropped} events dropped`
    ),
    ...(maintainer.archive === null ? [] : [row("archive", archiveText(maintainer.archive))]),
    ...maintainer.durableHolds.filter(({ name }) => isConsumer(name)).slice(0, consumersMax).map((consumer) =>
      row("consumer", `${consumer.name} ${consumerText(consumer)}`)
    ),
    ...(maintainer.damagedSegments.length + maintainer.holes.length === 0 ? [] : [row(
      "damage",
      `${maintainer.damagedSegments.length} DAMAGED SEGMENTS, ${counters.segmentsQuarantined} moved to quarantine, ` +
        `${maintainer.holes.length} acknowledged holes`
    )]),
    "",
    `${"ring".padEnd(12)}${cells(["tasks", "bytes", "oldest"])}`,
    ...rings.map((ring) => {
      const tasks = String(gauges[`${ring}PendingTasks`])
      const bytes = formatBytes(gauges[`${ring}PendingBytes`])
      return `${ring.padEnd(12)}${cells([tasks, bytes, millis(gauges[`${ring}OldestPendingMillis`])])}`
    }),
    "",
    `${(before === undefined ? "since start" : `last ${seconds.toFixed(1)} s`).padEnd(12)}${
      cells(["count", "p50", "p99", "max"])
    }`,
    ...operations.filter(([name]) => name !== "archive" || maintainer.archive !== null).map(([name, operation]) =>
      `${name.padEnd(12)}${cells(latency(operation, now, before))}`
    ),
    ...(now.failures.length === 0
      ? []
      : ["", "failures", ...now.failures.slice(-failuresMax).toReversed().map(failureText)])
  ]
}

const failuresMax = 5
const consumersMax = 5

const rings = ["persist", "freeze", "free"] as const

/** The operations shown, with the names that people see and those in the telemetry. */
const operations: ReadonlyArray<readonly [name: string, operation: OperationName]> = [
  ["append", "append"],
  ["rotate", "rotation"],
  ["commit", "commit"],
  ["flush", "flush"],
  ["sync", "sync"],
  ["persist", "persist"],
  ["freeze", "retention"],
  ["compress", "compression"],
  ["free", "deletion"],
  ["archive", "archival"],
  ["cycle", "iteration"]
]

const row = (name: string, text: string): string => name.padEnd(12) + text

const cells = (values: ReadonlyArray<string>): string => values.map((value) => value.padStart(12)).join("")

const duration = (millis: number): string => formatNanos(millis * 1e6)
const millis = (value: number): string => value === 0 ? "-" : duration(value)

const perSecond = (rate: number): string => rate >= 100 || rate === 0 ? rate.toFixed(0) : rate.toFixed(1)

const arenaText = (arena: MonitorReport["arena"]): string =>
  `${arena.full} of ${arena.slots} slots wait for the disk, ${arena.blank} blank, ` +
  `the active one holds ${formatBytes(arena.activeBytes)} of ${formatBytes(arena.slotBytes)}` +
  (arena.heldBack === "None" ? "" : `, HELD BACK: ${heldBackText(arena)}`)

const failureCount = (report: MonitorReport): number =>
  Object.values(report.telemetry.failures).reduce((sum, count) => sum + count, 0)

const failureText = (failure: MonitorReport["failures"][number]): string =>
  `${new Date(failure.atMillis).toISOString().slice(11, 19)}  ${failure.message.replace(/\s*\n\s*/g, "; ")}`

const latency = (
  operation: OperationName,
  now: MonitorReport,
  before: MonitorReport | undefined
): ReadonlyArray<string> => {
  const all = now.telemetry.operations[operation]
  const counts = subtract(all.latency, before?.telemetry.operations[operation].latency ?? [])
  const newest = counts.at(-1)
  if (newest === undefined) return ["0", "-", "-", "-"]
  // The maximum since the start is exact; between two reports it is known within 1 %.
  const max = before === undefined ? all.maxNanos : Math.min(all.maxNanos, bucketMiddleNanos(newest[0]))
  return [
    String(countOf(counts)),
    formatNanos(Math.min(max, percentileNanos(counts, percentiles.p50))),
    formatNanos(Math.min(max, percentileNanos(counts, percentiles.p99))),
    formatNanos(max)
  ]
}

/** Subtracts the counts of `earlier` from those of `later`; both are ascending. */
const subtract = (later: BucketCounts, earlier: BucketCounts): BucketCounts => {
  const known = new Map(earlier)
  return later
    .map(([bucket, count]): readonly [number, number] => [bucket, count - (known.get(bucket) ?? 0)])
    .filter(([, count]) => count > 0)
}
