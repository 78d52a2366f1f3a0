/**
 * Where the blocks of an LZ4 frame begin in its file, told from the size fields alone: nothing is decoded. With these
 * places a reader decodes a block from the middle, since block `i` holds the content from `i` full blocks on.
 *
 * That holds for a frame of independent blocks that claims how long its content is and whose blocks are all full but
 * the last. Of any other file nothing is told: linked blocks, no content size, a skippable frame or the block form in
 * front, more or fewer blocks than full ones give. Such a file is read from its first byte.
 */
import { contentBytesPerDataByteMax } from "./Lz4Block.ts"
import type { FrameHeader } from "./Lz4Frame.ts"
import { blockField, frameHeaderBytesMax, Lz4FrameError, parseFrameHeader } from "./Lz4Frame.ts"

/** The header of a frame whose blocks can be found, and what it tells about them. */
export interface PlacedFrame extends FrameHeader {
  readonly contentBytes: number
  readonly blockCount: number
}

/**
 * Reads the frame header at the start of a file of `fileBytes`, of which `start` has at least the first
 * `frameHeaderBytesMax`, or all. `undefined` unless the blocks of such a frame can be found.
 */
export const placedFrame = (start: Uint8Array, fileBytes: number): PlacedFrame | undefined => {
  const header = headerOf(start.subarray(0, frameHeaderBytesMax))
  if (header === undefined || header.linked) return undefined
  const { blockBytesMax, contentBytes } = header
  if (contentBytes === undefined || contentBytes > fileBytes * contentBytesPerDataByteMax) return undefined
  return { ...header, contentBytes, blockCount: Math.ceil(contentBytes / blockBytesMax) }
}

/** What does not begin with a frame has no places; reading it from the front gives the verdict. */
const headerOf = (start: Uint8Array): FrameHeader | undefined => {
  try {
    return parseFrameHeader(start)
  } catch (error) {
    if (!(error instanceof Lz4FrameError)) throw error
    return undefined
  }
}

/**
 * Walks from block to block. Its caller reads the u32 at `offset` in the file and gives it to `take`, until that gives
 * another answer than `more`.
 *
 * A block that cannot be full, because it is too short for that, ends the walk: so a file has no more places than its
 * length allows.
 */
export class BlockWalk {
  /** Where the next size field lies in the file. */
  offset: number
  /** Where each block begins. */
  readonly places: Array<number> = []
  readonly #frame: PlacedFrame

  constructor(frame: PlacedFrame) {
    this.#frame = frame
    this.offset = frame.headerBytes
  }

  /** `end`: that was the end mark, and `places` is complete. `none`: the blocks of this frame cannot be found. */
  take(word: number): "more" | "end" | "none" {
    const { blockBytesMax, blockChecksum, blockCount } = this.#frame
    const field = blockField(word)
    if (field === undefined) return this.places.length === blockCount ? "end" : "none"
    if (this.places.length === blockCount || field.dataBytes > blockBytesMax) return "none"
    const isLast = this.places.length === blockCount - 1
    if (!isLast && field.dataBytes < Math.ceil(blockBytesMax / contentBytesPerDataByteMax)) return "none"
    this.places.push(this.offset)
    this.offset += 4 + field.dataBytes + (blockChecksum ? 4 : 0)
    return "more"
  }
}

/** A frame of more blocks tells nothing; so many blocks of ours hold 1 GiB. */
export const blockPlacesMax = 1024

/** The bytes after the last block of a frame: the end mark, and the checksum of the content when there is one. */
const frameEndBytes = ({ contentChecksum }: FrameHeader): number => contentChecksum ? 8 : 4

/** Gathers where the blocks begin in a cold file, while its bytes pass by. */
interface PassingPlaces {
  /** Takes the next bytes of the file. */
  readonly push: (bytes: Uint8Array) => void
  /**
   * After the last byte: at most `blockPlacesMax` offsets, none when the file must be read from its first byte. The
   * file is one frame and nothing else. It is not judged: who calls this proves it.
   */
  readonly end: () => ReadonlyArray<number>
}

/** Begins to gather the places of a file of this length. */
export const makeBlockPlaces = (fileBytes: number): PassingPlaces => {
  const head = new Uint8Array(Math.min(fileBytes, frameHeaderBytesMax))
  const word = new DataView(new ArrayBuffer(4))
  let passed = 0
  let frame: PlacedFrame | undefined
  let walk: BlockWalk | undefined
  let answer: "more" | "end" | "none" = "more"

  /** Copies what these bytes have of the `count` bytes at `at`; whether they have the last one. */
  const gather = (target: Uint8Array, at: number, bytes: Uint8Array, offset: number): boolean => {
    const from = Math.max(at, offset)
    const to = Math.min(at + target.length, offset + bytes.length)
    if (from < to) target.set(bytes.subarray(from - offset, to - offset), from - at)
    return to === at + target.length && to > offset
  }

  const begin = (): void => {
    frame = placedFrame(head, fileBytes)
    if (frame === undefined || frame.blockCount > blockPlacesMax) answer = "none"
    else walk = new BlockWalk(frame)
  }

  const push = (bytes: Uint8Array): void => {
    const offset = passed
    passed += bytes.length
    if (walk === undefined && answer === "more" && gather(head, 0, bytes, offset)) {
      begin()
      // Size fields begin within the first bytes of a file, which may have come in parts.
      if (walk !== undefined) step(head, 0)
    }
    step(bytes, offset)
  }

  const step = (bytes: Uint8Array, offset: number): void => {
    if (walk === undefined) return
    const field = new Uint8Array(word.buffer)
    while (answer === "more" && gather(field, walk.offset, bytes, offset)) answer = walk.take(word.getUint32(0, true))
  }

  return {
    push,
    end: () => {
      const isWhole = answer === "end" && frame !== undefined && walk !== undefined && passed === fileBytes &&
        walk.offset + frameEndBytes(frame) === fileBytes
      return isWhole && walk !== undefined ? walk.places : []
    }
  }
}

/** The same, of all bytes of a file at once. */
export const blockPlaces = (file: Uint8Array): ReadonlyArray<number> => {
  const places = makeBlockPlaces(file.length)
  places.push(file)
  return places.end()
}

/**
 * Whether `places` can be those of every `every`th block of this frame, in a file of `fileBytes`; then where the end
 * mark lies. What a catalogue has kept may be wrong: what is decoded at such a place is checked like any other block.
 */
export const endOfPlaces = (
  places: ReadonlyArray<number>,
  every: number,
  frame: PlacedFrame,
  fileBytes: number
): number | undefined => {
  const end = fileBytes - frameEndBytes(frame)
  const isComplete = places.length === Math.ceil(frame.blockCount / every) && places[0] === frame.headerBytes
  return isComplete && places.every((place, at) => (places[at + 1] ?? end) - place > 4) ? end : undefined
}
