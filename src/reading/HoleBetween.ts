/**
 * The one rule by which an acknowledged hole is believed. Where a segment does not continue the one before it, or
 * segments between the two are missing, the hole that explains it must name the missing segments and begin with the
 * event after the last one. What follows must then be of the same log and begin with the event after the hole. Whatever
 * does not fit is a fault, as if nothing had been acknowledged.
 *
 * A hole may name segments that are still in place beside the missing ones: they were about to be moved away when the
 * process died. They are read as what they are, so the hole begins after them or ends before them.
 */
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import type { SegmentExpectations } from "../format/SegmentExpectations.ts"
import { sameLog } from "./segment/SegmentChain.ts"
import type { SegmentCorrupt } from "./segment/SegmentCorrupt.ts"

/** How the log goes before the hole. */
interface LogBefore {
  readonly segmentIndex: number
  /** `undefined` when that segment is damaged, so that it does not tell, or was not read. */
  readonly lastEventId: number | undefined
}

/** The next segment that is there. */
interface LogAfter {
  readonly segmentIndex: number
  /** `undefined` when the segment is damaged, so that it does not tell. */
  readonly firstEventId: number | undefined
}

/** The hole that lies between a segment and the next one that is there; `undefined` when none was acknowledged. */
export const holeBetween = (
  holes: ReadonlyArray<AcknowledgedHole>,
  before: LogBefore,
  after: LogAfter
): AcknowledgedHole | undefined => {
  const hole = holes.find((hole) =>
    hole.firstSegmentIndex < after.segmentIndex && after.segmentIndex <= hole.lastSegmentIndex + 1 &&
    (beginsAfter(hole, before) || beginsInside(hole, before, after))
  )
  if (hole === undefined) return undefined
  const begin = !beginsAfter(hole, before) && before.lastEventId !== undefined
    ? { firstSegmentIndex: before.segmentIndex + 1, firstEventId: before.lastEventId + 1 }
    : {}
  if (hole.lastSegmentIndex < after.segmentIndex) return { ...hole, ...begin }
  const { firstEventId = hole.firstEventId } = after
  if (firstEventId < hole.firstEventId || hole.lastEventId < firstEventId) return undefined
  return { ...hole, ...begin, lastSegmentIndex: after.segmentIndex - 1, lastEventId: firstEventId - 1 }
}

/**
 * Whether missing segments lie inside a hole that begins before them: the segment before them is still in place, or a
 * reader begins after it and knows nothing of it.
 */
const beginsInside = (hole: AcknowledgedHole, { lastEventId, segmentIndex }: LogBefore, after: LogAfter): boolean =>
  segmentIndex + 1 < after.segmentIndex && hole.firstSegmentIndex <= segmentIndex &&
  segmentIndex < hole.lastSegmentIndex &&
  (lastEventId === undefined || hole.firstEventId <= lastEventId && lastEventId <= hole.lastEventId)

/** The hole with which a log ends: nothing has been begun after it. `undefined` when none was acknowledged. */
export const holeAtEnd = (holes: ReadonlyArray<AcknowledgedHole>, before: LogBefore): AcknowledgedHole | undefined =>
  holes.find((hole) => hole.lastSegmentIndex >= before.segmentIndex && beginsAfter(hole, before))

/** Whether a hole begins where the log ends before it. Of its first segment, whole blocks may be in place. */
export const beginsAfter = (hole: AcknowledgedHole, { lastEventId, segmentIndex }: LogBefore): boolean =>
  (hole.firstSegmentIndex === segmentIndex || hole.firstSegmentIndex === segmentIndex + 1) &&
  (lastEventId === undefined || lastEventId + 1 === hole.firstEventId)

/** What the segment after a hole must continue from. */
export const expectationsAfterHole = (
  hole: AcknowledgedHole,
  before: SegmentExpectations
): SegmentExpectations => ({ ...sameLog(before), previousEventId: hole.lastEventId })

/** Whether a segment may be intact by itself, and only not continue its predecessor. */
export const isOfOrder = ({ reason }: SegmentCorrupt): boolean =>
  reason._tag === "BrokenChain" || reason._tag === "BadOrder"
