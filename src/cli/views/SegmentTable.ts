/** Formats the segments of a directory as a table. */
import { plainText } from "../../internal/plainText.ts"
import type { InspectedSegment } from "../../report/InspectedSegment.ts"
import { formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { count, formatTable } from "./Columns.ts"
import type { Column } from "./Columns.ts"

const columns: ReadonlyArray<Column> = [
  { name: "index", align: "right" },
  { name: "state", align: "left" },
  { name: "events", align: "right" },
  { name: "first", align: "right" },
  { name: "last", align: "right" },
  { name: "size", align: "right" },
  { name: "ratio", align: "right" },
  { name: "closed", align: "right" },
  { name: "", align: "left" }
]

const legend = "open: being filled   hot: as it was written   cold: compressed; ratio: to its size before"

/**
 * Formats the segments as a table for people: a row each, their sum, and what the words mean. `holders` are the readers
 * that hold segments from an index on.
 */
export const table = (
  segments: ReadonlyArray<InspectedSegment>,
  nowMillis: number,
  holders: ReadonlyArray<{ readonly name: string; readonly fromSegmentIndex: number }> = []
): ReadonlyArray<string> => {
  if (segments.length === 0) return ["no segments"]
  const rows = segments.map((segment) => {
    const heldBy = holders.filter(({ fromSegmentIndex }) => fromSegmentIndex <= segment.segmentIndex)
    return [
      String(segment.segmentIndex),
      segment.state === "damaged" ? "DAMAGED" : segment.state,
      count(segment.events),
      segment.events === 0 ? "-" : count(segment.firstEventId),
      segment.events === 0 ? "-" : count(segment.lastEventId),
      formatBytes(segment.bytes),
      segment.ratio === 0 ? "-" : segment.ratio.toFixed(2),
      segment.closed === "" ? "-" : ageText(nowMillis - Date.parse(segment.closed)),
      heldBy.length === 0 ? "" : `held by ${heldBy.map(({ name }) => plainText(name)).join(", ")}`
    ]
  })
  return [...formatTable(columns, rows), "", sumText(segments), legend]
}

const sumText = (segments: ReadonlyArray<InspectedSegment>): string => {
  const sum = (value: (segment: InspectedSegment) => number) =>
    segments.reduce((total, segment) => total + value(segment), 0)
  const bytes = sum(({ bytes }) => bytes)
  const told = segments.filter(({ ratio }) => ratio > 0)
  const content = told.reduce((total, { bytes, ratio }) => total + bytes * ratio, 0)
  const toldBytes = told.reduce((total, { bytes }) => total + bytes, 0)
  return `${segments.length === 1 ? "1 segment" : `${count(segments.length)} segments`}, ${
    count(sum(({ events }) => events))
  } events, ${formatBytes(bytes)}` +
    (toldBytes === 0 ? "" : `, ratio ${(content / toldBytes).toFixed(2)}`)
}

/** How long ago something was; a clock that was set back makes it less than nothing. */
const ageText = (millis: number): string => millis < 0 ? "later" : `${formatNanos(millis * 1e6)} ago`
