/**
 * Reads any standard LZ4 file as it arrives, in bounded memory.
 *
 * Accepted: independent and linked blocks of 64 KiB to 4 MiB, with or without content size, content checksum and block
 * checksums; skippable frames; several frames one after the other. Everything a frame offers for checking is checked:
 * the header's checksum, each block's checksum and size, the content's size and checksum. Legacy frames and
 * dictionaries are `Unsupported`.
 *
 * The decoder holds one block of compressed bytes, 64 KiB of history, and the piece it is handing out: at most about
 * twice the frame's block maximum, whatever the file claims. Pieces already handed out are garbage as soon as the
 * caller drops them.
 */
import { invariant } from "../internal/invariant.ts"
import { makeXxh32, xxh32 } from "../internal/xxh64.ts"
import { decodeBlock, historyBytesMax } from "./Lz4Block.ts"
import {
  blockField,
  type FrameHeader,
  frameHeaderBytes,
  frameHeaderBytesMax,
  frameHeaderBytesMin,
  frameMagic,
  isSkippableMagic,
  legacyMagic,
  Lz4FrameError,
  parseFrameHeader
} from "./Lz4Frame.ts"

/** What the bytes being gathered are. Between frames it is `magic`. */
type Part = "magic" | "header" | "block field" | "block" | "content checksum" | "skippable length"

/**
 * A push-style decoder of one file. A piece is decoded content, in order, never empty, in memory of its own: the caller may
 * keep or change it. The content checksum comes last in a frame, so the content is proven only when `end` returns.
 *
 * After an error the decoder is spent.
 *
 * @since 0.1.0
 * @category reading
 * @example
 * ```ts
 * import { Lz4FrameDecoder } from "effect-wal"
 *
 * // What `printf hello | lz4` writes.
 * const frame = Buffer.from("04224d186440a70500008068656c6c6f00000000f97700fb", "hex")
 * const decoder = new Lz4FrameDecoder.Lz4FrameDecoder()
 * for (const piece of decoder.push(frame)) console.log(Buffer.from(piece).toString()) // => hello
 * decoder.end()
 * ```
 */
export class Lz4FrameDecoder {
  /** The part being gathered: `#have` bytes of the `#need` it takes. A part of no bytes is done when more come. */
  #buffer = new Uint8Array(frameHeaderBytesMax)
  #have = 0
  #need = 4
  #part: Part = "magic"
  /** Where in the file `#buffer` begins. */
  #offset = 0
  /** Bytes of a skippable frame still to pass over. */
  #skipBytes = 0
  #framesSeen = 0
  #header: FrameHeader | undefined
  #contentBytes = 0
  readonly #contentHash = makeXxh32()
  /** The last content of a frame of linked blocks, at most `historyBytesMax`. Made for the first such frame. */
  #history = new Uint8Array(0)
  #historyBytes = 0
  /** True from a push until its pieces have been taken to the end; an error leaves it true. */
  #busy = false

  /**
   * Takes the next bytes of the file and gives the pieces they complete. They are decoded one by one as they are taken,
   * and must all be taken before the next `push` or `end`; until then `chunk` must not change. The chunk is not kept
   * after that.
   *
   * Taking a piece throws `Lz4FrameError` at the first thing that is wrong.
   */
  push(chunk: Uint8Array): Iterable<Uint8Array> {
    this.#enter()
    return this.#decode(chunk)
  }

  /** Ends the file. Throws `Lz4FrameError`: `Truncated` inside a frame or without any, `TrailingBytes` after one. */
  end(): void {
    this.#enter()
    if (this.#part === "magic" && this.#have === 0 && this.#skipBytes === 0 && this.#framesSeen > 0) return
    if (this.#part === "magic" && this.#have > 0 && this.#framesSeen > 0) {
      throw new Lz4FrameError("TrailingBytes", this.#offset, `${this.#have} bytes follow the last frame`)
    }
    const end = this.#offset + this.#have
    throw new Lz4FrameError(
      "Truncated",
      end,
      `the file ends inside a frame, in its ${this.#skipBytes > 0 ? "skippable bytes" : this.#part}`
    )
  }

  #enter(): void {
    invariant(!this.#busy, "a decoder is used after its last pieces were all taken, and not after an error or its end")
    this.#busy = true
  }

  *#decode(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let at = 0
    while (at < chunk.length) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, chunk.length - at)
        this.#skipBytes -= skipped
        this.#offset += skipped
        at += skipped
        continue
      }
      const taken = Math.min(this.#need - this.#have, chunk.length - at)
      this.#buffer.set(chunk.subarray(at, at + taken), this.#have)
      this.#have += taken
      at += taken
      if (this.#have < this.#need) break
      const piece = this.#step()
      if (piece !== undefined && piece.length > 0) yield piece
    }
    this.#busy = false
  }

  /** Acts on a whole part, and says what to gather next. */
  #step(): Uint8Array | undefined {
    switch (this.#part) {
      case "magic":
        return this.#onMagic()
      case "header":
        return this.#onHeader()
      case "skippable length":
        this.#skipBytes = this.#word(0)
        this.#framesSeen++
        return this.#next("magic", 4)
      case "block field":
        return this.#onBlockField()
      case "block":
        return this.#onBlock()
      case "content checksum":
        if (this.#word(0) !== this.#contentHash.digest()) {
          throw new Lz4FrameError("BadChecksum", this.#offset, "the content does not match its checksum")
        }
        this.#framesSeen++
        return this.#next("magic", 4)
    }
  }

  #onMagic(): undefined {
    const magic = this.#word(0)
    if (magic === frameMagic) return this.#gather("header", frameHeaderBytesMin)
    if (isSkippableMagic(magic)) return this.#next("skippable length", 4)
    if (magic === legacyMagic || this.#framesSeen === 0) parseFrameHeader(this.#buffer.subarray(0, 4), this.#offset)
    throw new Lz4FrameError("TrailingBytes", this.#offset, "something that is not a frame follows the last frame")
  }

  #onHeader(): undefined {
    const headerBytes = frameHeaderBytes(this.#buffer.subarray(0, this.#have))
    if (this.#have < headerBytes) return this.#gather("header", headerBytes)
    const header = parseFrameHeader(this.#buffer.subarray(0, headerBytes), this.#offset)
    this.#header = header
    this.#contentBytes = 0
    this.#contentHash.reset()
    this.#historyBytes = 0
    if (header.linked && this.#history.length === 0) this.#history = new Uint8Array(historyBytesMax)
    return this.#next("block field", 4)
  }

  #onBlockField(): undefined {
    const header = this.#frameHeader()
    const field = blockField(this.#word(0))
    if (field === undefined) return this.#onEndMark(header)
    if (field.dataBytes > header.blockBytesMax) {
      const detail = `a block of ${field.dataBytes} bytes in a frame whose blocks have at most ${header.blockBytesMax}`
      throw new Lz4FrameError("BadBlock", this.#offset, detail)
    }
    const bytes = 4 + field.dataBytes + (header.blockChecksum ? 4 : 0)
    this.#makeRoom(bytes, 4 + header.blockBytesMax + 4)
    return this.#gather("block", bytes)
  }

  /** Room for a block's size field, data and checksum, as large as the blocks are and not as they might be. */
  #makeRoom(bytes: number, bytesMax: number): void {
    if (this.#buffer.length >= bytes) return
    const larger = new Uint8Array(Math.min(bytesMax, Math.max(bytes, this.#buffer.length * 2)))
    larger.set(this.#buffer.subarray(0, this.#have))
    this.#buffer = larger
  }

  #onBlock(): Uint8Array {
    const header = this.#frameHeader()
    const blockBytes = this.#have - (header.blockChecksum ? 4 : 0)
    if (header.blockChecksum && this.#word(blockBytes) !== xxh32(this.#buffer.subarray(4, blockBytes))) {
      throw new Lz4FrameError("BadChecksum", this.#offset + blockBytes, "a block does not match its checksum")
    }
    const block = this.#buffer.subarray(0, blockBytes)
    const history = header.linked ? this.#history.subarray(0, this.#historyBytes) : undefined
    const piece = decodeBlock(block, header.blockBytesMax, this.#offset, history)
    this.#contentBytes += piece.length
    if (header.contentBytes !== undefined && this.#contentBytes > header.contentBytes) {
      throw new Lz4FrameError(
        "SizeMismatch",
        this.#offset,
        `more content than the ${header.contentBytes} bytes claimed`
      )
    }
    if (header.contentChecksum) this.#contentHash.update(piece)
    if (header.linked) this.#remember(piece)
    this.#next("block field", 4)
    return piece
  }

  #onEndMark(header: FrameHeader): undefined {
    if (header.contentBytes !== undefined && this.#contentBytes !== header.contentBytes) {
      const detail = `${this.#contentBytes} bytes of content where ${header.contentBytes} were claimed`
      throw new Lz4FrameError("SizeMismatch", this.#offset, detail)
    }
    if (header.contentChecksum) return this.#next("content checksum", 4)
    this.#framesSeen++
    return this.#next("magic", 4)
  }

  /** Keeps the last `historyBytesMax` bytes of the frame's content, which may span many short blocks. */
  #remember(piece: Uint8Array): void {
    const newBytes = Math.min(piece.length, historyBytesMax)
    const keptBytes = Math.min(this.#historyBytes, historyBytesMax - newBytes)
    this.#history.copyWithin(0, this.#historyBytes - keptBytes, this.#historyBytes)
    this.#history.set(piece.subarray(piece.length - newBytes), keptBytes)
    this.#historyBytes = keptBytes + newBytes
  }

  #frameHeader(): FrameHeader {
    invariant(this.#header !== undefined, "blocks come after a header")
    return this.#header
  }

  /** The little-endian u32 at `at` in the gathered bytes. */
  #word(at: number): number {
    const b = this.#buffer
    return (b[at]! | b[at + 1]! << 8 | b[at + 2]! << 16 | b[at + 3]! << 24) >>> 0
  }

  /** Starts gathering the next part. */
  #next(part: Part, bytes: number): undefined {
    this.#offset += this.#have
    this.#have = 0
    this.#part = part
    this.#need = bytes
  }

  /** Goes on gathering: what is there already is the beginning of `part`. */
  #gather(part: Part, bytes: number): undefined {
    this.#part = part
    this.#need = bytes
  }
}
