/**
 * Takes an LZ4 file apart as it arrives: headers, blocks, end marks and checksums, in their order, in bounded memory.
 * Nothing is decoded here, so the caller that takes the parts can decode several blocks at once (`Lz4FrameContent`
 * checks what they give).
 *
 * Accepted: independent and linked blocks of 64 KiB to 4 MiB, with or without content size, content checksum and block
 * checksums; skippable frames; several frames one after the other. Checked here: the header's checksum, each block's
 * checksum and size, and that the file ends where a frame does. Legacy frames and dictionaries are `Unsupported`.
 *
 * The parser holds one block of compressed bytes, as large as the blocks are and not as they might be.
 */
import { invariant } from "../../internal/invariant.ts"
import { xxh32 } from "../../internal/xxh64.ts"
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

/**
 * A part of a frame; `offset` is where it begins in the file.
 *
 * - `Start`: a frame begins.
 * - `Block`: the size field and the data of a block, as `decodeBlock` wants them; a view that is valid until the next
 *   part is taken.
 * - `End`: no block follows.
 * - `Checksum`: the XXH32 that the content must have, after `End`, if the frame has one.
 */
export type FramePart =
  | { readonly _tag: "Start"; readonly header: FrameHeader }
  | { readonly _tag: "Block"; readonly header: FrameHeader; readonly block: Uint8Array; readonly offset: number }
  | { readonly _tag: "End"; readonly header: FrameHeader; readonly offset: number }
  | { readonly _tag: "Checksum"; readonly xxh32: number; readonly offset: number }

/** What the bytes being gathered are. Between frames it is `magic`. */
type Gathered = "magic" | "header" | "block field" | "block" | "content checksum" | "skippable length"

/** A push-style parser of one file. After an error it is spent, until `reset`. */
export class Lz4FrameParser {
  /** The part being gathered: `#have` bytes of the `#need` it takes. A part of no bytes is done when more come. */
  #buffer = new Uint8Array(frameHeaderBytesMax)
  #have = 0
  #need = 4
  #part: Gathered = "magic"
  /** Where in the file `#buffer` begins. */
  #offset = 0
  /** Bytes of a skippable frame still to pass over. */
  #skipBytes = 0
  #framesSeen = 0
  #header: FrameHeader | undefined
  /** True from a push until its parts have been taken to the end; an error leaves it true. */
  #busy = false

  /**
   * Takes the next bytes of the file and gives the parts they complete. The parts must all be taken before the next
   * `push` or `end`; until then `chunk` must not change. The chunk is not kept after that.
   *
   * Taking a part throws `Lz4FrameError` at the first thing that is wrong.
   */
  push(chunk: Uint8Array): Iterable<FramePart> {
    this.#enter()
    return this.#parse(chunk)
  }

  /** Starts with another file, in the memory that the one before has needed. */
  reset(): void {
    this.#next("magic", 4)
    this.#offset = 0
    this.#skipBytes = 0
    this.#framesSeen = 0
    this.#busy = false
  }

  /** After a `reset`: begins in the middle of the first frame, with the block that starts at `offset` in the file. */
  resume(header: FrameHeader, offset: number): void {
    this.#header = header
    this.#next("block field", 4)
    this.#offset = offset
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
    invariant(!this.#busy, "a parser is used after its last parts were all taken, and not after an error or its end")
    this.#busy = true
  }

  *#parse(chunk: Uint8Array): Generator<FramePart, void, void> {
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
      const part = this.#step()
      if (part !== undefined) yield part
    }
    this.#busy = false
  }

  /** Handles a whole part, and decides what to gather next. */
  #step(): FramePart | undefined {
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
      case "content checksum": {
        const part: FramePart = { _tag: "Checksum", xxh32: this.#word(0), offset: this.#offset }
        this.#framesSeen++
        this.#next("magic", 4)
        return part
      }
    }
  }

  #onMagic(): undefined {
    const magic = this.#word(0)
    if (magic === frameMagic) return this.#gather("header", frameHeaderBytesMin)
    if (isSkippableMagic(magic)) return this.#next("skippable length", 4)
    if (magic === legacyMagic || this.#framesSeen === 0) parseFrameHeader(this.#buffer.subarray(0, 4), this.#offset)
    throw new Lz4FrameError("TrailingBytes", this.#offset, "something that is not a frame follows the last frame")
  }

  #onHeader(): FramePart | undefined {
    const headerBytes = frameHeaderBytes(this.#buffer.subarray(0, this.#have))
    if (this.#have < headerBytes) return this.#gather("header", headerBytes)
    const header = parseFrameHeader(this.#buffer.subarray(0, headerBytes), this.#offset)
    this.#header = header
    this.#next("block field", 4)
    return { _tag: "Start", header }
  }

  #onBlockField(): FramePart | undefined {
    const header = this.#frameHeader()
    const field = blockField(this.#word(0))
    if (field === undefined) {
      const part: FramePart = { _tag: "End", header, offset: this.#offset }
      if (header.contentChecksum) {
        this.#next("content checksum", 4)
      } else {
        this.#framesSeen++
        this.#next("magic", 4)
      }
      return part
    }
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

  #onBlock(): FramePart {
    const header = this.#frameHeader()
    const blockBytes = this.#have - (header.blockChecksum ? 4 : 0)
    if (header.blockChecksum && this.#word(blockBytes) !== xxh32(this.#buffer.subarray(4, blockBytes))) {
      throw new Lz4FrameError("BadChecksum", this.#offset + blockBytes, "a block does not match its checksum")
    }
    const part: FramePart = { _tag: "Block", header, block: this.#buffer.subarray(0, blockBytes), offset: this.#offset }
    this.#next("block field", 4)
    return part
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
  #next(part: Gathered, bytes: number): undefined {
    this.#offset += this.#have
    this.#have = 0
    this.#part = part
    this.#need = bytes
  }

  /** Continues to gather: what is there already is the start of `part`. */
  #gather(part: Gathered, bytes: number): undefined {
    this.#part = part
    this.#need = bytes
  }
}
