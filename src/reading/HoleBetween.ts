/**
 * The one rule by which an acknowledged hole is believed. Where a segment does not continue the one before it, or
 * segments between the two are missing, the hole that explains it must name exactly the missing segments and begin with
 * the event after the last one. What follows must then be of the same log and begin with the event after the hole.
 * Whatever does not fit is a fault, as if nothing had been acknowledged.
 */
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import type { SegmentExpectations } from "../format/SegmentExpectations.ts"
import { sameLog } from "./segment/SegmentChain.ts"
import type { SegmentCorrupt } from "./segment/SegmentCorrupt.ts"

/** How the log goes before the hole. */
interface LogBefore {
  readonly segmentIndex: number
  /** `undefined` when that segment is damaged, so that it does not tell. */
  readonly lastEventId: number | undefined
}

/** The hole that lies between a segment and the next one that is there; `undefined` when none was acknowledged. */
export const holeBetween = (
  holes: ReadonlyArray<AcknowledgedHole>,
  before: LogBefore,
  nextIndex: number
): AcknowledgedHole | undefined =>
  holes.find((hole) => hole.lastSegmentIndex === nextIndex - 1 && beginsAfter(hole, before))

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
export const isOfOrder = ({ reason }: SegmentCorrupt): boolean => reason === "BrokenChain" || reason === "BadOrder"
