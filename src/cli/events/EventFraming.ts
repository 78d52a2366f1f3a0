/**
 * Cuts a stream of bytes into events, and joins events to the same stream again.
 *
 * - `lines`: an event is a line with its line feed; if the last line has no line feed, its event has none. So replay
 *   writes the events one after the other with nothing between them, and restores exactly the bytes that were recorded:
 *   empty lines, CRLF, bytes that are not UTF-8, and a missing line feed at the end. Several recordings into one
 *   directory are replayed in order, as `cat` would write their inputs.
 * - `length-prefixed`: a message is a u32 little-endian length and that many bytes; the event is the bytes without the
 *   length.
 *
 * Splitting copies only events that cross the border of two chunks, and buffers at most one event.
 */
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { forEachEvent } from "../../reading/segment/BlockEvents.ts"
import type { Framing, LongLineRule } from "../flags/framingFlags.ts"

/**
 * Why splitting cannot continue. `events` counts the events before the fault.
 *
 * - `TooLarge`: the next event has more bytes than an event may have; `bytes` is how many are known
 * - `Truncated`: the input ended in the middle of a message; `bytes` of its `bytesExpected` bytes arrived
 */
export type SplitFault =
  | { readonly kind: "TooLarge"; readonly events: number; readonly bytes: number }
  | { readonly kind: "Truncated"; readonly events: number; readonly bytes: number; readonly bytesExpected: number }

/** Cuts chunks into events. The events of a chunk are views on it: use them before you push the next chunk. */
export interface EventSplitter {
  /** Gives the events that this chunk completes. Ends early at a fault; see `fault`. */
  readonly push: (chunk: Buffer) => Iterable<Uint8Array>
  /** Gives the event that the end of the input completes, if there is one. */
  readonly end: () => Iterable<Uint8Array>
  readonly fault: () => SplitFault | undefined
  /** How many lines were longer than an event may be, and were skipped or split; and which was the first, from 1. */
  readonly longLines: () => { readonly count: number; readonly first: number }
}

/** Makes a splitter for events of at most `eventBytesMax` bytes. The rule applies to lines. */
export const makeSplitter = (framing: Framing, eventBytesMax: number, onLongLine: LongLineRule): EventSplitter =>
  framing === "lines" ? lineSplitter(eventBytesMax, onLongLine) : messageSplitter(eventBytesMax)

const lineFeed = 10

const lineSplitter = (eventBytesMax: number, onLongLine: LongLineRule): EventSplitter => {
  const rest = new Rest()
  let events = 0
  let lines = 0
  let fault: SplitFault | undefined
  let longLines = 0
  let firstLongLine = 0
  /** The beginning of the present line was too long: it is skipped up to its end, or was given already. */
  let isInLongLine = false

  const noteLong = (): void => {
    if (isInLongLine) return
    isInLongLine = true
    longLines += 1
    firstLongLine ||= lines + 1
  }
  return {
    *push(chunk) {
      let position = 0
      while (position < chunk.length) {
        const end = chunk.indexOf(lineFeed, position) + 1
        let piece = chunk.subarray(position, end === 0 ? chunk.length : end)
        const room = eventBytesMax - rest.length
        if (piece.length > room) {
          if (onLongLine === "fail") {
            fault = { kind: "TooLarge", events, bytes: rest.length + piece.length }
            return
          }
          noteLong()
          if (onLongLine === "split") {
            piece = piece.subarray(0, room)
            position += room
            events += 1
            yield rest.take(piece)
            continue
          }
        }
        position += piece.length
        const isSkipped = isInLongLine && onLongLine === "skip"
        if (isSkipped) rest.length = 0
        else if (end === 0) rest.add(piece)
        if (end === 0) return
        isInLongLine = false
        lines += 1
        if (isSkipped) continue
        events += 1
        yield rest.length === 0 ? piece : rest.take(piece)
      }
    },
    *end() {
      if (rest.length === 0 || fault !== undefined) return
      events += 1
      yield rest.take(new Uint8Array(0))
    },
    fault: () => fault,
    longLines: () => ({ count: longLines, first: firstLongLine })
  }
}

const prefixBytes = 4

const messageSplitter = (eventBytesMax: number): EventSplitter => {
  const rest = new Rest()
  let events = 0
  let fault: SplitFault | undefined

  return {
    *push(chunk) {
      let position = 0
      const take = (bytes: number): Uint8Array => {
        const piece = chunk.subarray(position, position + bytes)
        position += piece.length
        return piece
      }
      while (true) {
        const isPrefixSplit = rest.length > 0 || chunk.length - position < prefixBytes
        if (isPrefixSplit && rest.length < prefixBytes) {
          rest.add(take(prefixBytes - rest.length))
          if (rest.length < prefixBytes) return
        }
        const length = isPrefixSplit ? lengthAt(rest.bytes(), 0) : lengthAt(chunk, position)
        if (length > eventBytesMax) {
          fault = { kind: "TooLarge", events, bytes: length }
          return
        }
        const piece = take(prefixBytes + length - rest.length)
        if (rest.length + piece.length < prefixBytes + length) {
          rest.add(piece)
          return
        }
        events += 1
        yield (rest.length === 0 ? piece : rest.take(piece)).subarray(prefixBytes)
      }
    },
    *end() {
      if (rest.length === 0 || fault !== undefined) return
      const bytesExpected = rest.length < prefixBytes ? prefixBytes : prefixBytes + lengthAt(rest.bytes(), 0)
      fault = { kind: "Truncated", events, bytes: rest.length, bytesExpected }
    },
    fault: () => fault,
    longLines: () => ({ count: 0, first: 0 })
  }
}

const lengthAt = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset + at, prefixBytes).getUint32(0, true)

/** Stores the beginning of an event until its end arrives. */
class Rest {
  length = 0
  private buffer = new Uint8Array(4096)

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }

  add(piece: Uint8Array): void {
    const length = this.length + piece.length
    if (length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(length, this.buffer.length * 2))
      larger.set(this.bytes())
      this.buffer = larger
    }
    this.buffer.set(piece, this.length)
    this.length = length
  }

  /**
   * Adds the end of the event, gives the whole event, and empties the store. The result is valid until the next `add`.
   */
  take(piece: Uint8Array): Uint8Array {
    this.add(piece)
    const whole = this.bytes()
    this.length = 0
    return whole
  }
}

/**
 * Makes a function that joins the events of a block to the bytes of a stream. What it returns may be a view on the
 * block, or on memory that the next call overwrites.
 */
export const makeJoiner = (framing: Framing): (block: VerifiedBlock) => Uint8Array => {
  let buffer = Buffer.allocUnsafe(0)
  const gather = (block: VerifiedBlock, prefix: number): Uint8Array => {
    const bytesMax = block.payload.length + block.eventCount * prefix
    if (buffer.length < bytesMax) buffer = Buffer.allocUnsafe(bytesMax)
    const payload = Buffer.from(block.payload.buffer, block.payload.byteOffset, block.payload.length)
    let position = 0
    forEachEvent(block, (_, __, start, end) => {
      if (prefix > 0) buffer.writeUInt32LE(end - start, position)
      position += prefix
      payload.copy(buffer, position, start, end)
      position += end - start
    })
    return buffer.subarray(0, position)
  }
  if (framing === "lines") return (block) => gather(block, 0)
  // In a block of events of any length, each event already has exactly this prefix.
  return (block) => block.eventSize === 0 ? block.payload : gather(block, prefixBytes)
}
