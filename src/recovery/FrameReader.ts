/**
 * The content of a cold file made of LZ4 frames, piece by piece, everything checked that a frame offers for checking. While
 * a piece is being used the blocks behind it are decoded on Node's thread pool, so hashing and verifying on the asking
 * thread overlap with decoding.
 *
 * How far it reads ahead grows with the pieces taken, so whoever wants only a segment's beginning has only its first block
 * decoded. At most `blocksAheadMax` blocks, and no more than one once `contentBytesAheadMax` is reached: of our frames that are
 * 4 MiB of content and what it was compressed to, of foreign ones with blocks of 4 MiB twice that. Blocks that are linked,
 * and those so short that handing them to another thread costs as much as decoding them, are decoded where they are needed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { DiskError, DiskFile } from "../disk/Disk.ts"
import { readFully } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { contentBytesPerDataByteMax, decodeBlock, decodeBlockOnPool, releaseNative } from "../format/Lz4Block.ts"
import { Lz4FrameContent } from "../format/Lz4FrameContent.ts"
import type { FramePart } from "../format/Lz4FrameParser.ts"
import { Lz4FrameParser } from "../format/Lz4FrameParser.ts"
import { decoding, decodingLater } from "./SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"

/** Bytes of compressed file read at once. */
const compressedReadBytes = 1024 * 1024

const blocksAheadMax = 4
const contentBytesAheadMax = 4 * 1024 * 1024

/** Handing a block to another thread and back takes some 50 µs; so much compressed text is decoded in that time. */
const poolBlockBytesMin = 64 * 1024

/** A part whose turn has not come; a block that is decoded elsewhere has begun. */
interface Ahead {
  readonly part: FramePart
  readonly decoded: Promise<Uint8Array> | undefined
}

/**
 * A file's content as pieces.
 *
 * @since 0.1.0
 * @category models
 */
export interface FrameReader {
  /** The next piece, which is valid until the next call; `undefined` at the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, DiskError | SegmentCorrupt>
  /** At most so many bytes are still to come. */
  readonly restBytesMax: () => number
}

/**
 * Reads an open file of frames from its first byte.
 *
 * @since 0.1.0
 * @category reading
 */
export const makeFrameReader = (file: SegmentFile, opened: DiskFile, fileBytes: number): FrameReader => {
  const parser = new Lz4FrameParser()
  const content = new Lz4FrameContent()
  const chunk = new Uint8Array(Math.min(compressedReadBytes, fileBytes + 1))
  let position = 0
  let parts: Iterator<FramePart> | undefined
  let ended = false
  let failure: DiskError | SegmentCorrupt | undefined
  const ahead: Array<Ahead> = []
  let blocksAhead = 0
  let contentBytesAhead = 0
  let compressedBytesAhead = 0
  let blocksWanted = 1
  let piece: Uint8Array | undefined

  /** The next part of the file, or `undefined` at its end. */
  const parse = Effect.gen(function*() {
    while (true) {
      if (parts === undefined) {
        const count = yield* readFully(opened, chunk, position)
        position += count
        if (count === 0) {
          yield* decoding(file, () => parser.end())
          return undefined
        }
        parts = parser.push(chunk.subarray(0, count))[Symbol.iterator]()
      }
      const current = parts
      const step = yield* decoding(file, () => current.next())
      if (step.done !== true) return step.value
      parts = undefined
    }
  })

  /** Memory of blocks that were decoded. */
  const spare: Array<Uint8Array> = []

  /** The parser's view on a block is overwritten with the next one, so what waits has memory of its own. */
  const keep = (block: Uint8Array): Uint8Array => {
    const room = spare.pop()
    const memory = room !== undefined && room.length >= block.length ? room : Buffer.allocUnsafeSlow(block.length)
    memory.set(block)
    return memory.subarray(0, block.length)
  }

  const begin = (part: FramePart): Ahead => {
    if (part._tag !== "Block") return { part, decoded: undefined }
    const block = keep(part.block)
    blocksAhead += 1
    contentBytesAhead += part.header.blockBytesMax
    compressedBytesAhead += block.length
    const owned = { ...part, block }
    if (part.header.linked || block.length < poolBlockBytesMin) return { part: owned, decoded: undefined }
    const decoded = decodeBlockOnPool(block, part.header.blockBytesMax, part.offset)
    // Nobody may come to wait for it.
    decoded.catch(() => {})
    return { part: owned, decoded }
  }

  const isFull = (): boolean =>
    blocksAhead >= blocksWanted || (blocksAhead > 0 && contentBytesAhead >= contentBytesAheadMax)

  /** What was read before a failure is handed out first. */
  const readAhead = Effect.gen(function*() {
    while (!ended && !isFull()) {
      const part = yield* parse
      if (part === undefined) ended = true
      else ahead.push(begin(part))
    }
  }).pipe(Effect.catch((error) =>
    Effect.sync(() => {
      failure = error
      ended = true
    })
  ))

  const decode = Effect.fnUntraced(function*({ decoded, part }: Ahead) {
    if (part._tag !== "Block") {
      yield* decoding(file, () => content.take(part))
      return undefined
    }
    const { block, header, offset } = part
    blocksAhead -= 1
    contentBytesAhead -= header.blockBytesMax
    compressedBytesAhead -= block.length
    const taken = decoded === undefined
      ? yield* decoding(file, () => decodeBlock(block, header.blockBytesMax, offset, content.history(header)))
      : yield* decodingLater(file, decoded)
    spare.push(new Uint8Array(block.buffer))
    yield* decoding(file, () => content.takePiece(part, taken))
    return taken
  })

  const next = Effect.gen(function*() {
    if (piece !== undefined) releaseNative(piece)
    piece = undefined
    while (true) {
      yield* readAhead
      const first = ahead.shift()
      if (first === undefined) return failure === undefined ? undefined : yield* Effect.fail(failure)
      const decoded = yield* decode(first)
      if (decoded === undefined || decoded.length === 0) continue
      piece = decoded
      blocksWanted = Math.min(blocksAheadMax, blocksWanted + 1)
      yield* readAhead
      return piece
    }
  })

  return {
    next,
    restBytesMax: () =>
      ended && ahead.length === 0
        ? 0
        : (fileBytes - position + chunk.length + compressedBytesAhead) * contentBytesPerDataByteMax
  }
}
