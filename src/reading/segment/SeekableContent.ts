/**
 * Reads the uncompressed bytes of a segment from any position, without reading what lies before it: of a hot file, or
 * of a frame that claims how long its content is and whose blocks are independent and all full but the last. Of such a
 * frame only the size fields are read to find a block (see `Lz4BlockPlaces`), and not even those where a catalogue
 * tells the places. Frames with linked blocks or without a content size (as writers of format 1 make them), files that
 * begin with a skippable frame, and the block form are not seekable; they are read from the front.
 *
 * Nothing here judges a file. What cannot be read from the middle is not seekable; and what can be is read by the same
 * reader as from the front (`FrameReader`), up to the last byte of the file. Only the checksum of a frame's whole
 * content is not checked this way.
 */
import * as Effect from "effect/Effect"
import { Disk, readFully } from "../../disk/Disk.ts"
import type { DiskError, DiskFile, FileStat } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import type { PlacedFrame } from "../../format/lz4/Lz4BlockPlaces.ts"
import { BlockWalk, endOfPlaces, placedFrame } from "../../format/lz4/Lz4BlockPlaces.ts"
import { frameHeaderBytesMax } from "../../format/lz4/Lz4Frame.ts"
import { FrameMemory, makeFrameReader } from "./FrameReader.ts"
import type { SegmentContent } from "./SegmentContent.ts"
import { contentOfPieces, hotContent } from "./SegmentContent.ts"

/** Content that can be read from any position. */
export interface SeekableContent {
  readonly bytes: number
  /**
   * The bytes from `position` on. Cheapest at multiples of 1 MiB. It ends the content that was given before it. A
   * caller that will want about `wantedBytes` of it has them read at once.
   */
  readonly from: (position: number, wantedBytes?: number) => SegmentContent
}

/** The content of an open file, if it is seekable. `memory` serves no other content meanwhile. */
export const seekable = (
  file: SegmentFile,
  opened: DiskFile,
  { bytes, identity }: FileStat,
  memory: FrameMemory = new FrameMemory()
): Effect.Effect<SeekableContent | undefined, DiskError, Disk> => {
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
  const header = placedFrame(start.subarray(0, count), fileBytes)
  if (header === undefined) return undefined
  const found = (yield* cataloguedPlaces(file, header, fileBytes)) ?? (yield* walkedPlaces(opened, header))
  if (found === undefined) return undefined
  const { blockBytesMax, contentBytes } = header
  const { end, every, places } = found
  const stepBytes = every * blockBytesMax
  const content: SeekableContent = {
    bytes: contentBytes,
    from: (position, wantedBytes = 1) => {
      const step = Math.min(places.length, Math.floor(position / stepBytes))
      const before = Math.min(contentBytes, step * stepBytes)
      const offset = places[step] ?? end
      const wantedBlocks = Math.ceil(wantedBytes / blockBytesMax)
      const steps = Math.ceil(wantedBlocks / every)
      const blockBytes = Math.ceil(((places[step + steps] ?? end) - offset) * wantedBlocks / (steps * every))
      const at = { header, offset, blockBytes, contentBytes: before }
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

/** Where every `every`th block of a frame begins, and where its end mark does. */
interface Places {
  readonly places: ReadonlyArray<number>
  readonly every: number
  readonly end: number
}

const cataloguedPlaces = Effect.fnUntraced(function*({ path }: SegmentFile, frame: PlacedFrame, fileBytes: number) {
  const { catalogued } = yield* Disk
  const known = yield* catalogued?.(path) ?? Effect.undefined
  if (known === undefined) return undefined
  const { blocks: places, blocksEvery: every } = known
  const end = endOfPlaces(places, every, frame, fileBytes)
  return end === undefined ? undefined : { places, every, end } satisfies Places
})

/** Fields that lie this close to each other are read at once. */
const fieldsReadBytes = 16 * 1024

const walkedPlaces = Effect.fnUntraced(function*(opened: DiskFile, frame: PlacedFrame) {
  const walk = new BlockWalk(frame)
  const bytes = new Uint8Array(fieldsReadBytes)
  const view = new DataView(bytes.buffer)
  let begin = 0
  let end = 0
  while (true) {
    const { offset } = walk
    if (offset + 4 > end) {
      begin = offset
      end = begin + (yield* readFully(opened, bytes, begin))
      if (offset + 4 > end) return undefined
    }
    const answer = walk.take(view.getUint32(offset - begin, true))
    if (answer === "none") return undefined
    if (answer === "end") return { places: walk.places, every: 1, end: offset } satisfies Places
  }
})
