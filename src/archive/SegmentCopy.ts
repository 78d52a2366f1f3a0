/**
 * The copy of a segment that goes to the store: a cold file as it is, or a frame that is made of a hot one on the way.
 * And the proof of it, here and after it was read back: the reader of cold segments decodes it from its first byte to
 * its last, and `SegmentProof` proves what was decoded, as a freeze does.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { openScoped, readFully } from "../disk/Disk.ts"
import type { Disk, DiskError, DiskFile } from "../disk/Disk.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import { contentBytesPerDataByteMax } from "../format/lz4/Lz4Block.ts"
import { blockChunks, frameEnd, frameHeader, pieceBytes } from "../format/lz4/Lz4Frame.ts"
import { isSegmentFault } from "../format/SegmentFault.ts"
import type { SegmentFault } from "../format/SegmentFault.ts"
import { decodeHeader, headerBytesMax } from "../format/SegmentHeader.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import { makeXxh32, makeXxh64, xxh64 } from "../internal/xxh64.ts"
import { Compressor, settle } from "../maintainer/Compressor.ts"
import { keepPiece, takePiece } from "../maintainer/compressor/PieceMemory.ts"
import { SegmentProof } from "../maintainer/steps/SegmentProof.ts"
import type { SegmentFacts } from "../maintainer/steps/SegmentProof.ts"
import { FrameMemory } from "../reading/segment/FrameReader.ts"
import { coldContent } from "../reading/segment/SegmentContent.ts"
import { corrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { NotProved } from "./ArchiveReason.ts"
import { hexOf } from "./Manifest.ts"
import type { SegmentRow } from "./Manifest.ts"

/** What is known of a segment's content after it was proved. */
export interface ProvedContent {
  readonly wholeBytes: number
  /** 16 hexadecimal digits. */
  readonly contentXxh64: string
  readonly facts: SegmentFacts
  /** `undefined` when the bytes are not of this package's formats. */
  readonly header: SegmentHeader | undefined
}

/** A copy. */
export interface SegmentCopy {
  readonly form: SegmentRow["form"]
  readonly bytes: Uint8Array
  /** The file that it was made of. */
  readonly file: SegmentFile
  /** What was found in its content; `undefined` of a cold file as it is, which is proved when it was read back. */
  readonly content: ProvedContent | undefined
}

/** Gathers what a proof needs, piece by piece. */
const makeProving = Effect.fnUntraced(function*(segmentIndex: number) {
  const run = (yield* SegmentProof).begin(segmentIndex)
  const hash = makeXxh64()
  const head = new Uint8Array(headerBytesMax)
  let wholeBytes = 0
  return {
    push: (piece: Uint8Array): void => {
      if (wholeBytes < head.length) head.set(piece.subarray(0, head.length - wholeBytes), wholeBytes)
      wholeBytes += piece.length
      hash.update(piece)
      run.push(piece)
    },
    end: (): ProvedContent | SegmentFault => {
      const facts = run.end()
      if (isSegmentFault(facts)) return facts
      const header = decodeHeader(head.subarray(0, Math.min(wholeBytes, head.length)))
      return {
        wholeBytes,
        contentXxh64: hexOf(hash.digest()),
        facts,
        header: isSegmentFault(header) ? undefined : header
      }
    }
  }
})

/** Proves the bytes of a cold file. Fails with `SegmentCorrupt` when the reader refuses them, or the proof does. */
export const prove = Effect.fnUntraced(function*(
  file: SegmentFile,
  bytes: Uint8Array
): Effect.fn.Return<ProvedContent, SegmentCorrupt> {
  const source: Pick<DiskFile, "read"> = {
    read: (target, offset) =>
      Effect.sync(() => {
        const part = bytes.subarray(offset, offset + target.length)
        target.set(part)
        return part.length
      })
  }
  const content = coldContent(file, source, bytes.length, () => false, new FrameMemory())
  const proving = yield* makeProving(file.segmentIndex)
  const buffer = new Uint8Array(Math.min(pieceBytes, bytes.length * contentBytesPerDataByteMax))
  while (true) {
    // What is in memory is read without an error of a disk.
    const count = yield* Effect.catchTag(content.read(buffer), "DiskError", Effect.die)
    if (count === 0) break
    proving.push(buffer.subarray(0, count))
    yield* Effect.yieldNow
  }
  const proved = proving.end()
  return isSegmentFault(proved) ? yield* corrupt(file, proved) : proved
})

/** Makes the copy of a closed segment, in whatever form it stands now. `undefined` when it is in none. */
export const copyOf = Effect.fnUntraced(function*(directory: SegmentDirectory, segmentIndex: number) {
  const files: ReadonlyArray<SegmentFile> = [
    { segmentIndex, path: directory.coldPath(segmentIndex, "frame"), form: "cold", compression: "frame" },
    { segmentIndex, path: directory.coldPath(segmentIndex, "block"), form: "cold", compression: "block" },
    { segmentIndex, path: directory.hotPath(segmentIndex), form: "hot", compression: "frame" }
  ]
  // A freeze may end between two looks: then the cold file is there at the second.
  for (const file of [...files, ...files.slice(0, 2)]) {
    const copy = yield* Effect.scoped(file.form === "hot" ? compressed(file) : asItIs(file)).pipe(
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined))
    )
    if (copy !== undefined) return copy
  }
  return undefined
}) satisfies (
  directory: SegmentDirectory,
  segmentIndex: number
) => Effect.Effect<SegmentCopy | undefined, DiskError | SegmentCorrupt | ArchiveError, Disk>

const asItIs = Effect.fnUntraced(function*(file: SegmentFile): Effect.fn.Return<
  SegmentCopy,
  DiskError | SegmentCorrupt,
  Disk | Scope.Scope
> {
  const opened = yield* openScoped(file.path, "read")
  const bytes = new Uint8Array((yield* opened.stat).bytes)
  const read = yield* readFully(opened, bytes, 0)
  const form = file.compression === "frame" ? "lz4" as const : "lz4b" as const
  return { form, bytes: bytes.subarray(0, read), file, content: undefined }
})

/** Makes a frame of a hot file, as a freeze does, and proves the content on the way. */
const compressed = Effect.fnUntraced(function*(file: SegmentFile): Effect.fn.Return<
  SegmentCopy,
  DiskError | SegmentCorrupt | ArchiveError,
  Disk | Scope.Scope
> {
  const compressor = yield* Compressor
  const opened = yield* openScoped(file.path, "read")
  const { bytes: wholeBytes } = yield* opened.stat
  const proving = yield* makeProving(file.segmentIndex)
  const hash = makeXxh32()
  const chunks: Array<Uint8Array> = [frameHeader(wholeBytes)]
  for (let offset = 0; offset < wholeBytes; offset += pieceBytes) {
    const piece = takePiece()
    const content = piece.subarray(0, Math.min(pieceBytes, wholeBytes - offset))
    const read = yield* readFully(opened, content, offset)
    if (read < content.length) {
      const detail = `${file.path} became shorter than ${wholeBytes} bytes`
      return yield* new ArchiveError({ reason: new NotProved({ detail }), key: file.path })
    }
    hash.update(content)
    proving.push(content)
    yield* Effect.yieldNow
    const block = yield* settle(
      () => compressor.compress(content, { urgent: false }),
      (cause) =>
        new ArchiveError({
          reason: new NotProved({ detail: `the compressor failed: ${String(cause)}` }),
          key: file.path,
          cause
        })
    )
    for (const chunk of blockChunks(content, block)) chunks.push(Uint8Array.from(chunk))
    compressor.release(block)
    keepPiece(piece)
  }
  const proved = proving.end()
  if (isSegmentFault(proved)) return yield* corrupt(file, proved)
  chunks.push(frameEnd(hash.digest()))
  return { form: "lz4", bytes: Buffer.concat(chunks), file, content: proved }
})

/** XXH64 of an object: 16 hexadecimal digits. */
export const storedXxh64Of = (bytes: Uint8Array): string => hexOf(xxh64(bytes))
