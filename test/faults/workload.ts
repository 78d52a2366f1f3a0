/**
 * Events whose length and bytes follow from a seed and their id, so that whoever reads them back can tell whether they
 * are what was recorded without having seen them before.
 */
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** Most events are short; one in sixteen is large, so blocks and segments end at ever other places. */
const largeOneIn = 16
const shortBytesMax = 600
const largeBytesMax = 6000

/** The name of a victim's log in its archive. */
export const archivedLog = "victim"

/** The consumers of the program with consumers. */
export const consumerNames = ["billing", "totals", "mail", "audit"] as const

/** A victim's largest block, in bytes. */
export const blockBytesMax = 16 * 1024
/** Of so many events, the first ones are a batch, as many as fit into a block, but not more than `batchEventsMax`. */
const batchEvery = 64
const batchEventsMax = 20
/** Of so many events, `longBatchEvents` are a batch that fills most of a block, from this place on. */
const longBatchEvery = 4096
const longBatchBegin = 2049
const longBatchEvents = 1000
const longBatchBytesMax = 4

const isInLongBatch = (id: number): boolean => {
  const place = id % longBatchEvery - longBatchBegin
  return place >= 0 && place < longBatchEvents
}

/** The event that bears this id. At least 8 bytes, of which the first 8 are the id itself. */
export const eventOf = (seed: number, id: number): Buffer => {
  const random = new SeededRandom(seed * 2 ** 32 + id)
  const bytesMax = isInLongBatch(id)
    ? longBatchBytesMax
    : random.below(largeOneIn) === 0
    ? largeBytesMax
    : shortBytesMax
  const event = Buffer.alloc(8 + random.below(bytesMax))
  event.writeDoubleLE(id, 0)
  // Every other event is noise and every other one is text, so that compression has something to do and something to fail at.
  const isNoise = id % 2 === 0
  for (let at = 8; at < event.length; at++) event[at] = isNoise ? random.uint32() & 0xff : 97 + (at % (3 + id % 23))
  return event
}

/** The batch that begins with the event that bears this id; a single event where none begins. */
export const batchFrom = (seed: number, id: number): ReadonlyArray<Buffer> => {
  if (id % longBatchEvery === longBatchBegin) {
    return Array.from({ length: longBatchEvents }, (_, at) => eventOf(seed, id + at))
  }
  const events = [eventOf(seed, id)]
  if (id % batchEvery !== 1) return events
  let bytes = events[0]!.length + 4
  while (events.length < batchEventsMax) {
    const event = eventOf(seed, id + events.length)
    bytes += event.length + 4
    if (bytes > blockBytesMax) break
    events.push(event)
  }
  return events
}

/** Whether a log that ends with this event has only a part of a batch. */
export const endsInsideBatch = (seed: number, lastId: number): boolean => {
  const first = isInLongBatch(lastId)
    ? Math.floor(lastId / longBatchEvery) * longBatchEvery + longBatchBegin
    : Math.floor((lastId - 1) / batchEvery) * batchEvery + 1
  return lastId > 0 && lastId < first + batchFrom(seed, first).length - 1
}

/** Whether these bytes are the event that bears this id. */
export const isEventOf = (seed: number, id: number, bytes: Uint8Array): boolean =>
  Buffer.compare(eventOf(seed, id), bytes) === 0
