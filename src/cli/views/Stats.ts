/**
 * Reads the state of a directory at one moment and formats it for people: as the recorder that runs in the directory
 * reports it, or as the files show it if none runs.
 */
import * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import { isConsumer } from "../../disk/FileNames.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { plainText } from "../../internal/plainText.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import type { SegmentCorrupt } from "../../reading/segment/SegmentCorrupt.ts"
import * as Monitor from "../../recorder/monitor/Monitor.ts"
import type { MonitorError } from "../../recorder/monitor/MonitorError.ts"
import type { MonitorReport } from "../../recorder/monitor/MonitorReport.ts"
import type { OperationName } from "../../telemetry/Counters.ts"
import { countOf, percentileNanos, percentiles } from "../../telemetry/LatencyHistogram.ts"
import { dump, formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { withSegmentProgress } from "../terminal/Progress.ts"
import { count } from "./Columns.ts"
import { readDirectory } from "./DirectoryReport.ts"
import type { DirectoryReport } from "./DirectoryReport.ts"

/** The report of a recorder that answered, or of a directory without a recorder. */
export type Stats =
  | { readonly source: "recorder"; readonly report: MonitorReport }
  | { readonly source: "directory"; readonly report: DirectoryReport }

/**
 * Asks the recorder of a directory for its report. If none runs, reads the directory and shows the progress of that.
 */
export const readStats = (
  directory: string,
  isProgressWanted: boolean
): Effect.Effect<Stats, MonitorError | DiskError | SegmentCorrupt, Disk> =>
  Effect.flatMap(
    Monitor.read(directory),
    (report): Effect.Effect<Stats, DiskError | SegmentCorrupt, Disk> =>
      report === undefined
        ? Effect.map(
          withSegmentProgress(readDirectory(directory), { label: "looking", directory, isWanted: isProgressWanted }),
          (report) => ({ source: "directory", report })
        )
        : Effect.succeed({ source: "recorder", report })
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

/** Formats how far the archive is, and why it is not further. */
export const archiveText = (archive: NonNullable<MonitorReport["maintainer"]["archive"]>): string => {
  const { archivedBefore, behindBytes, behindMillis, behindSegments, freedUnarchived, problem } = archive
  const behind = behindSegments === 0
    ? "nothing is behind"
    : `${behindSegments} segments behind (${formatBytes(behindBytes)}), the oldest for ${
      formatNanos(Math.round(behindMillis) * 1e6)
    }`
  const lost = freedUnarchived === 0 ? "" : `; ${freedUnarchived} WERE DELETED UNARCHIVED`
  return `segments before ${archivedBefore} are archived, ${behind}${lost}` +
    (problem === null ? "" : `; ${plainText(problem)}`)
}

/** Formats where a consumer is, what it has not done, and whether somebody reads. */
export const consumerText = (hold: MonitorReport["maintainer"]["durableHolds"][number]): string => {
  const { behindBytes, behindEvents, behindMillis, eventId, isExceeded, isOwned } = hold
  const behind = behindEvents === 0
    ? "nothing is behind"
    : `${count(behindEvents)} events behind (${formatBytes(behindBytes)}), the oldest for ${
      formatNanos(Math.round(behindMillis) * 1e6)
    }`
  return `is at event ${count(eventId)}, ${behind}, ${isOwned ? "and reads" : "and does not read here"}` +
    (isExceeded ? "; MISSES EVENTS THAT WERE DELETED" : "")
}

/** Formats what holds events back: the reason, since when, and when it is tried again. */
export const heldBackText = ({ heldBack, heldBackMillis, nextTryMillis }: MonitorReport["arena"]): string =>
  `${heldBack} for ${formatNanos(Math.round(heldBackMillis) * 1e6)}` +
  (nextTryMillis === null ? "" : `, next try in ${formatNanos(Math.round(nextTryMillis) * 1e6)}`)

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
