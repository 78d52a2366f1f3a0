/**
 * What sets the two formats apart, as questions. No module but the two codecs (`SegmentHeader`, `Block`) looks at the
 * number of a format: it asks here for what it needs to know.
 */
import { blockAlignment, blockEventsMax, format1BlockBytes } from "./Block.ts"
import {
  blockPayloadBytesMax,
  fixedEventBytesMax,
  format1BlockEvents,
  format1EventBytes,
  lengthBytes
} from "./Limits.ts"
import { headerBytesOf } from "./SegmentHeader.ts"
import type { FormatVersion } from "./SegmentHeader.ts"

/**
 * What must be known to seal and to read the events of a segment. A segment header includes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentLayout {
  readonly version: FormatVersion
  /** Bytes of every event; 0 = variable length. */
  readonly eventSize: number
  /** Largest payload of a block, in bytes. */
  readonly blockBytesMax: number
}

/** The layout of format 1: events of 64 bytes whose first 8 are the event id, 256 to a block. */
export const format1Layout: SegmentLayout = {
  version: 1,
  eventSize: format1EventBytes,
  blockBytesMax: format1EventBytes * format1BlockEvents
}

/**
 * Why no segment with a payload of up to `segmentBytes` may have this layout, in words; `undefined` when one may: then
 * every reader accepts it, and every event that fits into a block fits into a segment.
 */
export const layoutFault = (layout: SegmentLayout, segmentBytes: number): string | undefined => {
  const { blockBytesMax, eventSize, version } = layout
  const isOfFormat1 = eventSize === format1Layout.eventSize && blockBytesMax === format1Layout.blockBytesMax
  if (version === 1 && !isOfFormat1) return "format 1 has one layout"
  if (!isBetween(blockBytesMax, 1, blockPayloadBytesMax)) {
    return `blockBytesMax is ${blockBytesMax}, expected 1 to ${blockPayloadBytesMax}`
  }
  if (!isBetween(eventSize, 0, fixedEventBytesMax)) {
    return `eventSize is ${eventSize}, expected 0 to ${fixedEventBytesMax}`
  }
  const [smallest, largest] = eventSize === 0 ? [lengthBytes, blockBytesMax] : [eventSize, eventSize]
  if (smallest > blockBytesMax) return `a block of ${blockBytesMax} bytes holds no event`
  return largest > segmentBytes ? `an event of ${largest} bytes does not fit into ${segmentBytes}` : undefined
}

const isBetween = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most

/** The format that a stored number stands for. */
export const versionOf = (stored: number): FormatVersion => stored === 1 ? 1 : 2

/**
 * Whether each segment continues its predecessor: it has the same wal_id, and its chain starts from the predecessor's
 * last checksum. Otherwise every segment starts a chain of its own (from 0), and nothing tells that the end of a
 * segment is missing.
 */
export const chainsSegments = (version: FormatVersion): boolean => version === 2

/** Whether each event starts with its own id. Then ids only increase; otherwise they are consecutive. */
export const idsInEvents = (version: FormatVersion): boolean => version === 1

/**
 * Whether a segment may stay open although others follow. After a crash a writer of format 1 leaves several open
 * segments.
 */
export const mayStayOpen = (version: FormatVersion): boolean => version === 1

/**
 * Whether a block tells which flush wrote it. Otherwise a flush ends with a block that has room left. Every block that
 * has room left is written after those before it are durable.
 */
export const blocksTellFlush = (version: FormatVersion): boolean => version === 2

/**
 * The most events of a batch, which lies in one block. In format 1 the last block of a flush has room left.
 */
export const batchEventsMax = (version: FormatVersion): number =>
  blocksTellFlush(version) ? blockEventsMax(version) : blockEventsMax(version) - 1

/** Whether blocks lie at fixed places, one every `blockStepBytes` after the segment header. */
export const hasFixedBlocks = (version: FormatVersion): boolean => version === 1

/** The distance of the places where a block can begin, counted from one where a block did. */
export const blockStepBytes = (version: FormatVersion): number =>
  hasFixedBlocks(version) ? format1BlockBytes : blockAlignment

/**
 * Whether a closed file keeps the length that it was made with, with zeros after its last block. Otherwise it ends with
 * its last block.
 */
export const keepsFileLength = (version: FormatVersion): boolean => version === 1

/** A file of format 1 has room for at least this many blocks. */
const format1BlocksMin = 16

/** Blocks of a file of format 1 beyond those that whole blocks of events take: for blocks that a flush seals short. */
const format1BlocksSpare = 2

/** Blocks that a file of format 1 has room for, when its events take up to `slotBytes`. */
export const format1BlocksOf = (slotBytes: number): number =>
  Math.max(format1BlocksMin, Math.ceil(slotBytes / format1Layout.blockBytesMax) + format1BlocksSpare)

/**
 * How much of the room of a full segment a closed one uses, in bytes of its file; `contentBytes` is its length. In
 * format 1, whose files all have one length, a segment is full when its blocks or its events use up theirs.
 */
export const usedBytesOf = (
  version: FormatVersion,
  slotBytes: number,
  { blockCount, contentBytes, eventCount }: {
    readonly blockCount: number
    readonly eventCount: number
    readonly contentBytes: number
  }
): number => {
  if (!hasFixedBlocks(version)) return contentBytes
  const byEvents = eventCount * format1EventBytes / slotBytes * format1BlocksOf(slotBytes)
  return headerBytesOf(version) + Math.max(blockCount, byEvents) * format1BlockBytes
}

/**
 * Whether a closed segment uses at most half the room of a full one. A recorder that starts continues the newest
 * segment when it is short, and begins another one when it is not.
 */
export const isShort = (version: FormatVersion, slotBytes: number, usedBytes: number): boolean =>
  usedBytes * 2 <= fileBytesOf(version, slotBytes)

/**
 * The length that a file is made with, before its first block, when its events take up to `slotBytes`. In format 1 no
 * block lies beyond it.
 */
export const fileBytesOf = (version: FormatVersion, slotBytes: number): number =>
  headerBytesOf(version) + (hasFixedBlocks(version) ? format1BlocksOf(slotBytes) * format1BlockBytes : slotBytes)
