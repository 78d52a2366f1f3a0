/** Says in words how far the archive and the consumers are, and what holds events back. */
import { plainText } from "../internal/plainText.ts"
import type { MonitorReport } from "../recorder/monitor/MonitorReport.ts"
import { formatBytes, formatNanos } from "../telemetry/TelemetryDump.ts"
import { count } from "./count.ts"

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
