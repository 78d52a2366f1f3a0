/**
 * Decodes the block file, which is a u32 content size and one LZ4 block of the whole content, as it arrives and in
 * bounded memory: 64 KiB of history and one piece of content, whatever the file claims. The native decoder would need
 * all of both at once: 4 MiB of file may hold 1 GiB of content. It is up to twice as fast.
 */
import { contentBytesPerDataByteMax, historyBytesMax } from "./Lz4Block.ts"
import { Lz4FrameError, pieceBytes } from "./Lz4Frame.ts"

/** What comes next in the file. */
type Part = "size" | "token" | "literal length" | "literals" | "offset" | "match length" | "match"

const sizeBytes = 4
/** A match has at least so many bytes; its length is written without them. */
const matchBytesMin = 4
/** Up to so many bytes are copied faster one by one. */
const shortBytes = 32
/** This length is followed by more of it. */
const lengthFull = 15

/** A push-style decoder of one block file. After an error it is spent. */
export class Lz4BlockFile {
  readonly #fileBytes: number
  readonly #contentBytesMax: number
  /** History, then the content that was decoded since the last piece. */
  readonly #buffer: Uint8Array
  /** Where the content not yet given begins, and where it ends. */
  #from = 0
  #at = 0
  #part: Part = "size"
  /** Where in the file the next chunk begins. */
  #fileOffset = 0
  /** Of a part of several bytes: the bytes still to come, and what they have given so far. */
  #left = sizeBytes
  #value = 0
  #matchLength = 0
  /** How far back the match lies. */
  #distance = 0
  /** The whole content, as the file claims, and what of it is decoded or about to be. */
  #contentBytes = 0
  #doneBytes = 0

  /** Decodes a file of this length. A size above `contentBytesMax` is refused before anything is decoded. */
  constructor(fileBytes: number, contentBytesMax: number) {
    this.#fileBytes = fileBytes
    this.#contentBytesMax = contentBytesMax
    // A small file needs little, whatever it claims.
    this.#buffer = new Uint8Array(historyBytesMax + Math.min(pieceBytes, fileBytes * contentBytesPerDataByteMax))
  }

  /** At most this many bytes of content are still to come. */
  get restBytesMax(): number {
    return this.#part === "size" ? this.#fileBytes * contentBytesPerDataByteMax : this.#contentBytes - this.#doneBytes
  }

  /**
   * Takes the next bytes of the file and gives the content that they complete, in pieces that are valid until the next
   * one is taken. All of them must be taken before the next `push`. Throws `Lz4FrameError` at the first thing that is
   * wrong.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let at = 0
    while (at < chunk.length || this.#part === "match") {
      if (this.#at === this.#buffer.length) {
        yield this.#buffer.subarray(this.#from, this.#at)
        this.#buffer.copyWithin(0, this.#at - historyBytesMax, this.#at)
        this.#from = this.#at = historyBytesMax
      }
      if (this.#part === "token") at = this.#takeSequences(chunk, at)
      if (at === chunk.length) break
      const room = this.#buffer.length - this.#at
      if (this.#part === "literals") {
        const count = Math.min(this.#left, chunk.length - at, room)
        this.#buffer.set(chunk.subarray(at, at + count), this.#at)
        this.#at += count
        at += count
        this.#left -= count
        if (this.#left === 0) this.#begin("offset", 2)
      } else if (this.#part === "match") {
        const count = Math.min(this.#left, room)
        this.#copy(count)
        this.#left -= count
        if (this.#left === 0) this.#begin("token", 1)
      } else {
        this.#take(chunk[at]!, this.#fileOffset + at)
        at += 1
      }
    }
    this.#fileOffset += chunk.length
    if (this.#at > this.#from) {
      yield this.#buffer.subarray(this.#from, this.#at)
      this.#from = this.#at
    }
  }

  /** Ends the file. Throws `Lz4FrameError`: `Truncated`, `BadBlock` or `SizeMismatch`. */
  end(): void {
    if (this.#fileOffset <= sizeBytes) {
      throw new Lz4FrameError("Truncated", this.#fileOffset, "a block file has at least 5 bytes")
    }
    // The last sequence has literals alone: where its offset would begin, the block ends.
    const isWhole = this.#part === "offset" && this.#left === 2
    if (!isWhole) throw new Lz4FrameError("BadBlock", this.#fileOffset, "the block ends inside a sequence")
    if (this.#doneBytes === this.#contentBytes) return
    const detail = `claims ${this.#contentBytes} bytes, but the block holds ${this.#doneBytes}`
    throw new Lz4FrameError("SizeMismatch", 0, detail)
  }

  #begin(part: Part, bytes: number): void {
    this.#part = part
    this.#left = bytes
    this.#value = 0
  }

  /**
   * Takes sequences from `begin` on as long as they lie in the chunk as a whole, fit into the buffer and have no fault.
   * Gives where the next one begins. What it does not take comes part by part, and may come in several chunks. So this
   * only saves time: nearly all sequences are taken here, more than six times as fast.
   */
  #takeSequences(chunk: Uint8Array, begin: number): number {
    const buffer = this.#buffer
    const end = Math.min(buffer.length, this.#at + this.#contentBytes - this.#doneBytes)
    let to = this.#at
    let at = begin
    while (at < chunk.length) {
      let from = at
      const token = chunk[from++]!
      let literals = token >>> 4
      if (literals === lengthFull) {
        let more
        do literals += more = chunk[from++] ?? 0
        while (more === 255)
      }
      const offsetAt = from + literals
      from = offsetAt + 2
      // The last sequence of a block has no offset.
      if (from > chunk.length) break
      const distance = chunk[offsetAt]! | chunk[offsetAt + 1]! << 8
      let match = token & lengthFull
      if (match === lengthFull) {
        let more
        do match += more = chunk[from++] ?? 0
        while (more === 255)
        if (from > chunk.length) break
      }
      match += matchBytesMin
      const matchAt = to + literals
      if (matchAt + match > end || distance === 0 || distance > matchAt) break
      if (literals > shortBytes) buffer.set(chunk.subarray(offsetAt - literals, offsetAt), to)
      else for (let i = 0; i < literals; i++) buffer[to + i] = chunk[offsetAt - literals + i]!
      to = matchAt + match
      if (match > shortBytes && distance >= match) buffer.copyWithin(matchAt, matchAt - distance, to - distance)
      else for (let i = matchAt; i < to; i++) buffer[i] = buffer[i - distance]!
      at = from
    }
    this.#doneBytes += to - this.#at
    this.#at = to
    return at
  }

  /** Takes one byte of a part that is none of content. */
  #take(byte: number, offset: number): void {
    switch (this.#part) {
      case "size":
        this.#value += byte * 2 ** (8 * (sizeBytes - this.#left))
        if (--this.#left === 0) this.#onSize()
        return
      case "token": {
        this.#matchLength = byte & lengthFull
        const literals = byte >>> 4
        if (literals === lengthFull) {
          this.#begin("literal length", 1)
          this.#value = lengthFull
        } else this.#onLiterals(literals, offset)
        return
      }
      case "literal length":
        this.#value += byte
        if (byte < 255) this.#onLiterals(this.#value, offset)
        return
      case "offset":
        this.#value += byte * 2 ** (8 * (2 - this.#left))
        if (--this.#left === 0) this.#onOffset(offset)
        return
      case "match length":
        this.#matchLength += byte
        if (byte < 255) this.#onMatch(offset)
    }
  }

  #onSize(): void {
    this.#contentBytes = this.#value
    const possible = Math.max(0, this.#fileBytes - sizeBytes) * contentBytesPerDataByteMax
    if (this.#contentBytes > this.#contentBytesMax) {
      const detail = `claims ${this.#contentBytes} bytes where at most ${this.#contentBytesMax} are allowed`
      throw new Lz4FrameError("SizeMismatch", 0, detail)
    }
    // A file that ends here is truncated, see `end`.
    if (this.#contentBytes > possible && possible > 0) {
      const detail = `claims ${this.#contentBytes} bytes; the block holds at most ${possible}`
      throw new Lz4FrameError("SizeMismatch", 0, detail)
    }
    this.#begin("token", 1)
  }

  #onLiterals(bytes: number, offset: number): void {
    this.#grow(bytes, offset)
    if (bytes === 0) this.#begin("offset", 2)
    else this.#begin("literals", bytes)
  }

  #onOffset(offset: number): void {
    const distance = this.#value
    if (distance === 0 || distance > Math.min(this.#doneBytes, historyBytesMax)) {
      throw new Lz4FrameError("BadBlock", offset, `a match ${distance} bytes back, where there is no content`)
    }
    this.#distance = distance
    if (this.#matchLength === lengthFull) this.#begin("match length", 1)
    else this.#onMatch(offset)
  }

  #onMatch(offset: number): void {
    const bytes = this.#matchLength + matchBytesMin
    this.#grow(bytes, offset)
    this.#begin("match", bytes)
  }

  /** Counts content before it is made: no more than the file claims. */
  #grow(bytes: number, offset: number): void {
    this.#doneBytes += bytes
    if (this.#doneBytes <= this.#contentBytes) return
    throw new Lz4FrameError("BadBlock", offset, `more content than the ${this.#contentBytes} bytes claimed`)
  }

  /** Copies from the history; where the match reaches into itself, what it has copied repeats. */
  #copy(count: number): void {
    const end = this.#at + count
    while (this.#at < end) {
      const bytes = Math.min(this.#distance, end - this.#at)
      this.#buffer.copyWithin(this.#at, this.#at - this.#distance, this.#at - this.#distance + bytes)
      this.#at += bytes
      // What was copied lies before this place, too: so the next copy may be twice as long.
      if (this.#at < end && this.#distance * 2 <= historyBytesMax && bytes === this.#distance) this.#distance *= 2
    }
  }
}
