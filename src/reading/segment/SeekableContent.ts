/**
 * Reads the uncompressed bytes of a segment from any position, without reading what lies before it: of a hot file, or
 * of a frame that claims how long its content is and whose blocks are independent and all full but the last. Of such a
 * frame only the size fields are read to find a block. Frames with linked blocks or without a content size (as writers
 * of format 1 make them) and the block form are not seekable; they are read from the front.
 *
 * The checksum of a frame's whole content is not checked this way. Its blocks are, and so are the segment's own
 * checksums.
 */
import * as Effect from "effect/Effect"
import type { DiskError, DiskFile, FileStat } from "../../disk/Disk.ts"
import { readFully } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { contentBytesPerDataByteMax, decodeBlock } from "../../format/lz4/Lz4Block.ts"
import type { FrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { blockField, frameHeaderBytesMax, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"
import { segmentFault } from "../../format/SegmentFault.ts"
import { xxh32 } from "../../internal/xxh64.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import { contentOfPieces, hotContent } from "./SegmentContent.ts"
import { corrupt, decoding } from "./SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"

/** Content that can be read from any position. */
export interface SeekableContent {
  readonly bytes: number
  /** The bytes from `position` on. Cheapest at multiples of 1 MiB. */
  readonly from: (position: number) => SegmentContent
}

/** The content of an open file, if it is seekable. */
export const seekable = (
  file: SegmentFile,
  opened: DiskFile,
  { bytes, identity }: FileStat
): Effect.Effect<SeekableContent | undefined, DiskError | SegmentCorrupt> => {
  if (file.form === "hot") {
    return Effect.succeed({ bytes, from: (position) => hotContent(opened, bytes, identity, position) })
  }
  return file.compression === "frame" ? seekableFrame(file, opened, bytes) : Effect.succeed(undefined)
}

/** Where a block of the frame lies in the file, its size field and checksum included. */
interface BlockPlace {
  readonly offset: number
  readonly bytes: number
}

const seekableFrame = Effect.fnUntraced(function*(file: SegmentFile, opened: DiskFile, fileBytes: number) {
  const start = new Uint8Array(frameHeaderBytesMax)
  const count = yield* readFully(opened, start, 0)
  const frame = yield* decoding(file, () => parseFrameHeader(start.subarray(0, count)))
  const { blockBytesMax, contentBytes, linked } = frame
  if (linked || contentBytes === undefined || contentBytes > fileBytes * contentBytesPerDataByteMax) return undefined
  const places = yield* placesOf(opened, frame, Math.ceil(contentBytes / blockBytesMax))
  if (places === undefined) return undefined
  const content: SeekableContent = {
    bytes: contentBytes,
    from: (position) => {
      let block = Math.floor(position / blockBytesMax)
      let skip = position % blockBytesMax
      const next = Effect.gen(function*() {
        const place = places[block]
        if (place === undefined) return undefined
        const piece = yield* readBlock(file, opened, frame, place)
        // The last block holds the rest; all others are full. Otherwise what follows is not where it seems to be.
        const expectedBytes = Math.min(blockBytesMax, contentBytes - block * blockBytesMax)
        if (piece.length !== expectedBytes) {
          const expected = `a block of ${expectedBytes} bytes`
          return yield* corrupt(file, segmentFault("BadFrame", place.offset, expected, `${piece.length} bytes`))
        }
        const part = piece.subarray(skip)
        block += 1
        skip = 0
        return part
      })
      return contentOfPieces(next, () => Math.max(0, contentBytes - block * blockBytesMax))
    }
  }
  return content
})

/** Fields that lie this close to each other are read at once. */
const fieldsReadBytes = 16 * 1024

/**
 * The places of all blocks; `undefined` unless there are as many as full blocks give. A block that cannot be full,
 * because it is too short for that, ends the search: so a file has no more places than its length allows.
 */
const placesOf = Effect.fnUntraced(function*(opened: DiskFile, frame: FrameHeader, blockCount: number) {
  const places: Array<BlockPlace> = []
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
    if (field === undefined) return places.length === blockCount ? places : undefined
    if (field.dataBytes > frame.blockBytesMax) return undefined
    const isLast = places.length === blockCount - 1
    if (!isLast && field.dataBytes < fullBytesMin) return undefined
    const blockBytes = 4 + field.dataBytes + (frame.blockChecksum ? 4 : 0)
    places.push({ offset, bytes: blockBytes })
    offset += blockBytes
  }
  return undefined
})

const readBlock = Effect.fnUntraced(function*(
  file: SegmentFile,
  opened: DiskFile,
  frame: FrameHeader,
  place: BlockPlace
) {
  const bytes = new Uint8Array(place.bytes)
  const count = yield* readFully(opened, bytes, place.offset)
  const fail = (expected: string, found: string) =>
    corrupt(file, segmentFault("BadFrame", place.offset, expected, found))
  if (count < bytes.length) return yield* fail(`a block of ${bytes.length} bytes`, `${count} bytes`)
  const block = frame.blockChecksum ? bytes.subarray(0, bytes.length - 4) : bytes
  if (frame.blockChecksum) {
    const stored = new DataView(bytes.buffer).getUint32(block.length, true)
    const computed = xxh32(block.subarray(4))
    if (stored !== computed) return yield* fail(`a block with checksum ${stored}`, String(computed))
  }
  return yield* decoding(file, () => decodeBlock(block, frame.blockBytesMax, place.offset))
})
