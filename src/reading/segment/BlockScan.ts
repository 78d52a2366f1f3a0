/**
 * Looks for block headers in the bytes of a segment, wherever they may stand: after damage nothing else tells where the
 * next block starts. What is found is a candidate, see `BlockSearch`.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockHeaderBytes } from "../../format/Block.ts"
import type { BlockHeader } from "../../format/Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { blockStepBytes } from "../../format/SegmentLayout.ts"
import type { SegmentPoint } from "../../format/SegmentVerifier.ts"
import { blockAt, blocksFrom } from "./BlockSearch.ts"
import type { SeekableContent } from "./SeekableContent.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import { openContent } from "./SegmentContent.ts"

/** Bytes that are searched at once. */
const windowBytes = 64 * 1024

/** A place where a block header is intact. */
export interface Candidate {
  readonly offset: number
  readonly block: BlockHeader
}

/** The content of a segment from an offset on; that of a file that is not seekable is read from its front. */
export const contentFrom = Effect.fnUntraced(function*(
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

/**
 * The first place at `offset` or after it where a block can start that may follow `point`, and for which `isWanted`
 * holds.
 */
export const scan = (
  file: SegmentFile,
  content: SeekableContent | undefined,
  header: SegmentHeader,
  point: SegmentPoint,
  offset: number,
  isWanted: (candidate: Candidate) => boolean = () => true
) =>
  Effect.scoped(Effect.gen(function*() {
    let windowStart = offset
    let source: SegmentContent | undefined = yield* contentFrom(file, content, windowStart)
    const window = new Uint8Array(windowBytes)
    const blocks = blocksFrom(header, point)
    const stepBytes = blockStepBytes(header.version)
    // In format 1 only the header of each block is looked at, so a step is longer than a window.
    while (source !== undefined) {
      const read = yield* Effect.result(source.read(window))
      if (Result.isFailure(read)) {
        // After a damaged block of the frame the next one may be intact.
        const beyond: number = (Math.floor(windowStart / pieceBytes) + 1) * pieceBytes
        if (content === undefined || beyond >= content.bytes) return undefined
        windowStart = firstPlaceFrom(beyond, offset, stepBytes)
        source = content.from(windowStart)
        continue
      }
      const count = read.success
      if (count === 0) return undefined
      const first = firstPlaceFrom(windowStart, offset, stepBytes)
      for (let at = first; at + blockHeaderBytes <= windowStart + count; at += stepBytes) {
        const block = blockAt(blocks, window, at - windowStart)
        if (block === undefined) continue
        const candidate: Candidate = { offset: at, block }
        if (isWanted(candidate)) return candidate
      }
      windowStart += count
    }
    return undefined
  }))

/** The first place at `offset` or after it where a block can start, counted from a place where one did. */
const firstPlaceFrom = (offset: number, from: number, stepBytes: number): number =>
  from + Math.ceil((offset - from) / stepBytes) * stepBytes
