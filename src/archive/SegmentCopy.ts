/**
 * The copy of a segment that goes to the store, read piece by piece: a cold file as it is, or a frame that is made of a
 * hot one on the way.
 *
 * A store wants length and MD5 first. So a frame is made once to know them, and its content is proved on the way. Its
 * first blocks stay in memory; the others are made again when they are sent. The same compressor makes the same bytes,
 * and where it did not, the store would refuse them by their MD5.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { openScoped, readFully } from "../disk/Disk.ts"
import type { Disk, DiskError, DiskFile } from "../disk/Disk.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import { blockPlacesMax } from "../format/lz4/Lz4BlockPlaces.ts"
import { blockChunks, frameEnd, frameHeader, pieceBytes } from "../format/lz4/Lz4Frame.ts"
import { isSegmentFault } from "../format/SegmentFault.ts"
import { makeXxh32, makeXxh64 } from "../internal/xxh64.ts"
import { Compressor, settle } from "../maintainer/Compressor.ts"
import { compressedBytesMax, keepPiece, takePiece } from "../maintainer/compressor/PieceMemory.ts"
import { corrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { makeMd5 } from "../store/Md5.ts"
import type { ObjectSource } from "../store/ObjectStore.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { NotProved } from "./ArchiveReason.ts"
import { hexOf } from "./Manifest.ts"
import type { SegmentRow } from "./Manifest.ts"
import { makeProving } from "./SegmentCheck.ts"
import type { ProvedContent, StoredFacts } from "./SegmentCheck.ts"

/** So much of a frame that is made on the way stays in memory until it is sent. */
const keptBytesMax = 2 * 1024 * 1024

/** The memory of one copy, which serves one after the other. A cold file as it is needs none. */
export class CopyMemory {
  /** The beginning of a frame. */
  kept = new Uint8Array(0)
  /** The block that was made again last. */
  block = new Uint8Array(0)
}

/** A copy, as it is sent. */
export interface SegmentCopy extends ObjectSource<DiskError | ArchiveError> {
  readonly form: SegmentRow["form"]
  /** The file that it is made of. */
  readonly file: SegmentFile
  /** What is known of a frame that is made on the way; `undefined` of a cold file as it is. */
  readonly made: MadeFrame | undefined
}

/** What is known of a frame after it was made. */
interface MadeFrame {
  /** What was found in the hot file. */
  readonly content: ProvedContent
  readonly stored: StoredFacts
  readonly md5: Uint8Array
}

/**
 * Opens the copy of a closed segment, in whatever form it stands now, for as long as the scope lives. `undefined` when
 * it is in none.
 */
export const openCopy = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  segmentIndex: number,
  memory: CopyMemory
) {
  const files: ReadonlyArray<SegmentFile> = [
    { segmentIndex, path: directory.coldPath(segmentIndex, "frame"), form: "cold", compression: "frame" },
    { segmentIndex, path: directory.coldPath(segmentIndex, "block"), form: "cold", compression: "block" },
    { segmentIndex, path: directory.hotPath(segmentIndex), form: "hot", compression: "frame" }
  ]
  // A freeze may end between two looks: then the cold file is there at the second.
  for (const file of [...files, ...files.slice(0, 2)]) {
    const copy = yield* (file.form === "hot" ? frameOf(file, memory) : asItIs(file)).pipe(
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined))
    )
    if (copy !== undefined) return copy
  }
  return undefined
}) satisfies (
  directory: SegmentDirectory,
  segmentIndex: number,
  memory: CopyMemory
) => Effect.Effect<SegmentCopy | undefined, DiskError | SegmentCorrupt | ArchiveError, Disk | Scope.Scope>

const asItIs = Effect.fnUntraced(function*(file: SegmentFile): Effect.fn.Return<
  SegmentCopy,
  DiskError | SegmentCorrupt | ArchiveError,
  Disk | Scope.Scope
> {
  const opened = yield* openScoped(file.path, "read")
  const { bytes } = yield* opened.stat
  return { form: file.compression === "frame" ? "lz4" : "lz4b", bytes, file, made: undefined, read: opened.read }
})

/** A part of a frame: its header, a block, or its end. */
interface FramePart {
  /** In the frame. */
  readonly offset: number
  readonly bytes: number
  /** `undefined` of a block that is made again when it is sent. */
  readonly kept: Uint8Array | undefined
}

/** The frame of a hot file, as a freeze makes it. */
const frameOf = Effect.fnUntraced(function*(file: SegmentFile, memory: CopyMemory): Effect.fn.Return<
  SegmentCopy,
  DiskError | SegmentCorrupt | ArchiveError,
  Disk | Scope.Scope
> {
  const opened = yield* openScoped(file.path, "read")
  const { bytes: wholeBytes } = yield* opened.stat
  const withBlock = yield* makeWithBlock(opened, wholeBytes)
  const proving = yield* makeProving(file.segmentIndex)
  const [contentHash, storedHash, md5] = [makeXxh32(), makeXxh64(), makeMd5()]
  const parts: Array<FramePart> = []
  let bytes = 0
  const keptBytes = Math.min(keptBytesMax, compressedBytesMax(wholeBytes))
  if (memory.kept.length < keptBytes) memory.kept = new Uint8Array(keptBytes)
  const add = Effect.fnUntraced(function*(chunks: ReadonlyArray<Uint8Array>) {
    const part = { offset: bytes, bytes: lengthOf(chunks) }
    bytes += part.bytes
    const isKept = bytes <= keptBytes
    parts.push({ ...part, kept: isKept ? joined(chunks, memory.kept.subarray(part.offset, bytes)) : undefined })
    for (const chunk of chunks) {
      storedHash.update(chunk)
      yield* md5.update(chunk)
    }
  })
  yield* add([frameHeader(wholeBytes)])
  for (let position = 0; position < wholeBytes; position += pieceBytes) {
    const look = (content: Uint8Array) => {
      contentHash.update(content)
      return proving.push(content)
    }
    yield* withBlock(position, look, add)
  }
  const content = proving.end()
  if (isSegmentFault(content)) return yield* corrupt(file, content)
  const end = frameEnd(contentHash.digest())
  yield* add([end])
  const blocks = parts.slice(1, -1)
  const places = blocks.length > blockPlacesMax ? [] : blocks.map(({ offset }) => offset)

  /** Which block was made again last, and how long it is. */
  let again = { at: 0, bytes: 0 }
  const read: SegmentCopy["read"] = Effect.fnUntraced(function*(target, offset) {
    const at = parts.findLastIndex((part) => part.offset <= offset)
    const part = parts[at]!
    const here = at === parts.length - 1 ? end : part.kept
    if (here === undefined && again.at !== at) {
      yield* withBlock((at - 1) * pieceBytes, () => Effect.void, (chunks) =>
        Effect.sync(() => {
          if (memory.block.length === 0) memory.block = new Uint8Array(blockBytesMax)
          joined(chunks, memory.block)
          again = { at, bytes: lengthOf(chunks) }
        }))
    }
    const given = (here ?? memory.block.subarray(0, again.bytes)).subarray(
      offset - part.offset,
      offset - part.offset + target.length
    )
    target.set(given)
    return given.length
  })

  const stored: StoredFacts = { bytes, xxh64: hexOf(storedHash.digest()), places }
  return { form: "lz4", bytes, file, made: { content, stored, md5: md5.digest() }, read }
})

/** The longest block: one whose content did not get smaller. */
const blockBytesMax = 4 + pieceBytes

const lengthOf = (chunks: ReadonlyArray<Uint8Array>): number => chunks.reduce((sum, { length }) => sum + length, 0)

const joined = (chunks: ReadonlyArray<Uint8Array>, target: Uint8Array): Uint8Array => {
  let offset = 0
  for (const chunk of chunks) {
    target.set(chunk, offset)
    offset += chunk.length
  }
  return target
}

/** Makes the block of the content from a position on: `look` sees the content before, and `use` the block. */
const makeWithBlock = Effect.fnUntraced(function*(opened: DiskFile, wholeBytes: number) {
  const compressor = yield* Compressor
  const fail = (detail: string, cause?: unknown) =>
    new ArchiveError({ reason: new NotProved({ detail }), key: opened.path, ...(cause === undefined ? {} : { cause }) })
  return Effect.fnUntraced(function*(
    position: number,
    look: (content: Uint8Array) => Effect.Effect<void>,
    use: (chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
  ) {
    const piece = takePiece()
    const content = piece.subarray(0, Math.min(pieceBytes, wholeBytes - position))
    const count = yield* readFully(opened, content, position)
    if (count < content.length) return yield* fail(`${opened.path} became shorter than ${wholeBytes} bytes`)
    yield* look(content)
    const compressed = yield* settle(
      () => compressor.compress(content, { urgent: false }),
      (cause) => fail(`the compressor failed: ${String(cause)}`, cause)
    )
    yield* use(blockChunks(content, compressed))
    compressor.release(compressed)
    keepPiece(piece)
  })
})
