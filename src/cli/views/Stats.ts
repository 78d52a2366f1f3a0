/**
 * Reads the state of a directory at one moment and formats it for people: as the recorder that runs in the directory
 * reports it, or as the files show it if none runs.
 */
import type * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import { isConsumer } from "../../disk/FileNames.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import type { SegmentCorrupt } from "../../reading/segment/SegmentCorrupt.ts"
import type { MonitorError } from "../../recorder/monitor/MonitorError.ts"
import type { MonitorReport } from "../../recorder/monitor/MonitorReport.ts"
import type { DirectoryReport } from "../../report/DirectoryReport.ts"
import { readDirectory } from "../../report/DirectoryReport.ts"
import { readStatsBy } from "../../report/Stats.ts"
import type { Stats } from "../../report/Stats.ts"
import { archiveText, consumerText, heldBackText } from "../../report/words.ts"
import type { OperationName } from "../../telemetry/Counters.ts"
import { countOf, percentileNanos, percentiles } from "../../telemetry/LatencyHistogram.ts"
import { dump, formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { withSegmentProgress } from "../terminal/Progress.ts"
import { count } from "./Columns.ts"

/**
 * Asks the recorder of a directory for its report. If none runs, reads the directory and shows the progress of that.
 */
export const readStats = (
  directory: string,
  isProgressWanted: boolean
): Effect.Effect<Stats, MonitorError | DiskError | SegmentCorrupt, Disk> =>
  readStatsBy(
    directory,
    withSegmentProgress(readDirectory(directory), { label: "looking", directory, isWanted: isProgressWanted })
  )

const line = (name: string, text: string): string => `${name.padEnd(30)}${text}`

/** Formats the report of a recorder: the state of the log and what holds it back; `isVerbose`: all of its telemetry. */
export const recorderLines = (report: MonitorReport, isVerbose: boolean): ReadonlyArray<string> => {
  const { arena, failures, maintainer, positions, telemetry: { gauges, operations } } = report
  return [
    line("recorder", `process ${report.pid}, up ${formatNanos(report.uptimeMillis * 1e6)}`),
    line("directory", report.directory),
    line(
      "newest event",
      `${count(positions.appended)}, durable ${count(positions.durable)}, compressed ${count(positions.compressed)}`
    ),
    line("deleted before event", count(positions.deletedBefore)),
    line(
      "not durable yet",
      gauges.durableLagEvents === 0
        ? "nothing"
        : `${count(gauges.durableLagEvents)} events, the oldest for ${formatNanos(gauges.durableLagMillis * 1e6)}`
    ),
    line("hot segments", `${gauges.hotSegments} of ${gauges.maxHotSegments}, ${formatBytes(gauges.hotBytes)}`),
    line(
      "cold segments",
      `${gauges.coldSegments}${gauges.maxColdSegments === 0 ? "" : ` of ${gauges.maxColdSegments}`}, ` +
        formatBytes(gauges.coldBytes)
    ),
    line("disk free", formatBytes(gauges.diskFreeBytes)),
    ...(["commit", "sync"] as const).map((name) => line(name, latencyText(operations[name]))),
    line(
      "arena",
      `${arena.slots} slots of ${formatBytes(arena.slotBytes)}: ${arena.active} active (${
        formatBytes(arena.activeBytes)
      }), ${arena.full} full, ${arena.spent} spent, ${arena.blank} blank`
    ),
    line("held back", arena.heldBack === "None" ? "no" : `yes, ${heldBackText(arena)}`),
    line("maintainer", `${maintainer.isDown ? "down" : "up"}, ${maintainer.failures} steps failed for good`),
    ...maintainer.damagedSegments.map((segmentIndex) =>
      line("damaged", `segment ${segmentIndex} stays where it is, and nothing newer is deleted; see onDamaged`)
    ),
    ...holeLines(maintainer.holes),
    ...(maintainer.archive === null ? [] : [line("archive", archiveText(maintainer.archive))]),
    ...maintainer.holds.map((hold) =>
      line(
        "hold",
        `${hold.name} ${hold.isExceeded ? "lost what it kept from" : "keeps"} segment ${hold.fromSegmentIndex} ` +
          (hold.isExceeded ? "on, because of heldBytesMax" : "and later ones")
      )
    ),
    ...maintainer.durableHolds.map((hold) =>
      line(isConsumer(hold.name) ? "consumer" : "hold", `${hold.name} ${consumerText(hold)}`)
    ),
    ...failures.map((failure) => line("failure", `${new Date(failure.atMillis).toISOString()} ${failure.message}`)),
    ...(isVerbose ? dump(report.telemetry).trimEnd().split("\n") : [])
  ]
}

/** How long an operation takes, since the start. */
const latencyText = ({ latency, maxNanos }: MonitorReport["telemetry"]["operations"][OperationName]): string => {
  if (latency.length === 0) return "none"
  const [p50, p99] = [percentiles.p50, percentiles.p99].map((part) =>
    formatNanos(Math.min(maxNanos, percentileNanos(latency, part)))
  )
  return `${count(countOf(latency))} times, p50 ${p50}, p99 ${p99}, at most ${formatNanos(maxNanos)}`
}

const holeLines = (holes: ReadonlyArray<AcknowledgedHole>): ReadonlyArray<string> =>
  holes.map((hole) => line("hole", formatHole(hole)))

/** Formats the report of a directory. */
export const directoryLines = (report: DirectoryReport): ReadonlyArray<string> => [
  line("recorder", report.heldBy === null ? "none runs here" : `${report.heldBy}; it has no monitor that answers`),
  line("directory", report.directory),
  line("events", report.lastEventId === 0 ? "none" : `${report.firstEventId} to ${report.lastEventId}`),
  line("hot segments", `${report.hotSegments}, ${formatBytes(report.hotBytes)}`),
  line("cold segments", `${report.coldSegments}, ${formatBytes(report.coldBytes)}`),
  ...holeLines(report.holes),
  ...(report.ratio === 0 ? [] : [line("compression ratio", `${report.ratio.toFixed(2)} to 1`)]),
  line(
    "meta",
    report.meta === null
      ? "none"
      : `event ${report.meta.lastEventId} in segment ${report.meta.lastSegmentIndex}, ${
        formatBytes(report.meta.lastOffset)
      } of it durable`
  ),
  line("disk free", formatBytes(report.diskFreeBytes))
]
