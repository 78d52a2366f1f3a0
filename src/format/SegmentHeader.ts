/**
 * The first bytes of a segment file, little-endian.
 *
 * ```text
 *  off  type  field                      format 1: 64 bytes, format 2: 128 bytes
 *    0  u16   magic 0x4653
 *    2  u8    version (1, 2)
 *    3  u8    header_size (64, 128)
 *    4  u32   segment_index
 *    8  u32   block_count                0 while open
 *   12  u32   event_count                0 while open
 *   16  u64   first_event_id             0 = none yet
 *   24  u64   last_event_id
 *   32  u64   created_ts_ns              Unix time
 *   40  u64   closed_ts_ns               0 while open
 *   48  u64   checksum = XXH64(bytes 56 to the end of the header, seed = XXH64(bytes 0..48))
 *   56  u64   last_chained_checksum
 *  --- format 2 only ---
 *   64  16 B  wal_id                     random, the same in every segment of a directory
 *   80  u64   previous_chained_checksum  of segment index - 1; 0 for the first ever
 *   88  u32   block_bytes_max            largest payload of a block
 *   92  u16   event_size                 0 = variable length
 *   94  u16   0
 *   96  u64   last_flush_ts_ns           of the last block; 0 while open, 0 = unknown
 *  104  24 B  zero
 * ```
 *
 * A header is written twice: when its segment gets its name, and when it is closed. It lies inside one 512-byte sector,
 * but a reader that reads while it is written, or after its writer was killed, may see a part of the second one. So
 * closing writes all fields under the checksum of the open header, and then the checksum alone (`closingWrites`). What
 * a reader finds is then one of these (promise 13 of docs/RELIABILITY.md):
 *
 * - the checksum of the open header: it is the open header, whatever the other fields are
 * - a checksum whose first bytes are those of the new one and whose others are those of the old one: it is the closed
 *   header
 * - anything else: damage
 */
import { xxh64 } from "../internal/xxh64.ts"
import { blockPayloadBytesMax, eventIdMax, format1BlockEvents, format1EventBytes, segmentIndexMax } from "./Limits.ts"
import type { SegmentFault } from "./SegmentFault.ts"
import { segmentFault } from "./SegmentFault.ts"

/**
 * The on-disk format: 1 = events of 64 bytes that start with their id; 2 = any bytes. docs/FORMAT.md describes both.
 */
export type FormatVersion = 1 | 2

/** The fields of a segment header. */
export interface SegmentHeader {
  readonly version: FormatVersion
  readonly segmentIndex: number
  readonly blockCount: number
  readonly eventCount: number
  readonly firstEventId: number
  readonly lastEventId: number
  readonly createdNanos: bigint
  /** 0 while the segment is open. */
  readonly closedNanos: bigint
  readonly lastChainedChecksum: bigint
  /** 16 bytes; zeros in format 1. */
  readonly walId: Uint8Array
  /** What the chain of this segment starts from; 0 in format 1. */
  readonly previousChainedChecksum: bigint
  readonly blockBytesMax: number
  /** Bytes of every event; 0 = variable length. */
  readonly eventSize: number
  /** When the last block was flushed; 0 while open, when unknown, and in format 1. */
  readonly lastFlushNanos: bigint
}

const magic = 0x4653
/**
 * The magic of a header that was never closed, as a writer of format 1 leaves it: it touches the first byte of every
 * page.
 */
const magicTouched = 0x4600

/** Bytes of the header of each format. */
export const headerBytesOf = (version: FormatVersion): number => version === 1 ? 64 : 128

/** Bytes that are enough to decode the header of either format. */
export const headerBytesMax = 128

const checksumOffset = 48

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const checksumOf = (bytes: Uint8Array): bigint => xxh64(bytes.subarray(56), xxh64(bytes.subarray(0, checksumOffset)))

/** The checksum of the same header with 0 in every field that closing fills in. */
const openChecksumOf = (bytes: Uint8Array): bigint => checksumOf(openForm(bytes))

const openForm = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.from(bytes).fill(0, 8, 32).fill(0, 40, 64).fill(0, 96, 104)

/**
 * Whether the first bytes of `found`, at least one, are those of `begun` and the others those of `before`:
 * little-endian, as it is written.
 */
const isPartOf = (found: bigint, begun: bigint, before: bigint): boolean => {
  for (let bits = 8; bits < 64; bits += 8) {
    if (found === ((BigInt.asUintN(bits, begun)) | (before >> BigInt(bits) << BigInt(bits)))) return true
  }
  return false
}

/** The bytes of a header. */
export const encodeHeader = (header: SegmentHeader): Uint8Array => {
  const size = headerBytesOf(header.version)
  const bytes = new Uint8Array(size)
  const view = viewOf(bytes)
  view.setUint16(0, magic, true)
  view.setUint8(2, header.version)
  view.setUint8(3, size)
  view.setUint32(4, header.segmentIndex, true)
  view.setUint32(8, header.blockCount, true)
  view.setUint32(12, header.eventCount, true)
  view.setBigUint64(16, BigInt(header.firstEventId), true)
  view.setBigUint64(24, BigInt(header.lastEventId), true)
  view.setBigUint64(32, header.createdNanos, true)
  view.setBigUint64(40, header.closedNanos, true)
  view.setBigUint64(56, header.lastChainedChecksum, true)
  if (header.version === 2) {
    bytes.set(header.walId, 64)
    view.setBigUint64(80, header.previousChainedChecksum, true)
    view.setUint32(88, header.blockBytesMax, true)
    view.setUint16(92, header.eventSize, true)
    view.setBigUint64(96, header.lastFlushNanos, true)
  }
  view.setBigUint64(checksumOffset, checksumOf(bytes), true)
  return bytes
}

/**
 * What is written over the header of an open segment to close it, in this order: all fields of the closed header, under
 * the checksum of the open one; then the checksum of the closed one.
 */
export const closingWrites = (
  closed: Uint8Array
): ReadonlyArray<{ readonly bytes: Uint8Array; readonly offset: number }> => {
  const fields = Uint8Array.from(closed)
  viewOf(fields).setBigUint64(checksumOffset, openChecksumOf(closed), true)
  return [
    { bytes: fields, offset: 0 },
    { bytes: closed.subarray(checksumOffset, checksumOffset + 8), offset: checksumOffset }
  ]
}

/**
 * Whether these first bytes of a segment are what another writer of format 1 leaves of a header before it closes the
 * segment: no checksum and no counts.
 */
export const isUnclosedByAnother = (bytes: Uint8Array): boolean => {
  const view = viewOf(bytes)
  return bytes.length >= 64 && view.getUint8(2) === 1 && view.getBigUint64(checksumOffset, true) === 0n &&
    view.getBigUint64(40, true) === 0n && view.getUint32(8, true) === 0 && view.getUint32(12, true) === 0
}

const isSafeId = (id: bigint): boolean => id <= BigInt(eventIdMax)

/**
 * Reads a header from the first bytes of a segment (`headerBytesMax` of them, or fewer when the file is shorter). A
 * header of format 1 without a checksum, as its writer leaves it in an open segment, is accepted as open. A header that
 * is being closed is read as the open one or the closed one.
 */
export const decodeHeader = (bytes: Uint8Array): SegmentHeader | SegmentFault => {
  if (bytes.length < 64) return segmentFault("Truncated", 0, "a header of 64 or 128 bytes", `${bytes.length} bytes`)
  const view = viewOf(bytes)
  const version = view.getUint8(2)
  const size = view.getUint8(3)
  if (!(version === 1 && size === 64) && !(version === 2 && size === 128)) {
    return segmentFault(
      "BadHeader",
      2,
      "version 1 with 64 bytes or version 2 with 128",
      `version ${version} with ${size}`
    )
  }
  const foundMagic = view.getUint16(0, true)
  const stored = view.getBigUint64(checksumOffset, true)
  const closedNanos = view.getBigUint64(40, true)
  const unclosedByAnother = isUnclosedByAnother(bytes)
  if (foundMagic !== magic && !(unclosedByAnother && foundMagic === magicTouched)) {
    return segmentFault("BadHeader", 0, "magic 0x4653", `0x${foundMagic.toString(16)}`)
  }
  if (bytes.length < size) return segmentFault("Truncated", 0, `a header of ${size} bytes`, `${bytes.length} bytes`)
  if (!unclosedByAnother) {
    const sized = bytes.subarray(0, size)
    const computed = checksumOf(sized)
    if (stored !== computed) {
      const openChecksum = openChecksumOf(sized)
      if (stored === openChecksum) {
        const open = openForm(sized)
        viewOf(open).setBigUint64(checksumOffset, openChecksum, true)
        return decodeHeader(open)
      }
      // The fields were all there before the first byte of the new checksum was written: it is the closed header.
      if (!isPartOf(stored, computed, openChecksum)) {
        return segmentFault("BadHeader", checksumOffset, hex(computed), hex(stored))
      }
    }
  }
  const segmentIndex = view.getUint32(4, true)
  if (segmentIndex > segmentIndexMax) {
    return segmentFault("BadHeader", 4, `a segment index up to ${segmentIndexMax}`, String(segmentIndex))
  }
  const firstEventId = view.getBigUint64(16, true)
  const lastEventId = view.getBigUint64(24, true)
  if (!isSafeId(firstEventId) || !isSafeId(lastEventId)) {
    return segmentFault("BadHeader", 16, "event ids below 2^53", `${firstEventId} and ${lastEventId}`)
  }
  const blockBytesMax = version === 2
    ? view.getUint32(88, true)
    : format1EventBytes * format1BlockEvents
  if (blockBytesMax === 0 || blockBytesMax > blockPayloadBytesMax) {
    return segmentFault("BadHeader", 88, `block_bytes_max of 1 to ${blockPayloadBytesMax}`, String(blockBytesMax))
  }
  return {
    version: version === 1 ? 1 : 2,
    segmentIndex,
    blockCount: view.getUint32(8, true),
    eventCount: view.getUint32(12, true),
    firstEventId: Number(firstEventId),
    lastEventId: Number(lastEventId),
    createdNanos: view.getBigUint64(32, true),
    closedNanos,
    lastChainedChecksum: view.getBigUint64(56, true),
    // A copy: `slice` of a Buffer would be a view on memory that is read into again.
    walId: version === 2 ? Uint8Array.from(bytes.subarray(64, 80)) : new Uint8Array(16),
    previousChainedChecksum: version === 2 ? view.getBigUint64(80, true) : 0n,
    blockBytesMax,
    eventSize: version === 2 ? view.getUint16(92, true) : format1EventBytes,
    lastFlushNanos: version === 2 ? view.getBigUint64(96, true) : 0n
  }
}

/** A 64-bit checksum as people compare it. */
export const hex = (value: bigint): string => `0x${value.toString(16).padStart(16, "0")}`
