/**
 * The 64 bytes in front of every block, little-endian.
 *
 * ```text
 *  off  type  field
 *    0  u64   first_event_id
 *    8  u64   last_event_id
 *   16  u64   block_checksum   = XXH64(payload)
 *   24  u64   chained_checksum = XXH64(payload, seed = chained_checksum of the block before)
 *   32  u64   checksum = XXH64(bytes 40..64, seed = XXH64(bytes 0..32))
 *   40  u32   block_index, from 0
 *   44  u16   event_count, 1..65,535 (format 1: 1..256)
 *   46  u16   0
 *   48  u32   payload_bytes (format 1: 0, the payload is event_count x 64 bytes)
 *   52  u32   flush_first_block: index of the first block that the same flush wrote (format 1: 0)
 *   56  u64   flush_ts_ns, Unix time: later in every later flush of a log; 0 = unknown (format 1: 0)
 * ```
 *
 * Everything before `flush_first_block` was durable before this block was written. So a block tells of those before it
 * what a crash cannot have torn.
 *
 * The chain of a segment's first block starts from the header's previous_chained_checksum (format 1: from 0).
 */
import { xxh64 } from "../internal/xxh64.ts"
import { eventIdMax, format1BlockEvents, format1EventBytes, format2BlockEvents } from "./Limits.ts"
import type { FormatVersion } from "./SegmentHeader.ts"

/** Bytes of a block header. */
export const blockHeaderBytes = 64

/** Blocks of format 2 start on multiples of this many bytes; blocks of format 1 follow at `format1BlockBytes`. */
export const blockAlignment = 64

/** Bytes from one block of format 1 to the next: a header and room for 256 events. */
export const format1BlockBytes = blockHeaderBytes + format1BlockEvents * format1EventBytes

/** The most events of a block. */
export const blockEventsMax = (version: FormatVersion): number =>
  version === 1 ? format1BlockEvents : format2BlockEvents

/** The fields of a block header, without its own checksum. */
export interface BlockHeader {
  readonly firstEventId: number
  readonly lastEventId: number
  readonly blockChecksum: bigint
  readonly chainedChecksum: bigint
  readonly blockIndex: number
  readonly eventCount: number
  readonly payloadBytes: number
  /** The index of the first block that the same flush wrote; 0 in format 1, which does not tell. */
  readonly flushFirstBlock: number
  /** When that flush was made; 0 when unknown, as in format 1. */
  readonly flushNanos: bigint
}

/** Writes a block header into the first 64 bytes of `target`. */
export const encodeBlockHeader = (version: FormatVersion, header: BlockHeader, target: Uint8Array): void => {
  const view = new DataView(target.buffer, target.byteOffset, blockHeaderBytes)
  view.setBigUint64(0, BigInt(header.firstEventId), true)
  view.setBigUint64(8, BigInt(header.lastEventId), true)
  view.setBigUint64(16, header.blockChecksum, true)
  view.setBigUint64(24, header.chainedChecksum, true)
  view.setUint32(40, header.blockIndex, true)
  view.setUint16(44, header.eventCount, true)
  target.fill(0, 46, blockHeaderBytes)
  if (version === 2) {
    view.setUint32(48, header.payloadBytes, true)
    view.setUint32(52, header.flushFirstBlock, true)
    view.setBigUint64(56, header.flushNanos, true)
  }
  view.setBigUint64(32, headerChecksum(target), true)
}

const headerChecksum = (bytes: Uint8Array): bigint => xxh64(bytes.subarray(40, 64), xxh64(bytes.subarray(0, 32)))

/** The checksum that a block header names for itself, and the one that its bytes have. */
export const blockHeaderChecksums = (bytes: Uint8Array): { readonly stored: bigint; readonly computed: bigint } => ({
  stored: new DataView(bytes.buffer, bytes.byteOffset, blockHeaderBytes).getBigUint64(32, true),
  computed: headerChecksum(bytes)
})

/** Reads the fields of a block header; the verifier checks whether they make sense. Ids above 2^53 read as `NaN`. */
export const decodeBlockHeader = (version: FormatVersion, bytes: Uint8Array): BlockHeader => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, blockHeaderBytes)
  const eventCount = view.getUint16(44, true)
  return {
    firstEventId: readId(view, 0),
    lastEventId: readId(view, 8),
    blockChecksum: view.getBigUint64(16, true),
    chainedChecksum: view.getBigUint64(24, true),
    blockIndex: view.getUint32(40, true),
    eventCount,
    payloadBytes: version === 1 ? eventCount * format1EventBytes : view.getUint32(48, true),
    flushFirstBlock: version === 1 ? 0 : view.getUint32(52, true),
    flushNanos: version === 1 ? 0n : view.getBigUint64(56, true)
  }
}

/**
 * Reads the block header that starts at `at`; `undefined` unless its own checksum is right. The cheap checks come first
 * (a block has events, and zeros after their count), since nearly every place in a payload fails them.
 */
export const readBlockHeader = (version: FormatVersion, bytes: Uint8Array, at: number): BlockHeader | undefined => {
  if (at + blockHeaderBytes > bytes.length) return undefined
  const hasEvents = bytes[at + 44] !== 0 || bytes[at + 45] !== 0
  if (!hasEvents || bytes[at + 46] !== 0 || bytes[at + 47] !== 0) return undefined
  const header = bytes.subarray(at, at + blockHeaderBytes)
  const { computed, stored } = blockHeaderChecksums(header)
  return computed === stored ? decodeBlockHeader(version, header) : undefined
}

/** Reads a u64 event id; `NaN` above 2^53, where no id of ours can be. */
export const readId = (view: DataView, offset: number): number => {
  const id = view.getUint32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true)
  return id <= eventIdMax ? id : Number.NaN
}

/** Bytes that a block takes in the file, its padding included. */
export const blockBytesInFile = (version: FormatVersion, payloadBytes: number): number =>
  version === 1
    ? format1BlockBytes
    : blockHeaderBytes + Math.ceil(payloadBytes / blockAlignment) * blockAlignment
