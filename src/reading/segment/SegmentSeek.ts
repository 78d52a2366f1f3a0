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
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"
import type { Reading, SegmentCursor } from "./SegmentReader.ts"
import { makeCursor, openSegment } from "./SegmentReader.ts"

/** Distance of the places that are tried: the content of one block of our frames. */
const strideBytes = pieceBytes

/** Tells whether everything before a point lies before what is sought; then the same holds for all points before it. */
export type IsBefore = (point: SegmentPoint) => boolean

/** Opens a segment for reading from what is sought, or from something before it. */
export const openSegmentAt = (
  file: SegmentFile,
  expectations: SegmentExpectations,
  isBefore: IsBefore,
  reading: Reading
): Effect.Effect<SegmentCursor, DiskError | SegmentCorrupt, Disk | Scope.Scope> =>
  Effect.gen(function*() {
    const opened = yield* openScoped(file.path, "read")
    const content = yield* seekable(file, opened, yield* opened.stat, reading.memory.frame)
    const fromTheFront = openSegment(file, expectations, reading)
    if (content === undefined || content.bytes < 4 * strideBytes) return yield* fromTheFront
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
    const point = yield* lastPointBefore(content, header, isBefore)
    if (point === undefined) return yield* fromTheFront
    verifier.resume(header, point)
    const cursor = makeCursor({ ...reading, file, content: content.from(point.offset), verifier })
    return yield* judgedFromTheFront(cursor, point, fromTheFront)
  })

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

/** The last of the points that are tried that has nothing before it that is sought. */
const lastPointBefore = Effect.fnUntraced(function*(
  content: SeekableContent,
  header: SegmentHeader,
  isBefore: IsBefore
) {
  let found: SegmentPoint | undefined
  let low = 1
  let high = Math.floor((content.bytes - 1) / strideBytes)
  while (low <= high) {
    const middle = (low + high) >>> 1
    const position = middle * strideBytes
    const probe = hasFixedBlocks(header.version)
      ? fixedPoint(content, header, position)
      : provenPoint(content, header, position)
    // Damage at a place that is only tried is no fault yet: what is sought may lie before it.
    const point = yield* Effect.catchTag(probe, "SegmentCorrupt", () => Effect.succeed(undefined))
    if (point !== undefined && isBefore(point)) {
      found = point
      low = middle + 1
    } else {
      high = middle - 1
    }
  }
  return found
})

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
  const source = content.from(position)
  // A block starts within one block's length. After it come a run longer than a payload, and the block in which the run
  // breaks off.
  const blockBytes = blockBytesInFile(header.version, header.blockBytesMax)
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
