import { assert, describe, it } from "@effect/vitest"
import { blockHeaderBytes, decodeBlockHeader, flashstrikeBlockBytes } from "../../src/format/Block.ts"
import { isSegmentFault } from "../../src/format/SegmentFault.ts"
import { decodeHeader, encodeHeader } from "../../src/format/SegmentHeader.ts"
import { flashstrikeLayout } from "../../src/format/SegmentSealer.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import { buildSegment } from "../fixtures/segments.ts"

/** An order event of the FlashStrike engine. */
const orderEvent = (id: number): Uint8Array => {
  const event = Buffer.alloc(64)
  event.writeBigUInt64LE(BigInt(id), 0)
  event.writeBigUInt64LE(1_700_000_000_000_000_000n + 1000n * BigInt(id), 8)
  event.writeBigInt64LE(10_000n + BigInt(id % 50), 16)
  event.writeBigInt64LE(1n + BigInt(id % 10), 24)
  event.writeUInt32LE(id % 7, 32)
  event.writeUInt32LE(id, 36)
  event.writeUInt8(id % 3, 40)
  event.writeUInt8(id % 2, 41)
  event.writeUInt8(Math.floor(id / 2) % 2, 42)
  return event
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const fromHex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex")

/** What the engine itself wrote: 300 events, preallocated for 16 blocks. */
const golden = {
  header: fromHex(`
    5346 0140 0000 0000 0200 0000 2c01 0000  0100 0000 0000 0000 2c01 0000 0000 0000
    9b32 52b1 3733 ea18 84ce 5cb1 3733 ea18  2e20 bffb 1581 570d aa23 2926 ceff ccf7`),
  block0: fromHex(`
    0100 0000 0000 0000 0001 0000 0000 0000  96f4 4f7f ad96 17a8 96f4 4f7f ad96 17a8
    db74 3b03 ab2c e23f 0000 0000 0001 0000  0000 0000 0000 0000 0000 0000 0000 0000`),
  event1: fromHex(`
    0100 0000 0000 0000 e803 2a36 fe9c 9717  1127 0000 0000 0000 0200 0000 0000 0000
    0100 0000 0100 0000 0101 0000 0000 0000  0000 0000 0000 0000 0000 0000 0000 0000`),
  block1: fromHex(`
    0101 0000 0000 0000 2c01 0000 0000 0000  ab8c fa94 61e7 b8b0 aa23 2926 ceff ccf7
    eebd 0a4e a135 684a 0100 0000 2c00 0000  0000 0000 0000 0000 0000 0000 0000 0000`)
}

describe("the golden vector of format 1", () => {
  const events = Array.from({ length: 300 }, (_, i) => orderEvent(i + 1))
  const built = buildSegment({ layout: flashstrikeLayout, commits: [events], blocks: 16 })
  const { bytes } = built

  it("is reproduced byte for byte, but for the two times and the checksum over them", () => {
    assert.strictEqual(bytes.length, 263_232)
    const at1 = 64 + flashstrikeBlockBytes
    assert.strictEqual(hexOf(bytes.subarray(64, 128)), hexOf(golden.block0))
    assert.strictEqual(hexOf(bytes.subarray(128, 192)), hexOf(golden.event1))
    assert.strictEqual(hexOf(bytes.subarray(at1, at1 + blockHeaderBytes)), hexOf(golden.block1))
    assert.strictEqual(hexOf(bytes.subarray(0, 32)), hexOf(golden.header.subarray(0, 32)))
    assert.strictEqual(hexOf(bytes.subarray(56, 64)), hexOf(golden.header.subarray(56)))
    assert.isTrue(bytes.subarray(at1 + blockHeaderBytes + 44 * 64).every((byte) => byte === 0))
  })

  it("has the header checksum that the engine computes over its own times", () => {
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

  it("is read back, with the engine's own header", () => {
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

  it("is read back as the engine leaves it in a crash: no checksum, no counts, its first byte touched", () => {
    const open = buildSegment({ layout: flashstrikeLayout, commits: [events], blocks: 16, closed: false })
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
