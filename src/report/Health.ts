/**
 * What is wrong with a log, by one look at it. The limits are those of the alerts in docs/monitoring, as far as one
 * look can tell: an alert sees a rate, and how long something lasts.
 */
import * as Duration from "effect/Duration"
import { isConsumer } from "../disk/FileNames.ts"
import type { MonitorReport } from "../recorder/monitor/MonitorReport.ts"
import { formatBytes, formatNanos } from "../telemetry/TelemetryDump.ts"
import type { DirectoryReport } from "./DirectoryReport.ts"
import type { Stats } from "./Stats.ts"
import { archiveText, consumerText, heldBackText } from "./words.ts"

/** Something that is wrong, and how bad it is. */
export interface Finding {
  readonly severity: "warning" | "critical"
  readonly text: string
}

/** What is asked of a log. */
interface Wanted {
  /** How long an event may wait to become durable. */
  readonly maxLag: Duration.Duration
  readonly freeBytesMin: number
  readonly isRecorderWanted: boolean
}

/** A full segment may wait so long for the disk, in ms. */
const persistMillisMax = 10_000

/** Compression and deletion may be so far behind, in ms. */
const behindMillisMax = 300_000

/** The archive may be so far behind, in ms. */
const archiveMillisMax = 900_000

/** A consumer may be so far behind, in ms. */
const consumerMillisMax = 900_000

/** What is wrong, the worst first. */
export const findingsOf = (stats: Stats, wanted: Wanted): ReadonlyArray<Finding> => {
  const found = stats.source === "recorder"
    ? findingsOfRecorder(stats.report, wanted)
    : findingsOfDirectory(stats.report, wanted)
  const of = (severity: Finding["severity"]) => found.filter((finding) => finding.severity === severity)
  return [...of("critical"), ...of("warning")]
}

/** What there is to say of a log that is well. */
export const wellText = ({ report, source }: Stats): string => {
  if (source === "directory") {
    const { coldSegments, diskFreeBytes, hotSegments } = report
    return `nobody records; ${hotSegments} hot, ${coldSegments} cold segments; ${formatBytes(diskFreeBytes)} free`
  }
  const { positions, telemetry: { gauges } } = report
  const { coldSegments, diskFreeBytes, durableLagMillis, hotSegments, maxColdSegments, maxHotSegments } = gauges
  const lag = durableLagMillis === 0 ? "everything is durable" : `durable, ${duration(durableLagMillis)} behind`
  return `${lag}, up to event ${positions.durable}; hot ${hotSegments} of ${maxHotSegments}, ` +
    `cold ${coldSegments}${maxColdSegments === 0 ? "" : ` of ${maxColdSegments}`}; ${formatBytes(diskFreeBytes)} free`
}

const findingsOfRecorder = (report: MonitorReport, wanted: Wanted): ReadonlyArray<Finding> => {
  const { arena, maintainer, telemetry: { counters, gauges } } = report
  const { archive, damagedSegments, durableHolds, failures, holds, isDown } = maintainer
  const found: Array<Finding> = []
  const add = (severity: Finding["severity"], isSo: boolean, text: () => string): void => {
    if (isSo) found.push({ severity, text: text() })
  }
  const { durableLagMillis, freeOldestPendingMillis, freezeOldestPendingMillis, persistOldestPendingMillis } = gauges
  add("critical", isDown, () => "the maintainer is down; start the recorder again")
  add(
    "critical",
    durableLagMillis > Duration.toMillis(wanted.maxLag),
    () => `events have not been durable for ${duration(durableLagMillis)}`
  )
  add(
    "critical",
    persistOldestPendingMillis > persistMillisMax,
    () => `a full segment has waited ${duration(persistOldestPendingMillis)} for the disk`
  )
  add("critical", gauges.diskFreeBytes < wanted.freeBytesMin, () => freeText(gauges.diskFreeBytes, wanted))
  add("critical", damagedSegments.length > 0, () => `damaged segments: ${damagedSegments.join(", ")}`)
  add("critical", (archive?.freedUnarchived ?? 0) > 0, () => archive === null ? "" : archiveText(archive))
  add("critical", counters.eventsDropped > 0, () => `${counters.eventsDropped} events were dropped since the start`)
  add("warning", arena.heldBack !== "None", () => `held back: ${heldBackText(arena)}`)
  add("warning", failures > 0, () => `${failures} steps of the maintainer failed for good`)
  add(
    "warning",
    freezeOldestPendingMillis > behindMillisMax,
    () => `compression is ${duration(freezeOldestPendingMillis)} behind`
  )
  add(
    "warning",
    freeOldestPendingMillis > behindMillisMax,
    () => `deletion is ${duration(freeOldestPendingMillis)} behind`
  )
  add(
    "warning",
    (archive?.behindMillis ?? 0) > archiveMillisMax || (archive?.problem ?? null) !== null,
    () => archive === null ? "" : `archive: ${archiveText(archive)}`
  )
  for (const { isExceeded, name } of holds) {
    add("warning", isExceeded, () => `the reader ${name} lost what it was to read (heldBytesMax)`)
  }
  for (const hold of durableHolds) {
    const text = () => `the consumer ${hold.name} ${consumerText(hold)}`
    if (hold.isExceeded) add("critical", true, text)
    else add("warning", isConsumer(hold.name) && hold.behindMillis > consumerMillisMax, text)
  }
  return found
}

const findingsOfDirectory = (report: DirectoryReport, wanted: Wanted): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  if (report.heldBy !== null) {
    found.push({ severity: "critical", text: `${report.heldBy} records, and does not answer` })
  } else if (wanted.isRecorderWanted) found.push({ severity: "critical", text: "nobody records" })
  if (report.diskFreeBytes < wanted.freeBytesMin) {
    found.push({ severity: "critical", text: freeText(report.diskFreeBytes, wanted) })
  }
  return found
}

const freeText = (freeBytes: number, { freeBytesMin }: Wanted): string =>
  `the disk has ${formatBytes(freeBytes)} of room, less than ${formatBytes(freeBytesMin)}`

const duration = (millis: number): string => formatNanos(millis * 1e6)
