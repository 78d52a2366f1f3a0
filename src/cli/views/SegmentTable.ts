/** Formats the segments of a directory as a table, and describes its rows. */
import * as Effect from "effect/Effect"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { frameHeaderBytesMax, Lz4FrameError, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"

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

const columns = ["index", "state", "events", "first", "last", "bytes", "ratio", "created", "closed"]
/** The columns of numbers, which are aligned to the right. */
const rightColumns = [0, 2, 3, 4, 5, 6]

/** Formats the segments as a table: the names of the columns, then one row per segment. */
export const table = (segments: ReadonlyArray<InspectedSegment>): ReadonlyArray<string> => {
  const rows = [
    columns,
    ...segments.map((segment) => [
      String(segment.segmentIndex),
      segment.state,
      String(segment.events),
      String(segment.firstEventId),
      String(segment.lastEventId),
      String(segment.bytes),
      segment.ratio === 0 ? "-" : segment.ratio.toFixed(2),
      segment.created === "" ? "-" : segment.created,
      segment.closed === "" ? "-" : segment.closed
    ])
  ]
  const widths = columns.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0
      return rightColumns.includes(column) ? cell.padStart(width) : cell.padEnd(width)
    }).join("  ").trimEnd()
  )
}
