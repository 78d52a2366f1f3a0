/**
 * Reads the content of a cold file made of LZ4 frames, piece by piece, and checks everything that a frame lets us
 * check. One exception: the content checksum is skipped when the reader proves the content itself (`isProven`).
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
import { Lz4FrameContent } from "../../format/lz4/Lz4FrameContent.ts"
import type { FramePart } from "../../format/lz4/Lz4FrameParser.ts"
import { Lz4FrameParser } from "../../format/lz4/Lz4FrameParser.ts"
import { decoding } from "./SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"

/** Bytes of compressed file read at once. */
export const compressedReadBytes = 512 * 1024

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

/** A file's content as pieces. */
interface FrameReader {
  /** The next piece, which is valid until the next call; `undefined` at the end. */
  readonly next: Effect.Effect<Uint8Array | undefined, DiskError | SegmentCorrupt>
  /** At most this many bytes are still to come. */
  readonly restBytesMax: () => number
}

/**
 * Reads an open file of frames from its first byte. `isProven` tells whether the reader proves every byte of the
 * content by checksums inside the content. `memory` serves no other reader until this one is done.
 */
export const makeFrameReader = (
  file: SegmentFile,
  opened: DiskFile,
  fileBytes: number,
  isProven: () => boolean,
  memory: FrameMemory
): FrameReader => {
  const { parser } = memory
  parser.reset()
  const content = new Lz4FrameContent(isProven)
  const chunk = memory.take(Math.min(compressedReadBytes, fileBytes + 1))
  let position = 0
  let parts: Iterator<FramePart> | undefined
  /** Where in the file the last block that was decoded ends. */
  let decodedTo = 0
  let piece: Uint8Array | undefined

  /** The next part of the file, or `undefined` at its end. */
  const nextPart = Effect.gen(function*() {
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

  /** The content of a part; `undefined` when it has none. */
  const decode = (part: FramePart): Uint8Array | undefined => {
    if (part._tag !== "Block") {
      content.take(part)
      return undefined
    }
    const { block, header, offset } = part
    const decoded = decodeBlock(block, header.blockBytesMax, offset, content.history(header))
    decodedTo = offset + block.length
    content.takePiece(part, decoded)
    return decoded.length === 0 ? undefined : decoded
  }

  const next = Effect.gen(function*() {
    if (piece !== undefined) {
      releaseNative(piece)
      piece = undefined
      yield* Effect.yieldNow
    }
    while (true) {
      const part = yield* nextPart
      if (part === undefined) {
        decodedTo = fileBytes
        return undefined
      }
      piece = yield* decoding(file, () => decode(part))
      if (piece !== undefined) return piece
    }
  })

  return { next, restBytesMax: () => Math.max(0, fileBytes - decodedTo) * contentBytesPerDataByteMax }
}
