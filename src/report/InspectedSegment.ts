/**
 * What a segment looks like by its header. The content is not checked. Only a segment that is still open is read to its
 * end, because its header has no counts yet.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { readStart, verifySegment } from "../reading/segment/SegmentReader.ts"
import { claimedRatio } from "./ColdRatio.ts"

/** A segment as it is inspected. Ids are 0 while there are no events. */
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

/** Formats a time of a header as ISO 8601, UTC; empty when the header has none. */
const timeOf = (nanos: bigint): string => nanos === 0n ? "" : new Date(Number(nanos / 1_000_000n)).toISOString()

/**
 * Describes one file. Fails with `NotFound` if the file is gone; then the reader tries the segment's other form.
 * `left`: an open segment is not read to its end, and has no count and no last id.
 */
export const inspectFile = Effect.fnUntraced(function*(file: SegmentFile, open: "read" | "left" = "read") {
  const { bytes } = yield* Disk.use((disk) => disk.stat(file.path))
  const described = describe(file, bytes, open)
  return yield* Effect.catchTag(
    described,
    "SegmentCorrupt",
    (error) => Effect.succeed(damaged(file, bytes, error.message))
  )
})

const describe = Effect.fnUntraced(function*(file: SegmentFile, bytes: number, open: "read" | "left") {
  const { claimedBytes, firstEventId: firstInBlock = 0, header } = yield* readStart(file)
  const isOpen = header.closedNanos === 0n
  const { eventCount, firstEventId, lastEventId } = !isOpen
    ? header
    : open === "read"
    ? yield* verifySegment(file)
    : { eventCount: 0, firstEventId: firstInBlock, lastEventId: 0 }
  const segment: InspectedSegment = {
    segmentIndex: file.segmentIndex,
    path: file.path,
    state: file.form === "cold" ? "cold" : isOpen ? "open" : "hot",
    events: eventCount,
    firstEventId,
    lastEventId,
    bytes,
    ratio: file.form === "hot" ? 1 : claimedRatio(claimedBytes, bytes),
    created: timeOf(header.createdNanos),
    closed: timeOf(header.closedNanos),
    detail: ""
  }
  return segment
})

/** What is shown of a segment that is damaged. */
export const damaged = ({ path, segmentIndex }: SegmentFile, bytes: number, detail: string): InspectedSegment => ({
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
