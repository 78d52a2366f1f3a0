/**
 * Continues the newest segment of a log instead of beginning another one, so that starts do not use up the log: what is
 * kept depends on what was recorded, not on how often it was started.
 *
 * Recovery leaves the newest segment closed and durable. When that is short, its events become the beginning of slot 0,
 * with a seal record that tells how far its file goes. Nothing on the disk changes before something is recorded. What
 * the first flush does is described in `SegmentFlusher`.
 *
 * A segment that cannot be continued stays closed, and another one is begun after it:
 *
 * - It is more than half full. To copy it would cost more than another file does.
 * - It is compressed, or its compression was begun.
 * - Events after it are lost, or it has none, or its ids have gaps (as another writer of format 1 may leave them).
 * - It was made with other sizes of events or blocks.
 * - Its oldest event is due, because segments are limited in age.
 * - The file system has less room than a full segment takes. Then it is better not to copy anything.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Disk } from "../disk/Disk.ts"
import type { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import { fileBytesOf, isShort, keepsFileLength, usedBytesOf } from "../format/SegmentLayout.ts"
import type { SealState } from "../format/SegmentSealer.ts"
import type { Reconciled } from "../maintainer/directory/Reconcile.ts"
import { limitAfter } from "../maintainer/persist/Format1Room.ts"
import type { Recovered } from "../reading/recovery/Recovery.ts"
import { rotatingMemory } from "../reading/segment/BlockMemory.ts"
import { forReplay, readHeader, readSegment } from "../reading/segment/SegmentReader.ts"
import * as Arena from "../shared/Arena.ts"
import type { ContinuedSegment } from "./SegmentWriter.ts"

/** The slot that is filled first. */
const slot = 0

/** The log of which the newest segment may be continued. */
interface Log {
  readonly directory: SegmentDirectory
  /** What the maintainer has found at the start. */
  readonly reconciled: Pick<Reconciled, "entries" | "unfinished">
  readonly ageMax: Duration.Duration | undefined
}

/**
 * Loads the newest segment into the first slot; `undefined` when it is not to be continued. To be run before that slot
 * is activated.
 */
export const load = Effect.fnUntraced(function*(
  arena: Arena.Arena,
  { origin, report }: Recovered,
  { ageMax = Duration.infinity, directory, reconciled }: Log
) {
  const { layout: { version }, slotBytes } = arena
  const segmentIndex = report.lastSegmentIndex
  const isEndOfLog = origin.lastSegmentIndex === segmentIndex && origin.lastEventId === report.lastEventId
  const { entries, unfinished } = reconciled
  const isHot = entries.some((entry) => entry.segmentIndex === segmentIndex && entry.state === "open")
  if (!isEndOfLog || !isHot || unfinished.includes(segmentIndex)) return undefined
  const disk = yield* Disk
  const path = directory.hotPath(segmentIndex)
  const header = yield* readHeader(path)
  if (
    header === undefined || !isOfThisLayout(arena, header) || (yield* ageMillis(header)) >= Duration.toMillis(ageMax)
  ) {
    return undefined
  }
  const { bytes } = yield* disk.stat(path)
  const fileBytes = fileBytesOf(version, slotBytes)
  const usedBytes = usedBytesOf(version, slotBytes, { ...header, contentBytes: bytes })
  if (!isShort(version, slotBytes, usedBytes)) return undefined
  if ((yield* disk.freeBytes(directory.path)) < fileBytes) return undefined
  const data = Arena.slotData(arena, slot)
  let sealedBytes = 0
  const summary = yield* readSegment(
    { path, segmentIndex, form: "hot", compression: "frame" },
    { segmentIndex },
    ({ payload }) => {
      data.set(payload, sealedBytes)
      sealedBytes += payload.length
    },
    forReplay(rotatingMemory(1))
  )
  const { blockCount, chainedChecksum, eventCount, lastFlushNanos, validBytes: fileOffset } = summary
  const sealed: SealState = {
    sealedBytes,
    fileOffset,
    blockCount,
    eventCount,
    chainedChecksum,
    flushNanos: lastFlushNanos
  }
  const limit = keepsFileLength(version) ? Math.min(slotBytes, limitAfter(slotBytes, sealed)) : slotBytes
  const continued: ContinuedSegment = {
    firstEventId: header.firstEventId,
    createdNanos: header.createdNanos,
    begun: { sealed, chainStart: header.previousChainedChecksum, limit }
  }
  return continued
})

const isOfThisLayout = ({ layout }: Arena.Arena, header: SegmentHeader): boolean =>
  header.version === layout.version && header.eventSize === layout.eventSize &&
  header.blockBytesMax === layout.blockBytesMax && header.closedNanos !== 0n && header.eventCount > 0 &&
  header.lastEventId - header.firstEventId + 1 === header.eventCount

/** How long ago the segment was begun, by the wall clock; 0 when that is behind. */
export const ageMillis = ({ createdNanos }: Pick<SegmentHeader, "createdNanos">): Effect.Effect<number> =>
  Effect.map(Clock.currentTimeMillis, (now) => Math.max(0, now - Number(createdNanos / 1_000_000n)))
