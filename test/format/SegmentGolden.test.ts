import { assert, describe, it } from "@effect/vitest"
import { blockHeaderBytes, decodeBlockHeader, format1BlockBytes } from "../../src/format/Block.ts"
import { isSegmentFault } from "../../src/format/SegmentFault.ts"
import { decodeHeader, encodeHeader } from "../../src/format/SegmentHeader.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import { goldenOrders as golden, goldenPlaces } from "../fixtures/orders.ts"
import { buildSegment, format1Events } from "../fixtures/segments.ts"

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

describe("the golden vector of format 1", () => {
  const events = format1Events(1, 300)
  const built = buildSegment({ layout: format1Layout, commits: [events], blocks: 16 })
  const { bytes } = built

  it("is reproduced byte for byte, but for the two times and the checksum over them", () => {
    assert.strictEqual(bytes.length, 263_232)
    const at1 = 64 + format1BlockBytes
    for (const [offset, part] of goldenPlaces) {
      assert.strictEqual(hexOf(bytes.subarray(offset, offset + part.length)), hexOf(part), `at ${offset}`)
    }
    assert.isTrue(bytes.subarray(at1 + blockHeaderBytes + 44 * 64).every((byte) => byte === 0))
  })

  it("has the header checksum that another writer computes over its own times", () => {
    const header = decodeHeader(golden.header)
    assert.isFalse(isSegmentFault(header))
    if (isSegmentFault(header)) return
    assert.strictEqual(hexOf(encodeHeader(header)), hexOf(golden.header))
    assert.strictEqual(header.eventCount, 300)
    assert.strictEqual(header.lastEventId, 300)
    const block = decodeBlockHeader(1, golden.block1)
    assert.strictEqual(block.firstEventId, 257)
    assert.strictEqual(block.eventCount, 44)
  })

  it("is read back, with the header of another writer", () => {
    const file = Buffer.from(bytes)
    golden.header.copy(file)
    const seen: Array<string> = []
    const verifier = new SegmentVerifier({ segmentIndex: 0 })
    verifier.push(file, true, (block) => {
      for (let at = 0; at < block.payload.length; at += 64) seen.push(hexOf(block.payload.subarray(at, at + 64)))
    })
    const summary = verifier.end()
    assert.isFalse(isSegmentFault(summary))
    if (isSegmentFault(summary)) return
    assert.strictEqual(summary.closed, true)
    assert.strictEqual(summary.lastEventId, 300)
    assert.deepStrictEqual(seen, events.map(hexOf))
  })

  it("is read back as a crash of another writer leaves it: no checksum, no counts, its first byte touched", () => {
    const open = buildSegment({ layout: format1Layout, commits: [events], blocks: 16, closed: false })
    assert.strictEqual(open.bytes.readUInt16LE(0), 0x4600)
    const verifier = new SegmentVerifier()
    verifier.push(open.bytes, true, () => {})
    const summary = verifier.end()
    assert.isFalse(isSegmentFault(summary))
    if (isSegmentFault(summary)) return
    assert.strictEqual(summary.closed, false)
    assert.strictEqual(summary.lastEventId, 300)
    assert.strictEqual(summary.torn, undefined)
  })
})
