/**
 * Turns events that lie in memory into blocks that lie in a file. Sealing happens when bytes are written, never on the
 * append path. Each call seals the given payload completely, for one flush, and a sealed block is never sealed again.
 * So a torn write can only touch events that were not yet promised to a caller.
 *
 * A flush has as few blocks as the format allows, when no batch is split: the events of a batch lie in one block, so
 * after a crash they are all there, or none. One more exception: in format 1, whose blocks do not tell their flush, the
 * last block of a flush is never full, so a reader knows that a flush ended there. When whole blocks would be left, the
 * last of them becomes two.
 *
 * Payload, as the writer leaves it in memory: events of a fixed size stand back to back; events of variable length are
 * u32 length + bytes each.
 */
import { invariant } from "../internal/invariant.ts"
import { xxh64 } from "../internal/xxh64.ts"
import { blockBytesInFile, blockEventsMax, blockHeaderBytes, encodeBlockHeader } from "./Block.ts"
import type { FormatVersion } from "./SegmentHeader.ts"
import { headerBytesOf } from "./SegmentHeader.ts"
import { blocksTellFlush, format1Layout } from "./SegmentLayout.ts"
import type { SegmentLayout } from "./SegmentLayout.ts"

/** How far a segment is sealed. The state after a durable write is all that is needed to continue. */
export interface SealState {
  /** Payload bytes that are in sealed blocks. */
  readonly sealedBytes: number
  /** Where the next block begins in the file. */
  readonly fileOffset: number
  readonly blockCount: number
  readonly eventCount: number
  readonly chainedChecksum: bigint
  /** When the last block was flushed; 0 when there is none. */
  readonly flushNanos: bigint
}

/** The state of a segment without blocks, its chain starting from `chainStart`. */
export const sealStart = (version: FormatVersion, chainStart: bigint): SealState => ({
  sealedBytes: 0,
  fileOffset: headerBytesOf(version),
  blockCount: 0,
  eventCount: 0,
  chainedChecksum: chainStart,
  flushNanos: 0n
})

/**
 * The blocks of one flush: parts of chunks to write one after the other at the old state's `fileOffset`, and the state
 * that is valid once they are durable. Payload chunks are views, not copies.
 *
 * Where a file is read by its name, each part must be durable before the next one is written. In format 1 a block that
 * is not full begins a part: a reader that finds it takes everything before it for durable. In format 2 a flush is one
 * part.
 */
export interface SealedBlocks {
  readonly parts: ReadonlyArray<ReadonlyArray<Uint8Array>>
  readonly state: SealState
}

const zeros = new Uint8Array(format1Layout.blockBytesMax)

/**
 * Seals `payload`, the events that follow what `state` has sealed. `firstEventId` is the id of the segment's first
 * event, `flushNanos` the time of the flush. `continuesBatch` tells whether the event at an offset of the payload must
 * lie in one block with the one before it.
 */
export const seal = (
  layout: SegmentLayout,
  firstEventId: number,
  state: SealState,
  payload: Uint8Array,
  flushNanos: bigint,
  continuesBatch: ((offset: number) => boolean) | undefined
): SealedBlocks => {
  let part: Array<Uint8Array> = []
  const parts = [part]
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  let { blockCount, chainedChecksum, eventCount, fileOffset } = state
  let start = 0
  while (start < payload.length) {
    const cut = nextCut(layout, view, start, continuesBatch)
    const body = payload.subarray(start, cut.end)
    const header = new Uint8Array(blockHeaderBytes)
    chainedChecksum = xxh64(body, chainedChecksum)
    encodeBlockHeader(layout.version, {
      firstEventId: firstEventId + eventCount,
      lastEventId: firstEventId + eventCount + cut.events - 1,
      blockChecksum: xxh64(body),
      chainedChecksum,
      blockIndex: blockCount,
      eventCount: cut.events,
      payloadBytes: body.length,
      flushFirstBlock: state.blockCount,
      flushNanos
    }, header)
    const inFile = blockBytesInFile(layout.version, body.length)
    const padding = inFile - blockHeaderBytes - body.length
    if (!blocksTellFlush(layout.version) && cut.events < blockEventsMax(layout.version) && part.length > 0) {
      part = []
      parts.push(part)
    }
    part.push(header, body)
    if (padding > 0) part.push(zeros.subarray(0, padding))
    blockCount += 1
    eventCount += cut.events
    fileOffset += inFile
    start = cut.end
  }
  return {
    parts,
    state: {
      sealedBytes: state.sealedBytes + payload.length,
      fileOffset,
      blockCount,
      eventCount,
      chainedChecksum,
      flushNanos: payload.length === 0 ? state.flushNanos : flushNanos
    }
  }
}

interface Cut {
  readonly end: number
  readonly events: number
}

/** Where the block that begins at `start` ends: as many whole events as fit, and no part of a batch. */
const nextCut = (
  layout: SegmentLayout,
  view: DataView,
  start: number,
  continuesBatch: ((offset: number) => boolean) | undefined
): Cut => {
  const eventsMax = blockEventsMax(layout.version)
  const end = Math.min(view.byteLength, start + layout.blockBytesMax)
  if (layout.eventSize > 0) {
    const fitting = Math.min(eventsMax, Math.floor((end - start) / layout.eventSize))
    invariant(fitting > 0, "a payload of fixed-size events holds whole events")
    const isFullAndLast = fitting === eventsMax && start + fitting * layout.eventSize === view.byteLength
    let events = isFullAndLast && !blocksTellFlush(layout.version) ? fitting - 1 : fitting
    const mayEnd = (at: number): boolean => at === view.byteLength || continuesBatch?.(at) !== true
    while (events > 0 && !mayEnd(start + events * layout.eventSize)) events -= 1
    invariant(events > 0, "every batch of a payload fits in a block")
    return { end: start + events * layout.eventSize, events }
  }
  let position = start
  let events = 0
  // The last place where the block may end.
  let cut: Cut = { end: start, events: 0 }
  while (events < eventsMax && position + 4 <= end) {
    const next = position + 4 + view.getUint32(position, true)
    if (next > end) break
    position = next
    events += 1
    if (continuesBatch !== undefined && (position === view.byteLength || !continuesBatch(position))) {
      cut = { end: position, events }
    }
  }
  if (continuesBatch === undefined) cut = { end: position, events }
  invariant(cut.events > 0, "every event and every batch of a payload fits in a block")
  return cut
}
