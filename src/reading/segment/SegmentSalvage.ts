/**
 * Continues after damage inside a segment: finds the next block that verifies. It is meant for an operator who looks
 * for what is left, not for programs that rely on it: a block after damage has its own checksums and its ids as proof,
 * but nothing proves what lay before it, and recorded bytes that look like a block can pass for one.
 *
 * A block with an intact header and a damaged payload is skipped as a whole, so its payload is not taken for blocks.
 * The next block must have a later index and later ids. Where a seekable frame is damaged itself, its next blocks are
 * tried; in other compressed forms nothing can be decoded after damage.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { openScoped } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockBytesInFile, blockHeaderBytes } from "../../format/Block.ts"
import type { BlockHeader } from "../../format/Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { blockStepBytes } from "../../format/SegmentLayout.ts"
import type { SegmentPoint, VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { SegmentVerifier } from "../../format/SegmentVerifier.ts"
import type { BlockMemory } from "./BlockMemory.ts"
import { blockAt, blocksFrom, refutedMax } from "./BlockSearch.ts"
import { seekable } from "./SeekableContent.ts"
import type { SeekableContent } from "./SeekableContent.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import { openContent } from "./SegmentContent.ts"
import type { SegmentCursor } from "./SegmentReader.ts"
import { makeCursor } from "./SegmentReader.ts"

/** Bytes that are searched at once. */
const windowBytes = 64 * 1024

/** A segment that is read after damage. */
interface Salvaged {
  readonly cursor: SegmentCursor
  /** The first blocks, read already. */
  readonly blocks: ReadonlyArray<VerifiedBlock>
  /** Where the first of them starts. */
  readonly offset: number
}

/**
 * The next block at `point` or after it that verifies; `undefined` when there is none. The blocks before the point were
 * read; the one at the point is damaged or does not continue them.
 */
export const openSegmentPast = Effect.fnUntraced(function*(
  file: SegmentFile,
  header: SegmentHeader,
  point: SegmentPoint,
  memory: BlockMemory
) {
  const outer = yield* Effect.scope
  const opened = yield* openScoped(file.path, "read")
  const content = yield* Effect.orElseSucceed(
    Effect.flatMap(opened.stat, (stat) => seekable(file, opened, stat)),
    () => undefined
  )
  const stepBytes = blockStepBytes(header.version)
  let refuted = 0
  let offset = point.offset
  while (refuted < refutedMax) {
    const candidate = yield* search(file, content, header, { ...point, offset }, stepBytes)
    if (candidate === undefined) return undefined
    const { block } = candidate
    const scope = yield* Scope.fork(outer)
    const verifier = new SegmentVerifier({}, "sufficient")
    verifier.resume(header, {
      offset: candidate.offset,
      blockIndex: block.blockIndex,
      lastEventId: block.firstEventId - 1,
      chainedChecksum: undefined
    })
    const rest = yield* Scope.provide(contentFrom(file, content, candidate.offset), scope)
    const cursor = makeCursor({ file, content: rest, verifier, memory, tail: "left" })
    const first = yield* Effect.result(cursor.next)
    if (Result.isSuccess(first) && first.success.length > 0) {
      const salvaged: Salvaged = { cursor, blocks: first.success, offset: candidate.offset }
      return salvaged
    }
    yield* Scope.close(scope, Exit.void)
    refuted += 1
    offset = candidate.offset + blockBytesInFile(header.version, block.payloadBytes)
  }
  return undefined
})

const contentFrom = Effect.fnUntraced(function*(
  file: SegmentFile,
  content: SeekableContent | undefined,
  offset: number
) {
  if (content !== undefined) return content.from(offset)
  const fromTheFront = yield* openContent(file)
  const scratch = new Uint8Array(windowBytes)
  let passed = 0
  while (passed < offset) {
    const count = yield* fromTheFront.read(scratch.subarray(0, Math.min(scratch.length, offset - passed)))
    if (count === 0) break
    passed += count
  }
  return fromTheFront
})

interface Candidate {
  readonly offset: number
  readonly block: BlockHeader
}

/** The next place at `point.offset` or after it that has an intact block header that can follow. */
const search = (
  file: SegmentFile,
  content: SeekableContent | undefined,
  header: SegmentHeader,
  point: SegmentPoint,
  stepBytes: number
) =>
  Effect.scoped(Effect.gen(function*() {
    let windowStart = point.offset
    let source: SegmentContent | undefined = yield* contentFrom(file, content, windowStart)
    const window = new Uint8Array(windowBytes)
    const blocks = blocksFrom(header, point)
    // In format 1 only the header of each block is looked at, so a step is longer than a window.
    while (source !== undefined) {
      const read = yield* Effect.result(source.read(window))
      if (Result.isFailure(read)) {
        // After a damaged block of the frame the next one may be intact.
        const beyond: number = (Math.floor(windowStart / pieceBytes) + 1) * pieceBytes
        if (content === undefined || beyond >= content.bytes) return undefined
        windowStart = firstPlaceFrom(beyond, point.offset, stepBytes)
        source = content.from(windowStart)
        continue
      }
      const count = read.success
      if (count === 0) return undefined
      const first = firstPlaceFrom(windowStart, point.offset, stepBytes)
      for (let offset = first; offset + blockHeaderBytes <= windowStart + count; offset += stepBytes) {
        const block = blockAt(blocks, window, offset - windowStart)
        if (block !== undefined) return { offset, block } satisfies Candidate
      }
      windowStart += count
    }
    return undefined
  }))

/** The first place at `offset` or after it where a block can start, counted from a place where one did. */
const firstPlaceFrom = (offset: number, from: number, stepBytes: number): number =>
  from + Math.ceil((offset - from) / stepBytes) * stepBytes
