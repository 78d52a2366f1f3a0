/**
 * Checks the content of LZ4 frames against what the frames claim: its size and its checksum. It is given the parts of a
 * file in their order, and for each block what that was decoded to. The content checksum comes last in a frame, so the
 * content is proven only then.
 *
 * A reader that proves every byte of the content by checksums inside the content need not have it hashed once more:
 * from the moment that `isProven` gives `true` the checksum of the frame is left out. Its size is always checked.
 */
import { makeXxh32 } from "../../internal/xxh64.ts"
import { historyBytesMax } from "./Lz4Block.ts"
import type { FrameHeader } from "./Lz4Frame.ts"
import { Lz4FrameError } from "./Lz4Frame.ts"
import type { FramePart } from "./Lz4FrameParser.ts"

type BlockPart = Extract<FramePart, { readonly _tag: "Block" }>

/**
 * No encoder needs a block without content. A few are accepted; a file of nothing else would take long to read, and
 * give nothing.
 */
const emptyBlocksMax = 1_000

/** What is known of the content so far. */
export class Lz4FrameContent {
  #contentBytes = 0
  #emptyBlocks = 0
  readonly #hash = makeXxh32()
  readonly #isProven: () => boolean
  /** Some content of the current frame was not hashed. */
  #isUnhashed = false
  /** The last content of a frame of linked blocks, at most `historyBytesMax`. Made for the first such frame. */
  #history = new Uint8Array(0)
  #historyBytes = 0

  constructor(isProven: () => boolean = () => false) {
    this.#isProven = isProven
  }

  /** Begins after so much content of a frame whose blocks are independent. Its checksum can no longer be checked. */
  resume(contentBytes: number): void {
    this.#contentBytes = contentBytes
    this.#isUnhashed = true
  }

  /**
   * What the next block refers back to, if its frame's blocks are linked. A view that is valid until the next piece.
   */
  history(header: FrameHeader): Uint8Array | undefined {
    return header.linked ? this.#history.subarray(0, this.#historyBytes) : undefined
  }

  /** Takes a part that is no block. Throws `Lz4FrameError`: `SizeMismatch` or `BadChecksum`. */
  take(part: Exclude<FramePart, BlockPart>): void {
    switch (part._tag) {
      case "Start":
        this.#contentBytes = 0
        this.#hash.reset()
        this.#isUnhashed = false
        this.#historyBytes = 0
        if (part.header.linked && this.#history.length === 0) this.#history = new Uint8Array(historyBytesMax)
        return
      case "End": {
        const { contentBytes } = part.header
        if (contentBytes === undefined || contentBytes === this.#contentBytes) return
        const detail = `${this.#contentBytes} bytes of content where ${contentBytes} were claimed`
        throw new Lz4FrameError("SizeMismatch", part.offset, detail)
      }
      case "Checksum":
        if (this.#isUnhashed || part.xxh32 === this.#hash.digest()) return
        throw new Lz4FrameError("BadChecksum", part.offset, "the content does not match its checksum")
    }
  }

  /** Takes what a block was decoded to. Throws `Lz4FrameError` with `SizeMismatch` or `BadBlock`. */
  takePiece({ header, offset }: BlockPart, piece: Uint8Array): void {
    if (piece.length === 0 && ++this.#emptyBlocks > emptyBlocksMax) {
      throw new Lz4FrameError("BadBlock", offset, `more than ${emptyBlocksMax} blocks without content`)
    }
    this.#contentBytes += piece.length
    if (header.contentBytes !== undefined && this.#contentBytes > header.contentBytes) {
      throw new Lz4FrameError("SizeMismatch", offset, `more content than the ${header.contentBytes} bytes claimed`)
    }
    if (this.#isProven()) this.#isUnhashed = true
    else if (header.contentChecksum) this.#hash.update(piece)
    if (header.linked) this.#remember(piece)
  }

  /** Keeps the last `historyBytesMax` bytes of the frame's content, which may span many short blocks. */
  #remember(piece: Uint8Array): void {
    const newBytes = Math.min(piece.length, historyBytesMax)
    const keptBytes = Math.min(this.#historyBytes, historyBytesMax - newBytes)
    this.#history.copyWithin(0, this.#historyBytes - keptBytes, this.#historyBytes)
    this.#history.set(piece.subarray(piece.length - newBytes), keptBytes)
    this.#historyBytes = keptBytes + newBytes
  }
}
