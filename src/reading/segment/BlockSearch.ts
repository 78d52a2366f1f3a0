/**
 * Finds the places in a segment where one of its blocks can start. Recorded bytes may look like a block (an application
 * records a copy of this very file), so a place that is found is a candidate: only the blocks that follow it can prove
 * it.
 */
import { readBlockHeader } from "../../format/Block.ts"
import type { BlockHeader } from "../../format/Block.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { idsInEvents } from "../../format/SegmentLayout.ts"
import type { SegmentPoint } from "../../format/SegmentVerifier.ts"

/** How many candidates that turn out to be no blocks are tried in one search; a hostile file could contain millions. */
export const refutedMax = 256

/** What is known of the blocks that are searched for. */
interface BlockBounds {
  readonly header: SegmentHeader
  readonly blockIndexMin: number
  readonly firstEventIdMin: number
}

/** All blocks of a segment. */
export const blocksOf = (header: SegmentHeader): BlockBounds => ({
  header,
  blockIndexMin: 0,
  firstEventIdMin: header.firstEventId
})

/** The blocks of a segment from this point on. */
export const blocksFrom = (header: SegmentHeader, point: SegmentPoint): BlockBounds => ({
  header,
  blockIndexMin: point.blockIndex,
  firstEventIdMin: point.lastEventId + 1
})

/** Reads the header of a block within these bounds that starts at `at`; `undefined` when none does. */
export const blockAt = (bounds: BlockBounds, bytes: Uint8Array, at: number): BlockHeader | undefined => {
  const { blockIndexMin, firstEventIdMin, header } = bounds
  const block = readBlockHeader(header.version, bytes, at)
  if (block === undefined) return undefined
  const { blockIndex, eventCount, firstEventId, lastEventId, payloadBytes } = block
  const isWithin = blockIndex >= blockIndexMin && firstEventId >= firstEventIdMin && lastEventId >= firstEventId &&
    payloadBytes > 0 && payloadBytes <= header.blockBytesMax
  if (!isWithin) return undefined
  const isBeyondEnd = blockIndex >= header.blockCount || lastEventId > header.lastEventId
  if (header.closedNanos !== 0n && isBeyondEnd) return undefined
  if (!idsInEvents(header.version) && lastEventId - firstEventId + 1 !== eventCount) return undefined
  return block
}
