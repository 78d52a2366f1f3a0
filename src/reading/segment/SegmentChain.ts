/**
 * The rule that each segment continues its predecessor: what a segment leaves to the next one (format, wal_id, chain,
 * ids), and when it may be open although another one follows.
 *
 * Where content is read, what a segment leaves is handed to the reader of the next one as expectations. Where only
 * headers are read, `faultBetween` compares them.
 */
import { firstIdFault, headerFault } from "../../format/SegmentExpectations.ts"
import type { SegmentExpectations } from "../../format/SegmentExpectations.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import { segmentFault } from "../../format/SegmentFault.ts"
import type { FormatVersion, SegmentHeader } from "../../format/SegmentHeader.ts"
import { headerBytesOf } from "../../format/SegmentHeader.ts"
import { chainsSegments, mayStayOpen } from "../../format/SegmentLayout.ts"
import type { SegmentSummary } from "../../format/SegmentVerifier.ts"

/** What is known of how a segment ended. */
export interface SegmentEnd {
  /** `undefined` when nothing is known. */
  readonly version: FormatVersion | undefined
  /** What the next segment must continue from. */
  readonly expectations: SegmentExpectations
}

/**
 * What the next segment must continue from. In format 1 every segment starts a chain of its own and belongs to any log.
 */
export const expectationsAfter = (
  header: SegmentHeader,
  chainedChecksum: bigint,
  previousEventId: number | undefined
): SegmentExpectations => ({
  ...(previousEventId === undefined ? {} : { previousEventId }),
  ...(chainsSegments(header.version) ? { walId: header.walId, previousChainedChecksum: chainedChecksum } : {})
})

/** How a segment ended, by its header alone: an open one tells only which log it belongs to. */
export const endOf = (header: SegmentHeader): SegmentEnd => {
  const lastEventId = header.lastEventId === 0 ? undefined : header.lastEventId
  const expectations = expectationsAfter(header, header.lastChainedChecksum, lastEventId)
  return { version: header.version, expectations: header.closedNanos === 0n ? sameLog(expectations) : expectations }
}

/** What a segment must meet when segments or events before it are missing: it belongs to the same log. */
export const sameLog = ({ walId }: SegmentExpectations): SegmentExpectations => walId === undefined ? {} : { walId }

/**
 * Why the segment with this header does not continue the one that ended as `before`; `undefined` when it does.
 * `firstEventId` is its first event, `undefined` where ids need not continue or are not known.
 */
export const faultBetween = (
  before: SegmentEnd,
  header: SegmentHeader,
  firstEventId: number | undefined
): SegmentFault | undefined => {
  const { expectations, version } = before
  if (version !== undefined && header.version !== version) {
    return segmentFault("BadHeader", 2, `format ${version} as before`, `format ${header.version}`)
  }
  const fault = headerFault(expectations, header)
  const { previousEventId } = expectations
  if (fault !== undefined || firstEventId === undefined || previousEventId === undefined) return fault
  return firstIdFault(header.version, previousEventId, firstEventId, headerBytesOf(header.version))
}

/**
 * The first event of a segment, by its header alone; of one that was closed without events, the id that comes next.
 * `undefined` when it is open or names none.
 */
export const firstIdOf = (header: SegmentHeader): number | undefined =>
  header.closedNanos === 0n || header.firstEventId === 0 ? undefined : header.firstEventId

/**
 * The fault of an open segment that another one with events follows, as far as this segment tells it alone. In format 2
 * it must have been closed; in format 1 it must be whole.
 */
export const faultOfFollowed = ({ header, torn }: Pick<SegmentSummary, "header" | "torn">): SegmentFault | undefined =>
  mayStayOpen(header.version)
    ? torn
    : segmentFault("BadHeader", 40, "a closed segment, because another one follows", "an open one")

/**
 * The fault of an open segment, whose blocks end at `validBytes`, when the next one does not continue with the next id.
 * When nothing is known of its last id, there is none.
 */
export const faultOfUnclosed = (
  validBytes: number,
  lastEventId: number | undefined,
  nextEventId: number
): SegmentFault | undefined => {
  if (lastEventId === undefined || nextEventId === lastEventId + 1) return undefined
  const expected = `events up to id ${nextEventId - 1}, because the next segment starts after it`
  return segmentFault("Truncated", validBytes, expected, `last id ${lastEventId}`)
}
