/**
 * Reads one segment, hot or cold, of either format, and hands out nothing that it has not checked. Memory is bounded by
 * the larger of 4 MiB and twice the segment's largest block, besides what decompression needs (see `SegmentContent`).
 *
 * There is one effect for each read of a file, not for each block or event: blocks come as arrays, events through a
 * plain function.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockHeaderBytes, readBlockHeader } from "../../format/Block.ts"
import type { SegmentExpectations } from "../../format/SegmentExpectations.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import { isSegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { decodeHeader, headerBytesMax, headerBytesOf } from "../../format/SegmentHeader.ts"
import type { Hashes, SegmentPoint, SegmentSummary, VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { SegmentVerifier } from "../../format/SegmentVerifier.ts"
import { invariant } from "../../internal/invariant.ts"
import type { BlockMemory } from "./BlockMemory.ts"
import { rotatingMemory } from "./BlockMemory.ts"
import { judge } from "./OpenEnd.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import { openContent } from "./SegmentContent.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"
import { corrupt } from "./SegmentCorrupt.ts"

/**
 * Bytes of segment read at once: few at first, since there may be little that is new, then more, if no block needs
 * more.
 */
const readBytesMin = 64 * 1024
const readBytesMax = 4 * 1024 * 1024

/** An open segment that gives its blocks read by read. */
export interface SegmentCursor {
  readonly file: SegmentFile
  /** Of a hot file: identifies this very file, whatever its name; empty for others. */
  readonly identity: string
  /**
   * The blocks of the next read, in the memory given; empty at the end of the segment. Blocks that were checked before
   * a fault are handed out first; the fault comes with the call after that, and with every call from then on.
   */
  readonly next: Effect.Effect<ReadonlyArray<VerifiedBlock>, DiskError | SegmentCorrupt, Disk>
  /** What the segment turned out to be. Only after `next` gave nothing. */
  readonly summary: () => SegmentSummary
  /** The header and where the last whole block so far ended; `undefined` before there is a header that belongs here. */
  readonly progress: () => { readonly header: SegmentHeader; readonly point: SegmentPoint } | undefined
}

/** How a segment is read. */
export interface Reading {
  readonly memory: BlockMemory
  /**
   * How far an open segment is read.
   *
   * - `checked`: up to the end of its file; the summary tells whether anything but zeros follows its last block
   * - `left`: only to the first zeros after its last block, since a file has the length of a full segment from the
   *   start
   */
  readonly tail: "checked" | "left"
  /**
   * `sufficient` skips checksums that others imply: see `Hashes`, and of a closed segment also the content checksum of
   * its frame, since the segment's own checksums cover every byte of the content.
   */
  readonly hashes: Hashes
}

/**
 * For reading events to hand them out: every changed byte that changes an event is found, in the least time. A reader
 * that returns to an open segment again and again leaves its tail.
 */
export const forReplay = (memory: BlockMemory, tail: Reading["tail"] = "checked"): Reading => ({
  memory,
  tail,
  hashes: "sufficient"
})

/** For checking every byte and every checksum. */
export const forVerification = (): Reading => ({ memory: rotatingMemory(1), tail: "checked", hashes: "all" })

/** The parts of a cursor. */
interface CursorParts {
  readonly file: SegmentFile
  readonly content: SegmentContent
  /** May have been told to resume where `content` starts. */
  readonly verifier: SegmentVerifier
  readonly memory: BlockMemory
  readonly tail: Reading["tail"]
}

/** Reads a segment's content through its verifier. */
export const makeCursor = ({ file, memory, tail, verifier, ...parts }: CursorParts): SegmentCursor => {
  let { content } = parts
  let buffer: Uint8Array = new Uint8Array(0)
  /** The bytes that the verifier has not taken yet lie in `buffer` from `start` to `end`. */
  let start = 0
  let end = 0
  let readBytes = readBytesMin
  let ended = false
  let failure: DiskError | SegmentCorrupt | undefined

  /** Makes room after the rest. More room than a read takes is made only when that was full and not enough. */
  const makeRoom = (): void => {
    const rest = buffer.subarray(start, end)
    const wanted = rest.length < readBytes ? readBytes : Math.min(verifier.neededBytes, rest.length * 2)
    const enough = rest.length + content.restBytesMax() + blockHeaderBytes
    const bytes = Math.max(headerBytesMax, rest.length + blockHeaderBytes, Math.min(wanted, enough))
    buffer = memory.take(bytes).subarray(0, bytes)
    buffer.set(rest)
    start = 0
    end = rest.length
    readBytes = Math.min(readBytesMax, readBytes * 4)
  }

  /** Ends the segment. An open one must not end in damage, and continues where a recorder has completed a block. */
  const settle = Effect.gen(function*() {
    ended = true
    const { header, point, tornBecause: torn } = verifier
    if (torn === undefined || header === undefined || point === undefined) return
    const { from } = content
    const seekable = from === undefined ? undefined : { from, bytes: point.offset + content.restBytesMax() }
    const judged = yield* judge({ file, identity: content.identity, header, point, torn }, seekable)
    if (judged === undefined) return
    if (judged !== "again") {
      failure = corrupt(file, judged)
      return
    }
    if (from !== undefined) content = from(point.offset)
    verifier.resume(header, point)
    start = 0
    end = 0
    ended = false
  })

  const next: SegmentCursor["next"] = Effect.gen(function*() {
    while (true) {
      if (failure !== undefined) return yield* Effect.fail(failure)
      if (ended) return []
      makeRoom()
      const count = yield* content.read(buffer.subarray(end))
      end += count
      const atEnd = count === 0
      const blocks: Array<VerifiedBlock> = []
      start += verifier.push(buffer.subarray(0, end), atEnd, (block) => blocks.push(block))
      if (verifier.fault !== undefined) failure = corrupt(file, verifier.fault)
      else if (atEnd || (tail === "left" && verifier.isPastBlocks)) yield* settle
      if (blocks.length > 0) {
        memory.handOut()
        return blocks
      }
    }
  })

  return {
    file,
    identity: content.identity,
    next,
    summary: () => {
      invariant(ended, "a segment is summed up after its end")
      const summary = verifier.end()
      invariant(!isSegmentFault(summary), "a faulty segment never ends")
      return summary
    },
    progress: () => {
      const { header, point } = verifier
      return header === undefined || point === undefined ? undefined : { header, point }
    }
  }
}

/** Opens a segment for reading from its first byte. `shape` may limit how much is read at once. */
export const openSegment = (
  file: SegmentFile,
  expectations: SegmentExpectations,
  { hashes, memory, tail }: Reading,
  shape: (content: SegmentContent) => SegmentContent = (content) => content
): Effect.Effect<SegmentCursor, DiskError | SegmentCorrupt, Disk | Scope.Scope> => {
  const verifier = new SegmentVerifier(expectations, hashes)
  const isProven = () => hashes === "sufficient" && verifier.provesEveryByte
  return Effect.map(
    openContent(file, isProven, memory.frame),
    (content) => makeCursor({ file, content: shape(content), verifier, memory, tail })
  )
}

/**
 * Reads a whole segment and hands every checked block to `onBlock`, which must not keep it. Returns what the segment
 * turned out to be; fails at the first fault, after the blocks before it were handed out.
 */
export const readSegment = (
  file: SegmentFile,
  expectations: SegmentExpectations,
  onBlock: (block: VerifiedBlock) => void,
  reading: Reading = forVerification()
): Effect.Effect<SegmentSummary, DiskError | SegmentCorrupt, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const cursor = yield* openSegment(file, expectations, reading)
    while (true) {
      const blocks = yield* cursor.next
      if (blocks.length === 0) return cursor.summary()
      for (const block of blocks) onBlock(block)
    }
  }))

/** Checks every byte of a segment. */
export const verifySegment = (
  file: SegmentFile,
  expectations: SegmentExpectations = {}
): Effect.Effect<SegmentSummary, DiskError | SegmentCorrupt, Disk> => readSegment(file, expectations, () => undefined)

/**
 * Reads the header of a hot segment; `undefined` when the file is gone, or does not start with a header of either
 * format: damaged, still empty, or written by an application in a format of its own.
 */
export const readHeader = (path: string): Effect.Effect<SegmentHeader | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(path, "read")
    const bytes = new Uint8Array(headerBytesMax)
    const count = yield* readFully(file, bytes, 0)
    const header = decodeHeader(bytes.subarray(0, count))
    return isSegmentFault(header) ? undefined : header
  })).pipe(Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined)))

/** What the start of a segment tells. */
export interface SegmentStart {
  readonly header: SegmentHeader
  /**
   * Of a segment that was closed without events, the id that comes next. `undefined` when none is named, or when there
   * is no intact header of a first block.
   */
  readonly firstEventId: number | undefined
  /** When its last flush was made, or its first one while it is open; 0 when unknown. */
  readonly flushNanos: bigint
  /** The length of the content as a cold file of frames claims it; `undefined` when it does not. */
  readonly claimedBytes: number | undefined
}

/**
 * Reads the header and, of an open segment, the first block's header. Of a cold segment the first block of its frame is
 * decoded. Nothing else is checked.
 */
export const readStart = (
  file: SegmentFile
): Effect.Effect<SegmentStart, DiskError | SegmentCorrupt, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const content = yield* openContent(file)
    const bytes = new Uint8Array(headerBytesMax + blockHeaderBytes)
    const count = yield* content.read(bytes)
    const header: SegmentHeader | SegmentFault = decodeHeader(bytes.subarray(0, Math.min(count, headerBytesMax)))
    if (isSegmentFault(header)) return yield* corrupt(file, header)
    const claimedBytes = content.claimedBytes()
    if (header.closedNanos !== 0n) {
      const { firstEventId, lastFlushNanos: flushNanos } = header
      return { header, firstEventId: firstEventId === 0 ? undefined : firstEventId, flushNanos, claimedBytes }
    }
    const block = readBlockHeader(header.version, bytes.subarray(0, count), headerBytesOf(header.version))
    const isFirst = block !== undefined && block.blockIndex === 0 && block.firstEventId >= 1
    return isFirst
      ? { header, firstEventId: block.firstEventId, flushNanos: block.flushNanos, claimedBytes }
      : { header, firstEventId: undefined, flushNanos: 0n, claimedBytes }
  }))
