/** Formats the segments of a directory as a table, and describes its rows. */
import * as Effect from "effect/Effect"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { frameHeaderBytesMax, Lz4FrameError, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { plainText } from "../../internal/plainText.ts"
import { formatBytes, formatNanos } from "../../telemetry/TelemetryDump.ts"
import { count, formatTable } from "./Columns.ts"
import type { Column } from "./Columns.ts"

/** A row of the table. Ids are 0 while there are no events. */
export interface InspectedSegment {
  readonly segmentIndex: number
  readonly path: string
  /** `damaged`: its beginning cannot be read; `detail` says why, and the numbers are 0. */
  readonly state: "open" | "hot" | "cold" | "damaged"
  readonly events: number
  readonly firstEventId: number
  readonly lastEventId: number
  /** On disk. */
  readonly bytes: number
  /** Uncompressed to compressed; 1 for a hot file, 0 for a cold file whose header has no length. */
  readonly ratio: number
  /** ISO 8601, UTC; empty when the header has no time. */
  readonly created: string
  readonly closed: string
  readonly detail: string
}

/** The ratio of the length that a cold file claims to the bytes it has; 0 if it claims none. */
export const claimedRatio = (claimedBytes: number | undefined, bytes: number): number =>
  claimedBytes === undefined ? 0 : Number((claimedBytes / bytes).toFixed(3))

/**
 * Gives the ratio uncompressed to compressed of a cold file, as its frame's header claims; `verify` checks the claim. 0
 * if the header has no length.
 */
export const ratioOf = (file: SegmentFile, bytes: number) =>
  Effect.scoped(Effect.gen(function*() {
    if (file.compression !== "frame") return 0
    const opened = yield* openScoped(file.path, "read")
    const beginning = new Uint8Array(frameHeaderBytesMax)
    const count = yield* readFully(opened, beginning, 0)
    try {
      return claimedRatio(parseFrameHeader(beginning.subarray(0, count)).contentBytes, bytes)
    } catch (error) {
      if (error instanceof Lz4FrameError) return 0
      throw error
    }
  }))

/** Formats a time of a header as ISO 8601, UTC; empty when the header has none. */
export const timeOf = (nanos: bigint): string => nanos === 0n ? "" : new Date(Number(nanos / 1_000_000n)).toISOString()

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
