/**
 * What the neighbours of a segment demand of it, and how a segment can fail to meet that.
 */
import type { SegmentFault } from "./SegmentFault.ts"
import { segmentFault } from "./SegmentFault.ts"
import type { FormatVersion, SegmentHeader } from "./SegmentHeader.ts"
import { hex } from "./SegmentHeader.ts"
import { chainsSegments, idsInEvents } from "./SegmentLayout.ts"

/** What the neighbours of a segment demand of it. What is not given is not checked. */
export interface SegmentExpectations {
  readonly segmentIndex?: number
  readonly walId?: Uint8Array
  readonly previousChainedChecksum?: bigint
  /** The ids of format 2 must continue with the next one; those of format 1 must be above it. */
  readonly previousEventId?: number
}

/**
 * Why a segment with this header does not belong where it is expected; `undefined` when it does. Event ids are not
 * looked at.
 */
export const headerFault = (expected: SegmentExpectations, header: SegmentHeader): SegmentFault | undefined => {
  const { previousChainedChecksum, segmentIndex, walId } = expected
  if (segmentIndex !== undefined && header.segmentIndex !== segmentIndex) {
    return segmentFault("BadOrder", 4, `segment index ${segmentIndex}`, String(header.segmentIndex))
  }
  if (!chainsSegments(header.version)) return undefined
  if (walId !== undefined && Buffer.compare(walId, header.walId) !== 0) {
    return segmentFault("BrokenChain", 64, `wal_id ${hexBytes(walId)}`, hexBytes(header.walId))
  }
  if (previousChainedChecksum !== undefined && header.previousChainedChecksum !== previousChainedChecksum) {
    return segmentFault("BrokenChain", 80, hex(previousChainedChecksum), hex(header.previousChainedChecksum))
  }
  return undefined
}

/**
 * Why a block at `offset` whose first event is `firstEventId` does not continue after event `previousEventId`;
 * `undefined` when it does.
 */
export const firstIdFault = (
  version: FormatVersion,
  previousEventId: number,
  firstEventId: number,
  offset: number
): SegmentFault | undefined => {
  const continues = idsInEvents(version) ? firstEventId > previousEventId : firstEventId === previousEventId + 1
  if (continues) return undefined
  return segmentFault("BadOrder", offset, `first event id ${previousEventId + 1}`, String(firstEventId))
}

const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
