/**
 * What a segment leaves to the one behind it: the ids, the wal_id and the chain that go on, and when it may be open although
 * another one follows.
 *
 * @since 0.1.0
 */
import type { SegmentFault } from "../../format/SegmentFault.ts"
import { segmentFault } from "../../format/SegmentFault.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { chainsSegments } from "../../format/SegmentLayout.ts"
import type { SegmentExpectations } from "../../format/SegmentVerifier.ts"

/**
 * What the next segment must go on from. In format 1 every segment begins a chain of its own and belongs to any log.
 *
 * @since 0.1.0
 * @category order
 */
export const expectationsBehind = (
  header: SegmentHeader,
  chainedChecksum: bigint,
  previousEventId: number | undefined
): SegmentExpectations => ({
  ...(previousEventId === undefined ? {} : { previousEventId }),
  ...(chainsSegments(header.version) ? { walId: header.walId, previousChainedChecksum: chainedChecksum } : {})
})

/**
 * The fault of an open segment of format 2 that another one with events follows: it must have been closed.
 *
 * @since 0.1.0
 * @category faults
 */
export const openThoughFollowed: SegmentFault = segmentFault(
  "BadHeader",
  40,
  "a closed segment, for another one follows",
  "an open one"
)

/**
 * The fault of an unclosed segment of format 1, whose blocks end at `validBytes`, when the next one does not go on with the next
 * id. When nothing is known of its last id, there is none.
 *
 * @since 0.1.0
 * @category faults
 */
export const faultOfUnclosed = (
  validBytes: number,
  lastEventId: number | undefined,
  nextEventId: number
): SegmentFault | undefined => {
  if (lastEventId === undefined || nextEventId === lastEventId + 1) return undefined
  const expected = `events up to id ${nextEventId - 1}, for the next segment begins after it`
  return segmentFault("Truncated", validBytes, expected, `last id ${lastEventId}`)
}
