/**
 * Opens a segment at an event or a time, without reading or decoding most of what lies before it. The cursor may start
 * at an earlier event; the caller drops what it did not ask for.
 *
 * What is verified after a seek:
 *
 * - verified: the segment header, and every byte from the block where reading starts, up to the last id and the last
 *   chained checksum that the closed header names
 * - not verified: what lies before that block, the number of events in the whole segment, and the content checksum of a
 *   frame
 *
 * How the block is found. Blocks of format 1 lie at fixed places. Blocks of format 2 do not, and recorded bytes may
 * look like blocks (an application records a copy of this very file). So a block header at an arbitrary place is
 * believed only when the blocks after it verify and continue each other for longer than one payload can be, or up to
 * the end of the segment: a copy inside a payload ends with it. Where nothing can be believed, reading starts further
 * in front, in the last resort at the segment's first byte. An open segment is always read from there.
 *
 * A seek has no verdict of its own on a file: whatever does not open as it should is opened from the front, and a fault
 * that is met later is judged from there, too. So a file that whole reading accepts is accepted, and one that it
 * refuses is refused for the same fault, unless that lies before the place where reading starts.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockAlignment, blockBytesInFile, blockHeaderBytes } from "../../format/Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import type { SegmentExpectations } from "../../format/SegmentExpectations.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { headerBytesMax, headerBytesOf } from "../../format/SegmentHeader.ts"
import { blockStepBytes, hasFixedBlocks } from "../../format/SegmentLayout.ts"
import type { SegmentPoint } from "../../format/SegmentVerifier.ts"
import { SegmentVerifier } from "../../format/SegmentVerifier.ts"
import { blockAt, blocksOf, refutedMax } from "./BlockSearch.ts"
import type { SeekableContent } from "./SeekableContent.ts"
import { seekable } from "./SeekableContent.ts"
import { hotContent } from "./SegmentContent.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"
import type { Reading, SegmentCursor } from "./SegmentReader.ts"
import { makeCursor, openSegment } from "./SegmentReader.ts"

/** Distance of the places that are tried: the content of one block of our frames. */
const strideBytes = pieceBytes

/** What is sought in a segment. */
export interface Sought {
  /** Whether everything before a point lies before what is sought; then the same holds for all points before it. */
  readonly isBefore: (point: SegmentPoint) => boolean
  /** Its measure. Measures grow along a segment; where they grow evenly, a place is guessed at once. */
  readonly measure: number
  /** The measure of the last event before a place, or of its flush. */
  readonly measureOf: (lastEventId: number, flushNanos: bigint) => number
}

/** The event with this id, or the first one after it. */
export const soughtEvent = (eventId: number): Sought => ({
  isBefore: ({ lastEventId }) => lastEventId < eventId,
  measure: eventId,
  measureOf: (lastEventId) => lastEventId
})

/** The first event that was not flushed before this Unix time. */
export const soughtTime = (nanos: bigint): Sought => ({
  isBefore: ({ flush }) => flush !== undefined && isEarlier(flush, nanos),
  measure: Number(nanos),
  measureOf: (_, flushNanos) => Number(flushNanos)
})

/** Whether something is known to be flushed before a time. */
export const isEarlier = ({ flushNanos }: { readonly flushNanos: bigint }, nanos: bigint): boolean =>
  flushNanos !== 0n && flushNanos < nanos

/** Opens a segment for reading from what is sought, or from something before it. */
export const openSegmentAt = (
  file: SegmentFile,
  expectations: SegmentExpectations,
  sought: Sought,
  reading: Reading
): Effect.Effect<SegmentCursor, DiskError | SegmentCorrupt, Disk | Scope.Scope> =>
  Effect.gen(function*() {
    const opened = yield* openScoped(file.path, "read")
    const content = yield* seekable(file, opened, yield* opened.stat, reading.memory.frame)
    const fromTheFront = openSegment(file, expectations, reading)
    if (content === undefined || content.bytes < 2 * strideBytes) return yield* fromTheFront
    const verifier = new SegmentVerifier(expectations, "sufficient")
    const start = new Uint8Array(headerBytesMax)
    const read = yield* Effect.result(content.from(0).read(start))
    if (Result.isFailure(read)) return yield* fromTheFront
    verifier.push(start.subarray(0, read.success), false, () => {})
    if (verifier.fault !== undefined) return yield* fromTheFront
    const { header } = verifier
    // Proving a place in payloads this large costs more than reading from the front.
    if (header === undefined || header.closedNanos === 0n || header.blockBytesMax * 4 > content.bytes) {
      return yield* fromTheFront
    }
    const point = yield* lastPointBefore(content, header, sought)
    if (point === undefined) {
      return yield* openSegment(file, expectations, reading, (whole) => byStrides(whole, 0))
    }
    verifier.resume(header, point)
    const rest = byStrides(content.from(point.offset), point.offset)
    const cursor = makeCursor({ ...reading, file, content: rest, verifier })
    return yield* judgedFromTheFront(cursor, point, fromTheFront)
  })

/**
 * The same content, each read of which ends with a stride at the latest: a long read would fetch blocks that nobody has
 * asked for yet. What is sought lies a few strides after the point.
 */
const byStrides = (content: SegmentContent, from: number): SegmentContent => {
  let position = from
  return {
    ...content,
    read: (target) =>
      Effect.map(content.read(target.subarray(0, strideBytes - position % strideBytes)), (count) => {
        position += count
        return count
      })
  }
}

/**
 * A cursor that began at `point`, inside a segment, and gives what one from the front would. When it meets a fault, the
 * segment is opened from the front and read up to the same event: then that reading continues, or gives its fault. When
 * it does not come so far, because of damage before the point, this cursor's fault stays.
 */
const judgedFromTheFront = Effect.fnUntraced(function*(
  begun: SegmentCursor,
  point: SegmentPoint,
  fromTheFront: Effect.Effect<SegmentCursor, DiskError | SegmentCorrupt, Disk | Scope.Scope>
) {
  const scope = yield* Effect.scope
  let cursor = begun
  /** Of what was handed out, or lies before the point. */
  let { lastEventId } = point

  const judge = Effect.fnUntraced(function*(fault: SegmentCorrupt) {
    // The file may have lost its name meanwhile.
    const front = yield* Effect.catch(Scope.provide(fromTheFront, scope), () => Effect.fail(fault))
    while (true) {
      const read = yield* Effect.result(front.next)
      if (Result.isFailure(read)) {
        const isAsFar = (front.progress()?.point.lastEventId ?? 0) >= lastEventId
        if (isAsFar) cursor = front
        return yield* Effect.fail(isAsFar ? read.failure : fault)
      }
      const blocks = read.success.filter((block) => block.lastEventId > lastEventId)
      if (blocks.length === 0 && read.success.length > 0) continue
      cursor = front
      return blocks
    }
  })

  const next: SegmentCursor["next"] = Effect.suspend(() =>
    Effect.catchTag(cursor.next, "SegmentCorrupt", (fault) => cursor === begun ? judge(fault) : Effect.fail(fault))
  ).pipe(Effect.tap((blocks) =>
    Effect.sync(() => {
      lastEventId = blocks.at(-1)?.lastEventId ?? lastEventId
    })
  ))
  const judged: SegmentCursor = {
    ...begun,
    next,
    summary: () => cursor.summary(),
    progress: () => cursor.progress()
  }
  return judged
})

/** Opens a hot segment after what was read of it before, when it is still the same file; `undefined` when it is not. */
export const resumeSegment = Effect.fnUntraced(function*(
  file: SegmentFile,
  expectations: SegmentExpectations,
  identity: string,
  point: SegmentPoint,
  reading: Reading
) {
  if (file.form !== "hot") return undefined
  const opened = yield* openScoped(file.path, "read")
  const stat = yield* opened.stat
  if (stat.identity !== identity) return undefined
  const verifier = new SegmentVerifier(expectations, "sufficient")
  const start = new Uint8Array(headerBytesMax)
  const count = yield* readFully(opened, start, 0)
  verifier.push(start.subarray(0, count), true, () => {})
  if (verifier.header === undefined) return undefined
  verifier.resume(verifier.header, point)
  const content = hotContent(opened, stat.bytes, identity, point.offset)
  return makeCursor({ ...reading, file, content, verifier })
})

/** A place of a segment between two strides, and what is known there. */
interface Mark {
  /** The place that was tried. */
  readonly stride: number
  /** The place that was found, in strides. */
  readonly at: number
  readonly measure: number
}

/** So often a place is guessed; then the interval is halved. */
const guessesMax = 3

/** How far a guess may be off, in strides, and the probe still lies before what is sought. */
const tolerance = 0.25

/** The point that a probe finds lies behind its first block, which begins within the length of one: in strides. */
const probeStrides = ({ blockBytesMax }: SegmentHeader): number => 2 * blockBytesMax / strideBytes

/**
 * A point that has nothing before it that is sought, and of those that are tried the last one. A guess that turns out
 * to be right is not refined: then what is sought lies in what was read for the probe.
 */
const lastPointBefore = Effect.fnUntraced(function*(
  content: SeekableContent,
  header: SegmentHeader,
  { isBefore, measure, measureOf }: Sought
) {
  let found: SegmentPoint | undefined
  const end = endOfBlocks(content, header) / strideBytes
  let low: Mark = { stride: 0, at: 0, measure: measureOf(header.firstEventId - 1, header.createdNanos) }
  let high: Mark = { stride: Math.ceil(end), at: end, measure: measureOf(header.lastEventId, header.lastFlushNanos) }
  const margin = tolerance + probeStrides(header)
  let isEven = false
  for (let tries = 0; high.stride - low.stride > 1; tries++) {
    const guess = Math.floor(placeOf(measure, low, high) - margin)
    if (isEven && guess <= low.stride) return found
    const stride = tries < guessesMax
      ? Math.max(low.stride + 1, Math.min(high.stride - 1, guess))
      : (low.stride + high.stride) >>> 1
    const position = stride * strideBytes
    const probe = hasFixedBlocks(header.version)
      ? fixedPoint(content, header, position)
      : provenPoint(content, header, position)
    // Damage at a place that is only tried is no fault yet: what is sought may lie before it.
    const point = yield* Effect.catchTag(probe, "SegmentCorrupt", () => Effect.succeed(undefined))
    if (point === undefined) {
      isEven = false
      high = { ...high, stride }
      continue
    }
    const reached = measureOf(point.lastEventId, point.flush?.flushNanos ?? 0n)
    const mark: Mark = { stride, at: point.offset / strideBytes, measure: reached }
    isEven = Math.abs(placeOf(reached, low, high) - mark.at) < 0.5
    if (isBefore(point)) {
      found = point
      low = mark
    } else high = mark
  }
  return found
})

/** Where a measure lies between two marks if it grows evenly; in the middle when nothing tells. */
const placeOf = (measure: number, low: Mark, high: Mark): number => {
  const share = (measure - low.measure) / (high.measure - low.measure)
  return low.at + (high.at - low.at) * (Number.isFinite(share) ? Math.max(0, Math.min(1, share)) : 0.5)
}

/** Where the blocks of a closed segment end: a file of format 1 is longer. */
const endOfBlocks = (content: SeekableContent, { blockCount, version }: SegmentHeader): number =>
  hasFixedBlocks(version)
    ? Math.min(content.bytes, headerBytesOf(version) + blockCount * blockStepBytes(version))
    : content.bytes

/** Format 1: the point after the first block that starts at `position` or later. */
const fixedPoint = Effect.fnUntraced(function*(content: SeekableContent, header: SegmentHeader, position: number) {
  const first = headerBytesOf(header.version)
  const stepBytes = blockStepBytes(header.version)
  const blockIndex = Math.ceil((position - first) / stepBytes)
  if (blockIndex >= header.blockCount) return undefined
  const offset = first + blockIndex * stepBytes
  const bytes = new Uint8Array(blockHeaderBytes)
  yield* content.from(offset).read(bytes)
  const point = pointAfter(header, bytes, offset)
  return point?.blockIndex === blockIndex + 1 ? point : undefined
})

/** Format 2: the point after the first block at `position` or later that is proven to be one. */
const provenPoint = Effect.fnUntraced(function*(content: SeekableContent, header: SegmentHeader, position: number) {
  const blockBytes = blockBytesInFile(header.version, header.blockBytesMax)
  // A guess is cut to a whole stride. So with this much what is sought is read, too, when the guess was right.
  const source = content.from(position, (1 + 2 * tolerance + probeStrides(header)) * strideBytes)
  // A block starts within one block's length. After it come a run longer than a payload, and the block in which the run
  // breaks off.
  const buffer = new Uint8Array(Math.min(content.bytes - position, 4 * blockBytes))
  let end = 0
  let refuted = 0
  for (
    let at = 0;
    at <= blockBytes && at + blockHeaderBytes <= buffer.length && refuted < refutedMax;
    at += blockAlignment
  ) {
    while (true) {
      const atEnd = position + end === content.bytes
      const verdict = end < at + blockHeaderBytes
        ? "more"
        : tryBlock(header, buffer.subarray(at, end), position + at, atEnd)
      if (verdict === "refuted") refuted += 1
      if (verdict === "no" || verdict === "refuted") break
      if (verdict !== "more") return verdict
      if (end === buffer.length) break
      const count = yield* source.read(buffer.subarray(end, Math.min(buffer.length, end + strideBytes)))
      if (count === 0) return undefined
      end += count
    }
  }
  return undefined
})

/** Whether a block starts with the first of `bytes`; then the point after it. */
const tryBlock = (
  header: SegmentHeader,
  bytes: Uint8Array,
  offset: number,
  atEnd: boolean
): SegmentPoint | "no" | "refuted" | "more" => {
  const point = pointAfter(header, bytes, offset)
  if (point === undefined) return "no"
  const begin = point.offset - offset
  if (bytes.length < begin) return atEnd ? "no" : "more"
  const verifier = new SegmentVerifier({}, "sufficient")
  verifier.resume(header, point)
  const used = verifier.push(bytes.subarray(begin), atEnd, () => {})
  if (verifier.fault !== undefined) return "refuted"
  return atEnd || begin + used > blockBytesInFile(header.version, header.blockBytesMax) ? point : "more"
}

/** What a block at `offset` leaves to the next one, if `bytes` start with one that this segment can have. */
const pointAfter = (header: SegmentHeader, bytes: Uint8Array, offset: number): SegmentPoint | undefined => {
  const block = blockAt(blocksOf(header), bytes, 0)
  if (block === undefined) return undefined
  const { blockIndex, chainedChecksum, lastEventId, payloadBytes } = block
  const next = offset + blockBytesInFile(header.version, payloadBytes)
  return { offset: next, blockIndex: blockIndex + 1, lastEventId, chainedChecksum, flush: block }
}
