/**
 * Reads any standard LZ4 file as it arrives, in bounded memory: parts from `Lz4FrameParser`, decoded one by one and
 * checked by `Lz4FrameContent`. Everything that a frame lets a reader check is checked.
 *
 * The decoder holds one block of compressed bytes, 64 KiB of history, and the piece that it is handing out: at most
 * about twice the frame's block maximum, whatever the file claims. Pieces already handed out are garbage as soon as the
 * caller drops them.
 */
import { decodeBlock } from "../../../src/format/lz4/Lz4Block.ts"
import { Lz4FrameContent } from "../../../src/format/lz4/Lz4FrameContent.ts"
import type { FramePart } from "../../../src/format/lz4/Lz4FrameParser.ts"
import { Lz4FrameParser } from "../../../src/format/lz4/Lz4FrameParser.ts"

/**
 * A push-style decoder of one file. A piece is decoded content, in order, never empty, in memory of its own: the caller
 * may keep or change it. The content checksum comes last in a frame, so the content is proven only when `end` returns.
 *
 * After an error the decoder is spent.
 */
export class Lz4FrameDecoder {
  readonly #parser = new Lz4FrameParser()
  readonly #content = new Lz4FrameContent()

  /**
   * Takes the next bytes of the file and gives the pieces they complete. They are decoded one by one as they are taken,
   * and must all be taken before the next `push` or `end`; until then `chunk` must not change. The chunk is not kept
   * after that.
   *
   * Taking a piece throws `Lz4FrameError` at the first thing that is wrong.
   */
  push(chunk: Uint8Array): Iterable<Uint8Array> {
    return this.#decode(this.#parser.push(chunk))
  }

  /** Ends the file. Throws `Lz4FrameError`: `Truncated` inside a frame or without any, `TrailingBytes` after one. */
  end(): void {
    this.#parser.end()
  }

  *#decode(parts: Iterable<FramePart>): Generator<Uint8Array, void, void> {
    for (const part of parts) {
      if (part._tag !== "Block") {
        this.#content.take(part)
        continue
      }
      const { block, header, offset } = part
      const piece = decodeBlock(block, header.blockBytesMax, offset, this.#content.history(header))
      this.#content.takePiece(part, piece)
      if (piece.length > 0) yield piece
    }
  }
}
