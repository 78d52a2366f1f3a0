/**
 * Reads the uncompressed bytes of a segment file, in order, whatever form it has: hot, one or more LZ4 frames, or one
 * LZ4 block. Memory is bounded whatever the file claims: a hot file is read straight into the caller's buffer, a frame
 * holds one of its blocks beside it (see `FrameReader`), the block form a piece (see `Lz4BlockFile`). A reader that
 * stops early, as one that wants a header or finds a fault, decodes no more than it has read.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Disk, DiskError, DiskFile } from "../../disk/Disk.ts"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockFormContentBytesMax } from "../../format/Limits.ts"
import { Lz4BlockFile } from "../../format/lz4/Lz4BlockFile.ts"
import { compressedReadBytes, FrameMemory, makeFrameReader } from "./FrameReader.ts"
import { decoding } from "./SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"

/** The bytes of one segment, read from the front. */
export interface SegmentContent {
  /**
   * Fills `target` from its first byte and returns how many bytes it got, 0 only at the end. Bytes that were read
   * before a failure are given first; the failure comes with the next call.
   */
  readonly read: (target: Uint8Array) => Effect.Effect<number, DiskError | SegmentCorrupt>
  /** At most this many bytes are still to come, as far as can be told without reading. */
  readonly restBytesMax: () => number
  /** Of a file of frames, after bytes of it were read: the length of the content that it claims, when it does. */
  readonly claimedBytes: () => number | undefined
  /** Of a hot file: identifies this very file, whatever its name; empty for others. */
  readonly identity: string
  /** Of a hot file: the bytes of this very file from `position` on, as they are now. */
  readonly from: ((position: number) => SegmentContent) | undefined
}

/**
 * Opens a segment's content. The file stays open as long as the scope; a file that is unlinked meanwhile can still be
 * read.
 *
 * `isProven` gives `true` once the reader proves every byte by checksums inside the content; then a frame's own
 * checksum of its content is skipped. `memory` serves one content at a time.
 */
export const openContent = Effect.fnUntraced(function*(
  file: SegmentFile,
  isProven: () => boolean = () => false,
  memory: FrameMemory = new FrameMemory()
): Effect.fn.Return<SegmentContent, DiskError | SegmentCorrupt, Disk | Scope.Scope> {
  const opened = yield* openScoped(file.path, "read")
  const { bytes, identity } = yield* opened.stat
  return file.form === "hot"
    ? hotContent(opened, bytes, identity, 0)
    : coldContent(file, opened, bytes, isProven, memory)
})

/** The content of an open cold file of this length. */
export const coldContent = (
  file: SegmentFile,
  opened: Pick<DiskFile, "read">,
  fileBytes: number,
  isProven: () => boolean,
  memory: FrameMemory
): SegmentContent => {
  if (file.compression === "block") return blockContent(file, opened, fileBytes, memory)
  const { claimedBytes, next, restBytesMax } = makeFrameReader(file, opened, fileBytes, isProven, memory)
  return contentOfPieces(next, restBytesMax, claimedBytes)
}

/** The bytes of an open hot file from `offset`. */
export const hotContent = (
  opened: DiskFile,
  fileBytes: number,
  identity: string,
  offset: number
): SegmentContent => {
  let position = offset
  return {
    read: (target) =>
      Effect.map(readFully(opened, target, position), (count) => {
        position += count
        return count
      }),
    restBytesMax: () => Math.max(0, fileBytes - position),
    claimedBytes: claimsNothing,
    identity,
    from: (position) => hotContent(opened, fileBytes, identity, position)
  }
}

const nothing = new Uint8Array(0)

const claimsNothing = () => undefined

/**
 * Content that comes as pieces: `next` gives one, or `undefined` at the end. A piece is used up before `next` is run
 * again.
 */
export const contentOfPieces = (
  next: Effect.Effect<Uint8Array | undefined, DiskError | SegmentCorrupt>,
  restBytesMax: () => number,
  claimedBytes: () => number | undefined = claimsNothing
): SegmentContent => {
  let piece: Uint8Array = nothing
  let taken = 0
  let ended = false
  let failure: DiskError | SegmentCorrupt | undefined
  return {
    read: Effect.fnUntraced(function*(target: Uint8Array) {
      if (failure !== undefined) return yield* Effect.fail(failure)
      let done = 0
      while (done < target.length) {
        if (taken === piece.length) {
          if (ended) break
          piece = nothing
          taken = 0
          const following = yield* Effect.result(next)
          if (Result.isFailure(following)) {
            failure = following.failure
            if (done === 0) return yield* Effect.fail(failure)
            break
          }
          if (following.success === undefined) {
            ended = true
            break
          }
          piece = following.success
        }
        const count = Math.min(piece.length - taken, target.length - done)
        target.set(piece.subarray(taken, taken + count), done)
        taken += count
        done += count
      }
      return done
    }),
    restBytesMax: () => piece.length - taken + (ended ? 0 : restBytesMax()),
    claimedBytes,
    identity: "",
    from: undefined
  }
}

const blockContent = (
  file: SegmentFile,
  opened: Pick<DiskFile, "read">,
  fileBytes: number,
  memory: FrameMemory
): SegmentContent => {
  const decoder = new Lz4BlockFile(fileBytes, blockFormContentBytesMax)
  const chunk = memory.take(Math.min(compressedReadBytes, fileBytes + 1))
  let position = 0
  let pieces: Iterator<Uint8Array> | undefined
  const next = Effect.gen(function*() {
    while (true) {
      if (pieces === undefined) {
        const count = yield* readFully(opened, chunk, position)
        position += count
        if (count === 0) {
          yield* decoding(file, () => decoder.end())
          return undefined
        }
        pieces = decoder.push(chunk.subarray(0, count))
      }
      const current = pieces
      const step = yield* decoding(file, () => current.next())
      if (step.done !== true) return step.value
      pieces = undefined
    }
  })
  return contentOfPieces(next, () => decoder.restBytesMax)
}
