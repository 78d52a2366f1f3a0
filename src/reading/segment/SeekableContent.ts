/**
 * Reads the uncompressed bytes of a segment from any position, without reading what lies before it: of a hot file, or
 * of a frame that claims how long its content is and whose blocks are independent and all full but the last. Of such a
 * frame only the size fields are read to find a block. Frames with linked blocks or without a content size (as writers
 * of format 1 make them), files that begin with a skippable frame, and the block form are not seekable; they are read
 * from the front.
 *
 * Nothing here judges a file. What cannot be read from the middle is not seekable; and what can be is read by the same
 * reader as from the front (`FrameReader`), up to the last byte of the file. Only the checksum of a frame's whole
 * content is not checked this way.
 */
import * as Effect from "effect/Effect"
import type { DiskError, DiskFile, FileStat } from "../../disk/Disk.ts"
import { readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { contentBytesPerDataByteMax } from "../../format/lz4/Lz4Block.ts"
import type { FrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { blockField, frameHeaderBytesMax, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { FrameMemory, makeFrameReader } from "./FrameReader.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import { contentOfPieces, hotContent } from "./SegmentContent.ts"
import { decoding } from "./SegmentCorrupt.ts"

/** Content that can be read from any position. */
export interface SeekableContent {
  readonly bytes: number
  /** The bytes from `position` on. Cheapest at multiples of 1 MiB. It ends the content that was given before it. */
  readonly from: (position: number) => SegmentContent
}

/** The content of an open file, if it is seekable. `memory` serves no other content meanwhile. */
export const seekable = (
  file: SegmentFile,
  opened: DiskFile,
  { bytes, identity }: FileStat,
  memory: FrameMemory = new FrameMemory()
): Effect.Effect<SeekableContent | undefined, DiskError> => {
  if (file.form === "hot") {
    return Effect.succeed({ bytes, from: (position) => hotContent(opened, bytes, identity, position) })
  }
  return file.compression === "frame" ? seekableFrame(file, opened, bytes, memory) : Effect.succeed(undefined)
}

const seekableFrame = Effect.fnUntraced(function*(
  file: SegmentFile,
  opened: DiskFile,
  fileBytes: number,
  memory: FrameMemory
) {
  const start = new Uint8Array(frameHeaderBytesMax)
  const count = yield* readFully(opened, start, 0)
  // A file that does not begin with a frame is read, and judged, from the front.
  const header = yield* Effect.catch(
    decoding(file, () => parseFrameHeader(start.subarray(0, count))),
    () => Effect.succeed(undefined)
  )
  if (header === undefined || header.linked || header.contentBytes === undefined) return undefined
  const { blockBytesMax, contentBytes } = header
  if (contentBytes > fileBytes * contentBytesPerDataByteMax) return undefined
  const places = yield* placesOf(opened, header, Math.ceil(contentBytes / blockBytesMax))
  const end = places?.pop()
  if (places === undefined || end === undefined) return undefined
  const content: SeekableContent = {
    bytes: contentBytes,
    from: (position) => {
      const block = Math.min(places.length, Math.floor(position / blockBytesMax))
      const before = Math.min(contentBytes, block * blockBytesMax)
      const offset = places[block] ?? end
      const at = { header, offset, blockBytes: (places[block + 1] ?? end) - offset, contentBytes: before }
      const { next, restBytesMax } = makeFrameReader(file, opened, fileBytes, () => false, memory, at)
      let skip = position - before
      const rest = Effect.gen(function*() {
        while (true) {
          const piece = yield* next
          if (piece === undefined || skip < piece.length) {
            const part = piece?.subarray(skip)
            skip = 0
            return part
          }
          skip -= piece.length
        }
      })
      return contentOfPieces(rest, () => Math.min(restBytesMax(), Math.max(0, contentBytes - position)))
    }
  }
  return content
})

/** Fields that lie this close to each other are read at once. */
const fieldsReadBytes = 16 * 1024

/**
 * Where each block begins in the file, and then where the end mark does; `undefined` unless there are as many blocks as
 * full ones give. A block that cannot be full, because it is too short for that, ends the search: so a file has no more
 * places than its length allows.
 */
const placesOf = Effect.fnUntraced(function*(opened: DiskFile, frame: FrameHeader, blockCount: number) {
  const places: Array<number> = []
  const fullBytesMin = Math.ceil(frame.blockBytesMax / contentBytesPerDataByteMax)
  const bytes = new Uint8Array(fieldsReadBytes)
  const view = new DataView(bytes.buffer)
  let begin = 0
  let end = 0
  let offset = frame.headerBytes
  while (places.length <= blockCount) {
    if (offset + 4 > end) {
      begin = offset
      end = begin + (yield* readFully(opened, bytes, begin))
      if (offset + 4 > end) return undefined
    }
    const field = blockField(view.getUint32(offset - begin, true))
    if (field === undefined) return places.length === blockCount ? [...places, offset] : undefined
    if (field.dataBytes > frame.blockBytesMax) return undefined
    const isLast = places.length === blockCount - 1
    if (!isLast && field.dataBytes < fullBytesMin) return undefined
    places.push(offset)
    offset += 4 + field.dataBytes + (frame.blockChecksum ? 4 : 0)
  }
  return undefined
})
