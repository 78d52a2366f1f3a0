/** Where a payload is cut into blocks: as few as the format allows, and none of them ends inside a batch. */
import { assert, describe, it } from "@effect/vitest"
import { blockBytesInFile, blockEventsMax, decodeBlockHeader } from "../../src/format/Block.ts"
import { batchEventsMax, format1Layout } from "../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { seal, sealStart } from "../../src/format/SegmentSealer.ts"
import { makeRandom, payloadOf } from "../fixtures/segments.ts"

const layouts: ReadonlyArray<readonly [string, SegmentLayout]> = [
  ["events of variable length", { version: 2, eventSize: 0, blockBytesMax: 400 }],
  ["events of a fixed size", { version: 2, eventSize: 24, blockBytesMax: 250 }],
  ["format 1", format1Layout]
]

/** The events of each block that one flush makes. */
const blocksOf = (layout: SegmentLayout, payload: Uint8Array, continuesBatch?: (offset: number) => boolean) => {
  const { parts, state } = seal(layout, 1, sealStart(layout.version, 0n), payload, 1n, continuesBatch)
  const bytes = Buffer.concat(parts.flat())
  const counts: Array<number> = []
  for (let at = 0; at < bytes.length;) {
    const { eventCount, payloadBytes } = decodeBlockHeader(layout.version, bytes.subarray(at, at + 64))
    counts.push(eventCount)
    at += blockBytesInFile(layout.version, payloadBytes)
  }
  assert.strictEqual(counts.reduce((sum, count) => sum + count, 0), state.eventCount)
  return counts
}

describe.each(layouts)("blocks of %s", (_, layout) => {
  const prefixBytes = layout.eventSize === 0 ? 4 : 0
  const eventOf = (random: () => number) => new Uint8Array(layout.eventSize || Math.floor(random() * 60))

  it("split no batch, whatever stands around it, and leave no more room than a batch needs", () => {
    const random = makeRandom(11)
    for (let round = 0; round < 300; round++) {
      const units = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
        const wanted = random() < 0.4 ? 1 : 1 + Math.floor(random() * batchEventsMax(layout.version))
        const unit: Array<Uint8Array> = []
        let bytes = 0
        while (unit.length < Math.min(wanted, batchEventsMax(layout.version))) {
          const event = eventOf(random)
          bytes += event.length + prefixBytes
          if (bytes > layout.blockBytesMax) break
          unit.push(event)
        }
        return unit
      })
      const marked = new Set<number>()
      let offset = 0
      for (const unit of units) {
        for (const [index, event] of unit.entries()) {
          if (index > 0) marked.add(offset)
          offset += event.length + prefixBytes
        }
      }
      const counts = blocksOf(layout, payloadOf(layout, units.flat()), (at) => marked.has(at))
      // No unit goes over the end of a block.
      const ends = new Set<number>()
      let events = 0
      for (const count of counts) ends.add(events += count)
      let first = 0
      for (const unit of units) {
        for (let id = first + 1; id < first + unit.length; id++) assert.isFalse(ends.has(id), `round ${round}`)
        first += unit.length
      }
      // And no two blocks in a row could have been one, but for the last of format 1, which is never full.
      const bytesOf = (from: number, count: number) =>
        units.flat().slice(from, from + count).reduce((sum, event) => sum + event.length + prefixBytes, 0)
      let from = 0
      for (let block = 0; block + 1 < counts.length; block++) {
        const both = counts[block]! + counts[block + 1]!
        const isLast = layout.version === 1 && block + 2 === counts.length
        const fits = both <= blockEventsMax(layout.version) - (isLast ? 1 : 0) &&
          bytesOf(from, both) <= layout.blockBytesMax
        assert.isFalse(fits, `round ${round}`)
        from += counts[block]!
      }
      if (layout.version === 1) assert.isBelow(counts.at(-1)!, 256)
    }
  })

  it("are the same without batches as when none is marked", () => {
    const random = makeRandom(12)
    for (let round = 0; round < 100; round++) {
      const count = 1 + Math.floor(random() * 600)
      const payload = payloadOf(layout, Array.from({ length: count }, () => eventOf(random)))
      assert.deepStrictEqual(blocksOf(layout, payload, () => false), blocksOf(layout, payload))
    }
  })
})
