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
import { blockBytesInFile } from "../../format/Block.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import type { SegmentPoint, VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { SegmentVerifier } from "../../format/SegmentVerifier.ts"
import { contentFrom, scan } from "./BlockScan.ts"
import { refutedMax } from "./BlockSearch.ts"
import { seekable } from "./SeekableContent.ts"
import type { Reading, SegmentCursor } from "./SegmentReader.ts"
import { makeCursor } from "./SegmentReader.ts"

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
  reading: Reading
) {
  const outer = yield* Effect.scope
  const opened = yield* openScoped(file.path, "read")
  const content = yield* Effect.orElseSucceed(
    Effect.flatMap(opened.stat, (stat) => seekable(file, opened, stat)),
    () => undefined
  )
  let refuted = 0
  let offset = point.offset
  while (refuted < refutedMax) {
    const candidate = yield* scan(file, content, header, point, offset)
    if (candidate === undefined) return undefined
    const { block } = candidate
    const scope = yield* Scope.fork(outer)
    const verifier = new SegmentVerifier({}, "sufficient")
    verifier.resume(header, {
      offset: candidate.offset,
      blockIndex: block.blockIndex,
      lastEventId: block.firstEventId - 1,
      chainedChecksum: undefined,
      flush: undefined
    })
    const rest = yield* Scope.provide(contentFrom(file, content, candidate.offset), scope)
    const cursor = makeCursor({ ...reading, file, content: rest, verifier })
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
