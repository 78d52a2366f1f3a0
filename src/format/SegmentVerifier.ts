/**
 * Reads a segment that is fed to it as bytes, and believes none of them: every block is checked before its events are
 * handed out. It knows nothing of files, so hot segments, cold ones and hostile ones go the same way.
 *
 * The rule, for both formats. A block counts when its header checksum, payload checksum and chained checksum are right,
 * its index is the next, and its ids continue. The first block that does not count ends the segment. In a closed
 * segment that is a fault. In an open one (a crash, or a writer at work) it is the end: `torn` when something other
 * than zeros follows the last whole block. What the neighbours of a segment demand of it (`SegmentExpectations`) is not
 * part of that: a segment that does not continue its predecessor has a fault, open or closed.
 *
 * In a closed segment every byte is accounted for: counts and ids equal those of the header, padding is zero, and after
 * the last block comes the end of the file (format 2) or nothing but zeros (format 1). So every changed byte is found
 * (promise 12 of docs/RELIABILITY.md).
 *
 * A payload has two checksums, its own and its place in the chain, and an intact block header vouches for both numbers.
 * So one of them finds every change of the payload. See `Hashes`.
 */
import { invariant } from "../internal/invariant.ts"
import { xxh64 } from "../internal/xxh64.ts"
import {
  blockBytesInFile,
  blockEventsMax,
  blockHeaderBytes,
  blockHeaderChecksums,
  decodeBlockHeader,
  readId
} from "./Block.ts"
import type { BlockHeader } from "./Block.ts"
import { format1EventBytes, segmentContentBytesMax } from "./Limits.ts"
import { firstIdFault, headerFault } from "./SegmentExpectations.ts"
import type { SegmentExpectations } from "./SegmentExpectations.ts"
import type { SegmentFault } from "./SegmentFault.ts"
import { isSegmentFault, segmentFault } from "./SegmentFault.ts"
import type { SegmentHeader } from "./SegmentHeader.ts"
import { decodeHeader, headerBytesMax, headerBytesOf, hex } from "./SegmentHeader.ts"
import { blocksTellFlush, idsInEvents, keepsFileLength } from "./SegmentLayout.ts"

/**
 * A block that was checked. `payload` is a view that is valid until the next `push`.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerifiedBlock {
  /** Where the block starts in the uncompressed segment. */
  readonly offset: number
  readonly blockIndex: number
  readonly firstEventId: number
  readonly lastEventId: number
  readonly eventCount: number
  /** Bytes of every event; 0 = u32 length + bytes each. */
  readonly eventSize: number
  /** Events carry their own id in their first 8 bytes (format 1); otherwise ids are consecutive. */
  readonly idsInEvents: boolean
  /** When the flush that wrote it was made: Unix time, later in every later flush of a log; 0 = unknown (format 1). */
  readonly flushNanos: bigint
  readonly payload: Uint8Array
}

/**
 * Which checksums of a payload are computed.
 *
 * - `all`: its own, and the one that chains it to the block before
 * - `sufficient`: the chained one. Its own is computed only where the block before is not known, or to tell the faults
 *   apart. A writer that put a wrong checksum beside a right chain is not found this way.
 */
export type Hashes = "all" | "sufficient"

/** What a segment turned out to be, after its last byte. */
export interface SegmentSummary {
  readonly header: SegmentHeader
  /** The header is closed: counts, ids and the end of the file were checked against it. */
  readonly closed: boolean
  readonly blockCount: number
  readonly eventCount: number
  /** 0 when there are no events. */
  readonly firstEventId: number
  readonly lastEventId: number
  /** Where the last whole block ends. */
  readonly validBytes: number
  /** Bytes fed in all. */
  readonly bytes: number
  readonly chainedChecksum: bigint
  /** When the last block was flushed; 0 when that is not known, and in format 1. */
  readonly lastFlushNanos: bigint
  /** Open segments only: why the bytes after the last whole block are no block. */
  readonly torn: SegmentFault | undefined
}

/** The start of a block inside a segment, with what the block before leaves to it. */
export interface SegmentPoint {
  /** Where the block starts in the uncompressed segment. */
  readonly offset: number
  readonly blockIndex: number
  /** Of the block before; 0 when there is none and nothing is known of the segment before. */
  readonly lastEventId: number
  /**
   * Of the block before, or what the segment's chain starts from; `undefined` when that is not known: then the first
   * block's place in the chain is not checked.
   */
  readonly chainedChecksum: bigint | undefined
  /** Of the block before; `undefined` when there is none, and when that is not known. */
  readonly flush: BlockFlush | undefined
}

/** What a block tells of the flush that wrote it. */
type BlockFlush = Pick<BlockHeader, "flushFirstBlock" | "flushNanos">

/** Takes the bytes of one segment, from its first, or from a block that `resume` names. */
export class SegmentVerifier {
  header: SegmentHeader | undefined
  fault: SegmentFault | undefined
  /** `push` needs at least this many bytes to continue. */
  neededBytes = headerBytesMax

  private readonly expected: SegmentExpectations
  private readonly hashes: Hashes
  private offset = 0
  private blockCount = 0
  private eventCount = 0
  private firstEventId = 0
  private lastEventId = 0
  private chainedChecksum: bigint | undefined = 0n
  private flush: BlockFlush | undefined
  private validBytes = 0
  private torn: SegmentFault | undefined
  private state: "header" | "blocks" | "tail" | "ended" = "header"
  private resumed = false

  constructor(expected: SegmentExpectations = {}, hashes: Hashes = "all") {
    this.expected = expected
    this.hashes = hashes
  }

  /**
   * Starts at a block instead of the header: the next `push` starts with the byte at `point.offset`. From there on
   * every check is made, up to the last id and the last chained checksum of a closed header; so a point with a wrong
   * checksum cannot pass. Of the blocks before the point nothing is checked, and the summary counts only what follows
   * it.
   */
  resume(header: SegmentHeader, point: SegmentPoint): void {
    this.header = header
    this.offset = point.offset
    this.validBytes = point.offset
    this.blockCount = point.blockIndex
    this.lastEventId = point.lastEventId
    this.chainedChecksum = point.chainedChecksum
    this.flush = point.flush
    this.fault = undefined
    this.torn = undefined
    this.state = "blocks"
    this.neededBytes = blockHeaderBytes
    this.resumed = true
  }

  /** Where the last whole block so far ended; `undefined` before there is a header that belongs here. */
  get point(): SegmentPoint | undefined {
    if (this.header === undefined || this.state === "header" || this.validBytes === 0) return undefined
    const { blockCount: blockIndex, chainedChecksum, flush, lastEventId, validBytes: offset } = this
    return { offset, blockIndex, lastEventId, chainedChecksum, flush }
  }

  /**
   * Whether every byte is checked, up to the last one, so that a changed byte is a fault: in a closed segment that is
   * read from its first byte. In an open one a changed byte may be taken for the end.
   */
  get provesEveryByte(): boolean {
    return this.header !== undefined && this.header.closedNanos !== 0n && !this.resumed
  }

  /** Of an open segment that has ended: why what follows the last whole block is no block, if it is not zeros. */
  get tornBecause(): SegmentFault | undefined {
    return this.state === "ended" ? this.torn : undefined
  }

  /** The segment is open, and where the next block should begin there are zeros: no block can follow. */
  get isPastBlocks(): boolean {
    return this.state === "tail" && this.header?.closedNanos === 0n
  }

  /**
   * Takes as much of `bytes` as it can, hands checked blocks to `onBlock`, and returns how many bytes it is done with.
   * The caller keeps the rest and puts it in front of what follows. `atEnd` tells that nothing follows. Once `fault` is
   * set every byte is ignored.
   */
  push(bytes: Uint8Array, atEnd: boolean, onBlock: (block: VerifiedBlock) => void): number {
    let position = 0
    while (this.state !== "ended") {
      const rest = position === 0 ? bytes : bytes.subarray(position)
      const used = this.step(rest, atEnd, onBlock)
      position += used
      this.offset += used
      if (used === 0) break
    }
    if (this.state === "ended") {
      this.offset += bytes.length - position
      return bytes.length
    }
    return position
  }

  /** What the segment was, after the last `push` (with `atEnd`). */
  end(): SegmentSummary | SegmentFault {
    if (this.fault !== undefined) return this.fault
    invariant(this.header !== undefined, "a segment without a header has a fault")
    return {
      header: this.header,
      closed: this.header.closedNanos !== 0n,
      blockCount: this.blockCount,
      eventCount: this.eventCount,
      firstEventId: this.firstEventId,
      lastEventId: this.eventCount > 0
        ? this.lastEventId
        : this.header.closedNanos === 0n
        ? 0
        : this.header.lastEventId,
      validBytes: this.validBytes,
      bytes: this.offset,
      chainedChecksum: this.chainedChecksum ?? 0n,
      lastFlushNanos: this.flush?.flushNanos ?? 0n,
      torn: this.torn
    }
  }

  private step(bytes: Uint8Array, atEnd: boolean, onBlock: (block: VerifiedBlock) => void): number {
    switch (this.state) {
      case "header":
        return this.stepHeader(bytes, atEnd)
      case "blocks":
        return this.stepBlock(bytes, atEnd, onBlock)
      case "tail":
        return this.stepTail(bytes)
      case "ended":
        return 0
    }
  }

  private stepHeader(bytes: Uint8Array, atEnd: boolean): number {
    if (bytes.length < headerBytesMax && !atEnd) return 0
    const header = decodeHeader(bytes.subarray(0, headerBytesMax))
    if (isSegmentFault(header)) return this.fail(header)
    this.header = header
    const misfit = headerFault(this.expected, header)
    if (misfit !== undefined) return this.fail(misfit)
    this.chainedChecksum = header.previousChainedChecksum
    this.lastEventId = this.expected.previousEventId ?? 0
    this.validBytes = headerBytesOf(header.version)
    this.state = "blocks"
    this.neededBytes = blockHeaderBytes
    return this.validBytes
  }

  private stepBlock(bytes: Uint8Array, atEnd: boolean, onBlock: (block: VerifiedBlock) => void): number {
    const header = this.header
    invariant(header !== undefined, "blocks follow a header")
    if (header.closedNanos !== 0n && this.blockCount === header.blockCount) return this.finishClosed(bytes, atEnd)
    if (bytes.length < blockHeaderBytes) {
      this.neededBytes = blockHeaderBytes
      if (!atEnd) return 0
      return header.closedNanos === 0n && isZero(bytes)
        ? this.endOpen(undefined)
        : this.endBlocks(segmentFault("Truncated", this.offset, "a block header", `${bytes.length} bytes`))
    }
    const found = this.checkBlockHeader(header, bytes)
    if (isSegmentFault(found)) {
      if (header.closedNanos === 0n && isZero(bytes.subarray(0, blockHeaderBytes))) {
        this.state = "tail"
        return blockHeaderBytes
      }
      return this.endBlocks(found)
    }
    const inFile = blockBytesInFile(header.version, found.payloadBytes)
    if (bytes.length < inFile) {
      this.neededBytes = inFile
      if (!atEnd) return 0
      return this.endBlocks(
        segmentFault("Truncated", this.offset, `a block of ${inFile} bytes`, `${bytes.length} bytes`)
      )
    }
    const payload = bytes.subarray(blockHeaderBytes, blockHeaderBytes + found.payloadBytes)
    const padding = bytes.subarray(blockHeaderBytes + found.payloadBytes, inFile)
    const fault = this.checkPayload(found, payload) ?? this.checkEvents(header, found, payload) ??
      this.checkPadding(padding, this.offset + blockHeaderBytes + found.payloadBytes)
    if (fault !== undefined) return this.endBlocks(fault)
    const { previousEventId } = this.expected
    if (this.blockCount === 0 && previousEventId !== undefined) {
      // No crash tears a block like that: it counts, and the segment does not belong here.
      const misfit = firstIdFault(header.version, previousEventId, found.firstEventId, this.offset)
      if (misfit !== undefined) return this.fail(misfit)
    }
    onBlock({
      offset: this.offset,
      blockIndex: found.blockIndex,
      firstEventId: found.firstEventId,
      lastEventId: found.lastEventId,
      eventCount: found.eventCount,
      eventSize: header.eventSize,
      idsInEvents: idsInEvents(header.version),
      flushNanos: found.flushNanos,
      payload
    })
    if (this.eventCount === 0) this.firstEventId = found.firstEventId
    this.blockCount += 1
    this.eventCount += found.eventCount
    this.lastEventId = found.lastEventId
    this.chainedChecksum = found.chainedChecksum
    this.flush = found
    this.validBytes = this.offset + inFile
    this.neededBytes = blockHeaderBytes
    return inFile
  }

  private checkBlockHeader(header: SegmentHeader, bytes: Uint8Array): BlockHeader | SegmentFault {
    const at = this.offset
    const { computed, stored } = blockHeaderChecksums(bytes)
    if (computed !== stored) return segmentFault("BadBlockHeader", at + 32, hex(computed), hex(stored))
    const block = decodeBlockHeader(header.version, bytes)
    if (block.blockIndex !== this.blockCount) {
      return segmentFault("BadOrder", at + 40, `block index ${this.blockCount}`, String(block.blockIndex))
    }
    if (block.eventCount === 0 || block.eventCount > blockEventsMax(header.version)) {
      return segmentFault("BadBlockHeader", at + 44, "a count of events", String(block.eventCount))
    }
    if (block.payloadBytes === 0 || block.payloadBytes > header.blockBytesMax) {
      const expected = `a payload of 1 to ${header.blockBytesMax} bytes`
      return segmentFault("BadBlockHeader", at + 48, expected, String(block.payloadBytes))
    }
    if (at + blockBytesInFile(header.version, block.payloadBytes) > segmentContentBytesMax) {
      return segmentFault("BadBlockHeader", at, `a segment of up to ${segmentContentBytesMax} bytes`, "a block beyond")
    }
    if (!(block.firstEventId >= 1) || !(block.lastEventId >= block.firstEventId)) {
      return segmentFault("BadOrder", at, "ids from 1 that increase", `${block.firstEventId} to ${block.lastEventId}`)
    }
    if (!idsInEvents(header.version) && block.lastEventId - block.firstEventId + 1 !== block.eventCount) {
      const expected = `last event id ${block.firstEventId + block.eventCount - 1}`
      return segmentFault("BadOrder", at + 8, expected, String(block.lastEventId))
    }
    const flushFault = blocksTellFlush(header.version) ? this.checkFlush(block) : undefined
    if (flushFault !== undefined || this.blockCount === 0) return flushFault ?? block
    return firstIdFault(header.version, this.lastEventId, block.firstEventId, at) ?? block
  }

  /** A block belongs to the flush of the one before, or begins a later one. */
  private checkFlush({ blockIndex, flushFirstBlock, flushNanos }: BlockHeader): SegmentFault | undefined {
    const { flush } = this
    const isFirst = flushFirstBlock === blockIndex
    const isSame = flush === undefined ? flushFirstBlock < blockIndex : flushFirstBlock === flush.flushFirstBlock
    if (!isFirst && !isSame) {
      const expected = `first block of its flush ${
        flush === undefined ? "" : `${flush.flushFirstBlock} or `
      }${blockIndex}`
      return segmentFault("BadOrder", this.offset + 52, expected, String(flushFirstBlock))
    }
    if (flush === undefined || flush.flushNanos === 0n || flushNanos === 0n) return undefined
    const isInOrder = isFirst ? flushNanos > flush.flushNanos : flushNanos === flush.flushNanos
    if (isInOrder) return undefined
    const expected = isFirst ? `a flush time after ${flush.flushNanos}` : `flush time ${flush.flushNanos}`
    return segmentFault("BadOrder", this.offset + 56, expected, String(flushNanos))
  }

  private checkPayload(block: BlockHeader, payload: Uint8Array): SegmentFault | undefined {
    const chained = this.chainedChecksum === undefined ? undefined : xxh64(payload, this.chainedChecksum)
    if (chained === block.chainedChecksum && this.hashes === "sufficient") return undefined
    const checksum = xxh64(payload)
    if (checksum !== block.blockChecksum) {
      return segmentFault("BadPayload", this.offset + blockHeaderBytes, hex(block.blockChecksum), hex(checksum))
    }
    return chained === undefined || chained === block.chainedChecksum
      ? undefined
      : segmentFault("BrokenChain", this.offset + 24, hex(chained), hex(block.chainedChecksum))
  }

  private checkEvents(header: SegmentHeader, block: BlockHeader, payload: Uint8Array): SegmentFault | undefined {
    const at = this.offset + blockHeaderBytes
    if (idsInEvents(header.version)) return this.checkEventIds(block, payload, at)
    if (header.eventSize > 0) {
      return payload.length === block.eventCount * header.eventSize ? undefined : segmentFault(
        "BadEvent",
        at,
        `${block.eventCount} events of ${header.eventSize} bytes`,
        `${payload.length} bytes`
      )
    }
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
    let position = 0
    let events = 0
    while (position + 4 <= payload.length) {
      position += 4 + view.getUint32(position, true)
      events += 1
    }
    return position === payload.length && events === block.eventCount ? undefined : segmentFault(
      "BadEvent",
      at,
      `${block.eventCount} events in ${payload.length} bytes`,
      `${events} events in ${position} bytes`
    )
  }

  private checkEventIds(block: BlockHeader, payload: Uint8Array, at: number): SegmentFault | undefined {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
    let previous = block.firstEventId - 1
    for (let position = 0; position < payload.length; position += format1EventBytes) {
      const id = readId(view, position)
      if (!(id > previous)) return segmentFault("BadEvent", at + position, `an id above ${previous}`, String(id))
      previous = id
    }
    return readId(view, 0) === block.firstEventId && previous === block.lastEventId ? undefined : segmentFault(
      "BadEvent",
      at,
      `ids ${block.firstEventId} to ${block.lastEventId}`,
      `${readId(view, 0)} to ${previous}`
    )
  }

  private checkPadding(padding: Uint8Array, at: number): SegmentFault | undefined {
    const index = firstNonZero(padding)
    return index < 0 ? undefined : segmentFault("NotZero", at + index, "0", String(padding[index]))
  }

  /** A closed segment has given all its blocks. Checks that they are what the header promises. */
  private finishClosed(bytes: Uint8Array, atEnd: boolean): number {
    const header = this.header
    invariant(header !== undefined, "blocks follow a header")
    if (header.eventCount === 0 && header.lastEventId > 0) {
      const misfit = this.endsWithoutEventsFault(header)
      if (misfit !== undefined) return this.fail(misfit)
    }
    // A segment without events names the ids before and after it, or none.
    const firstEventId = this.eventCount > 0 || header.eventCount > 0 ? this.firstEventId : header.firstEventId
    const lastEventId = this.blockCount > 0 ? this.lastEventId : header.eventCount > 0 ? 0 : header.lastEventId
    const [found, expected] = this.resumed
      ? [`last id ${lastEventId}`, `last id ${header.lastEventId}`]
      : [
        `${this.eventCount} events, ids ${firstEventId} to ${lastEventId}`,
        `${header.eventCount} events, ids ${header.firstEventId} to ${header.lastEventId}`
      ]
    if (found !== expected) return this.fail(segmentFault("CountMismatch", 8, expected, found))
    if (header.lastChainedChecksum !== this.chainedChecksum) {
      return this.fail(
        segmentFault("BrokenChain", 56, hex(header.lastChainedChecksum), hex(this.chainedChecksum ?? 0n))
      )
    }
    // A segment without events names the last flush of the log.
    if (this.flush !== undefined && header.lastFlushNanos !== this.flush.flushNanos) {
      const expected = `last flush time ${header.lastFlushNanos}`
      return this.fail(segmentFault("CountMismatch", 96, expected, String(this.flush.flushNanos)))
    }
    if (keepsFileLength(header.version)) {
      this.state = "tail"
      return this.stepTail(bytes)
    }
    if (bytes.length > 0) {
      return this.fail(segmentFault("TrailingBytes", this.offset, "the end of the segment", "more bytes"))
    }
    if (atEnd) this.state = "ended"
    this.neededBytes = 1
    return 0
  }

  /** Why the ids that a segment without events names are not those before and after it. */
  private endsWithoutEventsFault({ firstEventId, lastEventId, version }: SegmentHeader): SegmentFault | undefined {
    const { previousEventId } = this.expected
    if (firstEventId !== lastEventId + 1) {
      return segmentFault("CountMismatch", 16, `first event id ${lastEventId + 1}`, String(firstEventId))
    }
    return previousEventId === undefined ? undefined : firstIdFault(version, previousEventId, firstEventId, 16)
  }

  /** After the last block of a preallocated file there is nothing but zeros. */
  private stepTail(bytes: Uint8Array): number {
    this.neededBytes = 1
    const index = firstNonZero(bytes)
    if (index >= 0) {
      this.endBlocks(segmentFault("NotZero", this.offset + index, "0 after the last block", String(bytes[index])))
    }
    return bytes.length
  }

  /** The first block that does not count: a fault in a closed segment, the end of an open one. */
  private endBlocks(fault: SegmentFault): number {
    return this.header?.closedNanos === 0n ? this.endOpen(fault) : this.fail(fault)
  }

  private endOpen(torn: SegmentFault | undefined): number {
    this.torn = torn
    this.state = "ended"
    return 0
  }

  private fail(fault: SegmentFault): number {
    this.fault = fault
    this.state = "ended"
    return 0
  }
}

const firstNonZero = (bytes: Uint8Array): number => {
  if (isZero(bytes)) return -1
  let index = 0
  while (bytes[index] === 0) index++
  return index
}

const zeros = Buffer.alloc(64 * 1024)

const isZero = (bytes: Uint8Array): boolean => {
  for (let start = 0; start < bytes.length; start += zeros.length) {
    const part = bytes.subarray(start, start + zeros.length)
    // Two views, not the method with four bounds: Deno 2.9 mistakes those of the one for those of the other.
    if (Buffer.compare(part, part.length === zeros.length ? zeros : zeros.subarray(0, part.length)) !== 0) return false
  }
  return true
}
