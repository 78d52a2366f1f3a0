/**
 * `effect-wal inspect`: one row a segment, from headers; the content is not checked (`verify` does that). Only a segment
 * that is still open is read whole, because its header does not count yet.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { Disk, openScoped, readFully } from "../../disk/Disk.ts"
import { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { frameHeaderBytesMax, Lz4FrameError, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { makeDirectoryReader } from "../../reading/DirectoryReader.ts"
import { readStart, verifySegment } from "../../reading/segment/SegmentReader.ts"
import { directoryFlag, jsonFlag } from "../flags/flags.ts"
import { foreignNames, requireDirectory } from "../flags/requireDirectory.ts"
import { withSegmentProgress } from "../terminal/Progress.ts"
import { writeJson, writeLines } from "../terminal/StandardStreams.ts"

/**
 * A row. Ids are 0 while there are no events.
 *
 * @since 0.1.0
 * @category models
 */
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
  /** Uncompressed to compressed; 1 when hot, 0 when a cold file does not tell. */
  readonly ratio: number
  /** ISO 8601, UTC; empty when there is none. */
  readonly created: string
  readonly closed: string
  readonly detail: string
}

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const inspect = Command.make(
  "inspect",
  { dir: directoryFlag, json: jsonFlag },
  Effect.fnUntraced(function*({ dir, json }) {
    yield* requireDirectory(dir)
    const directory = new SegmentDirectory(dir)
    const reader = yield* makeDirectoryReader(directory)
    const listing = yield* directory.scan
    const segments: Array<InspectedSegment> = []
    const inspecting = Effect.gen(function*() {
      for (const { segmentIndex } of reader.segments()) {
        const segment = yield* reader.use(segmentIndex, inspectFile)
        // Undefined when retention has deleted it meanwhile.
        if (segment !== undefined) segments.push(segment)
      }
    })
    yield* withSegmentProgress(inspecting, { label: "inspecting", directory: dir, isWanted: !json })
    const foreign = foreignNames(listing.foreign)
    const { unsafe } = listing
    if (json) return yield* writeJson({ directory: dir, segments, foreign, unsafe })
    yield* writeLines([
      ...table(segments),
      ...segments.filter(({ detail }) => detail !== "").map(({ detail }) => `note: ${detail}`),
      ...unsafe.map((name) => `note: ${name} has the name of a segment and is no regular file; it is left alone`),
      ...foreign.map((name) => `note: ${name} is no segment; it is left alone`)
    ])
  })
).pipe(
  Command.withDescription("List the segments: state, events, ids, bytes, ratio, times"),
  Command.withExamples([{ command: "effect-wal inspect --dir ./log", description: "One row a segment" }])
)

/** A file that is gone fails with `NotFound`, and the reader looks for the segment's other form. */
const inspectFile = Effect.fnUntraced(function*(file: SegmentFile) {
  const { bytes } = yield* Disk.use((disk) => disk.stat(file.path))
  const described = describe(file, bytes)
  return yield* Effect.catchTag(
    described,
    "SegmentCorrupt",
    (error) => Effect.succeed(damaged(file, bytes, error.message))
  )
})

const describe = Effect.fnUntraced(function*(file: SegmentFile, bytes: number) {
  const { header } = yield* readStart(file)
  const isOpen = header.closedNanos === 0n
  const { eventCount, firstEventId, lastEventId } = isOpen ? yield* verifySegment(file) : header
  const segment: InspectedSegment = {
    segmentIndex: file.segmentIndex,
    path: file.path,
    state: file.form === "cold" ? "cold" : isOpen ? "open" : "hot",
    events: eventCount,
    firstEventId,
    lastEventId,
    bytes,
    ratio: file.form === "hot" ? 1 : yield* ratioOf(file, bytes),
    created: timeOf(header.createdNanos),
    closed: timeOf(header.closedNanos),
    detail: ""
  }
  return segment
})

const damaged = ({ path, segmentIndex }: SegmentFile, bytes: number, detail: string): InspectedSegment => ({
  segmentIndex,
  path,
  state: "damaged",
  events: 0,
  firstEventId: 0,
  lastEventId: 0,
  bytes,
  ratio: 0,
  created: "",
  closed: "",
  detail
})

/**
 * Uncompressed to compressed of a cold file, as its frame's header claims; `verify` finds out whether it is true. 0 when
 * the file does not tell.
 *
 * @since 0.1.0
 * @category reading
 */
export const ratioOf = (file: SegmentFile, bytes: number) =>
  Effect.scoped(Effect.gen(function*() {
    if (file.compression !== "frame") return 0
    const opened = yield* openScoped(file.path, "read")
    const beginning = new Uint8Array(frameHeaderBytesMax)
    const count = yield* readFully(opened, beginning, 0)
    try {
      const { contentBytes } = parseFrameHeader(beginning.subarray(0, count))
      return contentBytes === undefined ? 0 : Number((contentBytes / bytes).toFixed(3))
    } catch (error) {
      if (error instanceof Lz4FrameError) return 0
      throw error
    }
  }))

const timeOf = (nanos: bigint): string => nanos === 0n ? "" : new Date(Number(nanos / 1_000_000n)).toISOString()

const columns = ["index", "state", "events", "first", "last", "bytes", "ratio", "created", "closed"]
/** Numbers stand to the right. */
const rightColumns = [0, 2, 3, 4, 5, 6]

const table = (segments: ReadonlyArray<InspectedSegment>): ReadonlyArray<string> => {
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
