/**
 * Events whose length and bytes follow from a seed and their id, so that whoever reads them back can tell whether they
 * are what was recorded without having seen them before.
 */
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** Most events are short; one in sixteen is large, so blocks and segments end at ever other places. */
const largeOneIn = 16
const shortBytesMax = 600
const largeBytesMax = 6000

/** The event that bears this id. At least 8 bytes, of which the first 8 are the id itself. */
export const eventOf = (seed: number, id: number): Buffer => {
  const random = new SeededRandom(seed * 2 ** 32 + id)
  const bytesMax = random.below(largeOneIn) === 0 ? largeBytesMax : shortBytesMax
  const event = Buffer.alloc(8 + random.below(bytesMax))
  event.writeDoubleLE(id, 0)
  // Every other event is noise and every other one is text, so that compression has something to do and something to fail at.
  const isNoise = id % 2 === 0
  for (let at = 8; at < event.length; at++) event[at] = isNoise ? random.uint32() & 0xff : 97 + (at % (3 + id % 23))
  return event
}

/** Whether these bytes are the event that bears this id. */
export const isEventOf = (seed: number, id: number, bytes: Uint8Array): boolean =>
  Buffer.compare(eventOf(seed, id), bytes) === 0
