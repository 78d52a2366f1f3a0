/**
 * Reads the content of a cold file made of LZ4 frames, piece by piece, and checks everything that a frame lets us
 * check. One exception: the content checksum is skipped when the reader proves the content itself (`isProven`).
 *
 * A freeze proves what it writes by the same reader (`makeFrameBlocks`), while it is still writing.
 *
 * Blocks are decoded on the reading thread. Decoding in Node's thread pool was faster by 10 to 20 % when a core was
 * free, and cost 400 MiB: when one thread allocates and another frees, some hundred blocks wait before the native
 * allocator uses them again. After each piece the thread serves its other fibers.
 */
import * as Effect from "effect/Effect"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import { readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { contentBytesPerDataByteMax, decodeBlock, releaseNative } from "../../format/lz4/Lz4Block.ts"
import type { FrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { Lz4FrameContent } from "../../format/lz4/Lz4FrameContent.ts"
import type { FramePart } from "../../format/lz4/Lz4FrameParser.ts"
import { Lz4FrameParser } from "../../format/lz4/Lz4FrameParser.ts"
import { decoding } from "./SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"

/** Bytes of compressed file read at once. */
export const compressedReadBytes = 512 * 1024

/** A reader that begins in the middle looks for a place, and mostly wants one block. */
const startReadBytesMin = 64 * 1024

/**
 * The memory for reading frames beside their content: a buffer of compressed file, and the block being gathered. It
 * serves one file after the other. When it was made anew for each segment, the garbage collector ran every third
 * segment, which took a fifth of the time.
 */
export class FrameMemory {
  readonly parser = new Lz4FrameParser()
  private buffer = new Uint8Array(0)

  /** The buffer, of at least `bytes`. */
  take(bytes: number): Uint8Array {
    if (this.buffer.length < bytes) this.buffer = new Uint8Array(bytes)
    return this.buffer
  }
}

/** A block of a frame, as `decodeBlock` wants it; a view that is valid until the next one is taken. */
export type FrameBlock = Extract<FramePart, { readonly _tag: "Block" }>

/** The blocks of a file of frames. What stands between them is checked on the way. */
interface FrameBlocks {
  /** The next block; `undefined` at the end of the file. */
  readonly next: Effect.Effect<FrameBlock | undefined, DiskError | SegmentCorrupt>
  /** Decodes the block taken last. */
  readonly decode: (block: FrameBlock) => Effect.Effect<Uint8Array, SegmentCorrupt>
  /** Checks what the block taken last was decoded to. */
  readonly check: (block: FrameBlock, piece: Uint8Array) => Effect.Effect<void, SegmentCorrupt>
}

/** Where the bytes of a file come from. `readAt` gives 0 bytes only at the end. */
interface FrameSource {
  readonly file: SegmentFile
  readonly readAt: (target: Uint8Array, position: number) => Effect.Effect<number, DiskError>
  readonly chunkBytes: number
  /** Where to begin; at the first byte of the file when this is not given. */
  readonly start?: FrameStart
}

/** The start of a block in the first frame of a file; its blocks are independent. */
interface FrameStart {
  readonly header: FrameHeader
  /** In the file. */
  readonly offset: number
  /** Bytes of the blocks that are wanted first: so much is read at once, and not less than 64 KiB. */
  readonly blockBytes: number
  /** The content before it. */
  readonly contentBytes: number
}

/** Takes the blocks out of a file of frames. The rest is as for `makeFrameReader`. */
export const makeFrameBlocks = (
  { chunkBytes, file, readAt, start }: FrameSource,
  isProven: () => boolean,
  memory: FrameMemory
): FrameBlocks => {
  const { parser } = memory
  parser.reset()
  const content = new Lz4FrameContent(isProven)
  if (start !== undefined) {
    parser.resume(start.header, start.offset)
    content.resume(start.contentBytes)
  }
  const chunk = memory.take(chunkBytes).subarray(0, chunkBytes)
  let position = start?.offset ?? 0
  let parts: Iterator<FramePart> | undefined

  /** The next block of the chunk; `undefined` when it has no more. */
  const nextOfChunk = (): FrameBlock | undefined => {
    if (parts === undefined) return undefined
    for (let step = parts.next(); step.done !== true; step = parts.next()) {
      if (step.value._tag === "Block") return step.value
      content.take(step.value)
    }
    parts = undefined
    return undefined
  }

  return {
    next: Effect.gen(function*() {
      while (true) {
        const block = yield* decoding(file, nextOfChunk)
        if (block !== undefined) return block
        const count = yield* readAt(chunk, position)
        position += count
        if (count === 0) {
          yield* decoding(file, () => parser.end())
          return undefined
        }
        parts = parser.push(chunk.subarray(0, count))[Symbol.iterator]()
      }
    }),
    decode: ({ block, header, offset }) =>
      decoding(file, () => decodeBlock(block, header.blockBytesMax, offset, content.history(header))),
    check: (block, piece) => decoding(file, () => content.takePiece(block, piece))
  }
}

/** A file's content as pieces. */
interface FrameReader {
  /** The next piece, which is valid until the next call; `undefined` at the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, DiskError | SegmentCorrupt>
  /** At most this many bytes are still to come. */
  readonly restBytesMax: () => number
  /** What the first frame claims as the length of its content, after its first block; `undefined` when it does not. */
  readonly claimedBytes: () => number | undefined
}

/**
 * Reads an open file of frames, from its first byte or from `start`. `isProven` tells whether the reader proves every
 * byte of the content by checksums inside the content. `memory` serves no other reader until this one is done.
 */
export const makeFrameReader = (
  file: SegmentFile,
  opened: Pick<DiskFile, "read">,
  fileBytes: number,
  isProven: () => boolean,
  memory: FrameMemory,
  start?: FrameStart
): FrameReader => {
  const readAt: FrameSource["readAt"] = (target, position) => readFully(opened, target, position)
  const readBytes = start === undefined ? compressedReadBytes : Math.max(startReadBytesMin, start.blockBytes)
  const chunkBytes = Math.min(readBytes, fileBytes + 1)
  const source: FrameSource = { file, readAt, chunkBytes, ...(start === undefined ? {} : { start }) }
  const blocks = makeFrameBlocks(source, isProven, memory)
  /** Where in the file the last block that was decoded ends. */
  let decodedTo = start?.offset ?? 0
  let piece: Uint8Array | undefined
  let first: FrameHeader | undefined

  const next = Effect.gen(function*() {
    if (piece !== undefined) {
      releaseNative(piece)
      piece = undefined
      yield* Effect.yieldNow
    }
    while (true) {
      const block = yield* blocks.next
      if (block === undefined) {
        decodedTo = fileBytes
        return undefined
      }
      decodedTo = block.offset + block.block.length
      first ??= block.header
      const decoded = yield* blocks.decode(block)
      yield* blocks.check(block, decoded)
      if (decoded.length === 0) continue
      piece = decoded
      return piece
    }
  })

  return {
    next,
    restBytesMax: () => Math.max(0, fileBytes - decodedTo) * contentBytesPerDataByteMax,
    claimedBytes: () => first?.contentBytes
  }
}
