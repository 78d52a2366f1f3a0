import { assert, describe, it } from "@effect/vitest"
import { encodeBlockHeader, readBlockHeader } from "../../../src/format/Block.ts"
import type { BlockHeader } from "../../../src/format/Block.ts"
import { blockAt, blocksFrom, blocksOf } from "../../../src/reading/segment/BlockSearch.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildWal } from "../../fixtures/segments.ts"

describe.each(formats)("the search for blocks ($name)", ({ headerBytes, layout }) => {
  const [segment] = buildWal({ layout, segments: [12], firstEventId: 101, commitEvents: 3 })
  const { blockEnds, bytes, header } = segment!
  const starts = [headerBytes, ...blockEnds.map(({ offset }) => offset)].slice(0, -1)
  const thirdBlock = {
    offset: starts[2]!,
    blockIndex: 2,
    lastEventId: 106,
    chainedChecksum: undefined,
    flush: undefined
  }

  /** The bytes of the second block with another header, whose checksum is right. */
  const forged = (change: Partial<BlockHeader>): Uint8Array => {
    const block = readBlockHeader(layout.version, bytes, starts[1]!)
    assert.isDefined(block)
    const copy = Uint8Array.from(bytes.subarray(starts[1]))
    encodeBlockHeader(layout.version, { ...block, ...change }, copy)
    return copy
  }

  it("finds each block of a segment, and nothing between them", () => {
    const found: Array<number> = []
    for (let at = headerBytes; at < bytes.length; at++) {
      if (blockAt(blocksOf(header), bytes, at) !== undefined) found.push(at)
    }
    assert.deepStrictEqual(found, starts)
    assert.strictEqual(starts.length, 4)
  })

  it("takes no block from before the point where it starts", () => {
    const isFound = starts.map((at) => blockAt(blocksFrom(header, thirdBlock), bytes, at) !== undefined)
    assert.deepStrictEqual(isFound, [false, false, true, true])
    const open = { ...header, closedNanos: 0n, blockCount: 0, lastEventId: 0 }
    const isFoundInOpen = starts.map((at) => blockAt(blocksFrom(open, thirdBlock), bytes, at) !== undefined)
    assert.deepStrictEqual(isFoundInOpen, [false, false, true, true])
  })

  it("takes no block that the segment's header rules out, however right its checksum is", () => {
    assert.isDefined(blockAt(blocksOf(header), forged({}), 0))
    const strangers: ReadonlyArray<Partial<BlockHeader>> = [
      { blockIndex: 4 },
      { firstEventId: 98, lastEventId: 100 },
      { firstEventId: 111, lastEventId: 113 },
      { firstEventId: 106, lastEventId: 104 },
      { eventCount: 0, payloadBytes: 0 }
    ]
    for (const stranger of strangers) {
      assert.isUndefined(blockAt(blocksOf(header), forged(stranger), 0), JSON.stringify(stranger))
    }
  })

  it("takes no block whose header was changed or is not all there", () => {
    for (let at = 0; at < 64; at++) {
      const changed = forged({})
      changed[at]! ^= 1
      assert.isUndefined(blockAt(blocksOf(header), changed, 0), `byte ${at}`)
    }
    assert.isUndefined(blockAt(blocksOf(header), forged({}).subarray(0, 63), 0))
  })
})
