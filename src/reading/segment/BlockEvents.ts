/**
 * Takes the events out of a checked block. `forEachEvent` is fast: it allocates nothing. `eventsIn` is convenient: it
 * makes `{ id, time, bytes }` of each; the bytes are views on the block, not copies.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import { readId } from "../../format/Block.ts"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"

export type { VerifiedBlock } from "../../format/SegmentVerifier.ts"

/**
 * An event as it was recorded: a plain object with these fields, so it can be spread and compared field by field.
 * `bytes` is a plain `Uint8Array`, a view on the memory of its block, which nothing writes to again. JSON has no
 * bytes: make text of them first, as with `Buffer.from(bytes).toString("base64")`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedEvent {
  readonly id: number
  /**
   * When the event became durable at the earliest: the recorder's clock at the flush that wrote it, in whole
   * milliseconds. It never goes back within a log, also when the clock does. `undefined` in format 1, which does not
   * tell.
   */
  readonly time: DateTime.Utc | undefined
  readonly bytes: Uint8Array
}

/**
 * Calls `f` with the id of each event, the memory that holds it, and where it starts and ends there.
 *
 * @since 0.1.0
 * @category iteration
 */
export const forEachEvent = (
  block: VerifiedBlock,
  f: (id: number, bytes: Uint8Array, start: number, end: number) => void
): void => {
  const { eventSize, payload } = block
  if (eventSize === 0) return forEachOfVariableSize(block, f)
  if (block.idsInEvents) {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
    for (let start = 0; start < payload.length; start += eventSize) {
      f(readId(view, start), payload, start, start + eventSize)
    }
    return
  }
  let id = block.firstEventId
  for (let start = 0; start < payload.length; start += eventSize) f(id++, payload, start, start + eventSize)
}

const forEachOfVariableSize = (
  block: VerifiedBlock,
  f: (id: number, bytes: Uint8Array, start: number, end: number) => void
): void => {
  const { payload } = block
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  let id = block.firstEventId
  let position = 0
  while (position < payload.length) {
    const start = position + 4
    position = start + view.getUint32(position, true)
    f(id++, payload, start, position)
  }
}

/**
 * Takes the events out of a block, in order, at most `countMax` at a time; gives none after the last one. Taken in
 * small parts, the objects of one part are garbage before the next one is made. When all events of a large block are
 * made at once, the collector must copy most of them, which takes longer than making them.
 */
export const eventsIn = (block: VerifiedBlock): (countMax: number) => Array<RecordedEvent> => {
  const { eventCount, eventSize, firstEventId, idsInEvents, payload } = block
  const { buffer, byteLength, byteOffset } = payload
  const time = timeOf(block)
  const view = new DataView(buffer, byteOffset, byteLength)
  let taken = 0
  let position = 0
  return (countMax) => {
    const count = Math.min(countMax, eventCount - taken)
    const events: Array<RecordedEvent> = []
    for (let i = 0; i < count; i++) {
      const start = eventSize === 0 ? position + 4 : position
      const bytes = eventSize === 0 ? view.getUint32(position, true) : eventSize
      const id = idsInEvents ? readId(view, start) : firstEventId + taken + i
      // A constructor: `subarray` takes twice as long, because it asks which class to make.
      events.push({ id, time, bytes: new Uint8Array(buffer, byteOffset + start, bytes) })
      position = start + bytes
    }
    taken += count
    return events
  }
}

/** The time of the events of a block, as `RecordedEvent.time`. */
export const timeOf = ({ flushNanos }: VerifiedBlock): DateTime.Utc | undefined =>
  flushNanos === 0n ? undefined : DateTime.makeUnsafe(Number(flushNanos / 1_000_000n))

/**
 * The part of a block whose ids lie from `fromId` to `toId`, both included; `undefined` when there is none. A view, not
 * a copy.
 */
export const trimBlock = (block: VerifiedBlock, fromId: number, toId: number): VerifiedBlock | undefined => {
  if (fromId <= block.firstEventId && block.lastEventId <= toId) return block
  if (block.lastEventId < fromId || toId < block.firstEventId) return undefined
  const lead = block.eventSize === 0 ? 4 : 0
  let from = -1
  let to = 0
  let firstEventId = 0
  let lastEventId = 0
  let eventCount = 0
  forEachEvent(block, (id, _, start, end) => {
    if (id < fromId || id > toId) return
    if (eventCount === 0) {
      from = start - lead
      firstEventId = id
    }
    to = end
    lastEventId = id
    eventCount += 1
  })
  if (eventCount === 0) return undefined
  return { ...block, firstEventId, lastEventId, eventCount, payload: block.payload.subarray(from, to) }
}
