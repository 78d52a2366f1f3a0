import { assert, describe, it } from "@effect/vitest"
import { blockHeaderBytes, encodeBlockHeader } from "../../src/format/Block.ts"
import { blockPayloadBytesMax } from "../../src/format/Limits.ts"
import type { SegmentExpectations } from "../../src/format/SegmentExpectations.ts"
import { isSegmentFault } from "../../src/format/SegmentFault.ts"
import type { SegmentFault } from "../../src/format/SegmentFault.ts"
import { encodeHeader } from "../../src/format/SegmentHeader.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import type { SegmentSummary, VerifiedBlock } from "../../src/format/SegmentVerifier.ts"
import { xxh64 } from "../../src/internal/xxh64.ts"
import { eventsIn } from "../../src/reading/segment/BlockEvents.ts"
import { buildSegment, eventsNamed, format1Events, smallBlocks } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import { swept } from "../sweep.ts"

const eightByteEvents: SegmentLayout = { version: 2, eventSize: 8, blockBytesMax: 256 }

interface Read {
  readonly result: SegmentSummary | SegmentFault
  /** The events as they were handed out. */
  readonly events: ReadonlyArray<string>
}

const read = (bytes: Uint8Array, expected: SegmentExpectations = {}): Read => {
  const events: Array<string> = []
  const onBlock = (block: VerifiedBlock) => {
    for (const { bytes, id } of eventsIn(block)(block.eventCount)) {
      events.push(`${id}:${Buffer.from(bytes).toString("hex")}`)
    }
  }
  const verifier = new SegmentVerifier(expected)
  verifier.push(bytes, true, onBlock)
  return { result: verifier.end(), events }
}

const expectedEvents = (segment: BuiltSegment, count = segment.events.length): ReadonlyArray<string> =>
  segment.events.slice(0, count).map((event, i) => `${segment.firstEventId + i}:${Buffer.from(event).toString("hex")}`)

const faultOf = (bytes: Uint8Array, expected?: SegmentExpectations): SegmentFault => {
  const { result } = read(bytes, expected)
  assert.isTrue(isSegmentFault(result), "a fault is found")
  if (isSegmentFault(result)) return result
  throw new Error("unreachable")
}

const summaryOf = (bytes: Uint8Array, expected?: SegmentExpectations): SegmentSummary => {
  const { result } = read(bytes, expected)
  if (isSegmentFault(result)) throw new Error(JSON.stringify(result))
  return result
}

const segmentsOfEveryKind = (closed: boolean): ReadonlyArray<readonly [string, BuiltSegment]> => [
  [
    "format 2, variable length",
    buildSegment({ commits: [eventsNamed(1, 3), eventsNamed(4, 9), eventsNamed(10, 10)], closed })
  ],
  [
    "format 2, fixed length",
    buildSegment({
      layout: eightByteEvents,
      firstEventId: 1000,
      commits: [[Buffer.alloc(8, 1), Buffer.alloc(8, 2)], Array.from({ length: 40 }, (_, i) => Buffer.alloc(8, i))],
      closed
    })
  ],
  [
    "format 1",
    buildSegment({
      layout: format1Layout,
      firstEventId: 7,
      commits: [format1Events(7, 9), format1Events(10, 10)],
      closed,
      blocks: 2
    })
  ]
]

describe("SegmentVerifier", () => {
  for (const [kind, segment] of segmentsOfEveryKind(true)) {
    it(`gives back every event of a closed segment (${kind})`, () => {
      const { events, result } = read(segment.bytes)
      assert.isFalse(isSegmentFault(result))
      assert.deepStrictEqual(events, expectedEvents(segment))
    })

    it(`gives the same for pieces of any size (${kind})`, () => {
      for (const pieceBytes of [1, 7, 64, 130, 1000]) {
        const verifier = new SegmentVerifier()
        const events: Array<string> = []
        let held = Buffer.alloc(0)
        const feed = (atEnd: boolean): void => {
          const used = verifier.push(held, atEnd, (block) => {
            for (const event of eventsIn(block)(block.eventCount)) {
              events.push(`${event.id}:${Buffer.from(event.bytes).toString("hex")}`)
            }
          })
          held = held.subarray(used)
        }
        for (let at = 0; at < segment.bytes.length; at += pieceBytes) {
          held = Buffer.concat([held, segment.bytes.subarray(at, at + pieceBytes)])
          feed(false)
        }
        feed(true)
        assert.isFalse(isSegmentFault(verifier.end()))
        assert.deepStrictEqual(events, expectedEvents(segment))
      }
    })

    it(`finds every flipped byte of a closed segment, and where (${kind})`, () => {
      const bytes = Buffer.from(segment.bytes)
      for (const at of swept(0, bytes.length)) {
        const before = bytes[at]!
        bytes[at] = before ^ (at % 255 + 1)
        const { events, result } = read(bytes)
        assert.isTrue(isSegmentFault(result), `the flip at ${at} is found`)
        if (isSegmentFault(result)) assert.isAtMost(result.offset, at + 64, `the fault is near ${at}`)
        assert.deepStrictEqual(events, expectedEvents(segment, events.length), "what was handed out is true")
        bytes[at] = before
      }
    })

    it(`finds every cut of a closed segment inside its blocks (${kind})`, () => {
      const blocksEnd = segment.blockEnds.at(-1)!.offset
      for (const length of swept(0, blocksEnd)) {
        const { result } = read(segment.bytes.subarray(0, length))
        assert.isTrue(isSegmentFault(result), `the cut to ${length} bytes is found`)
      }
    })
  }

  for (const [kind, segment] of segmentsOfEveryKind(false)) {
    it(`keeps exactly the events of whole blocks when an open segment is cut anywhere (${kind})`, () => {
      const headerBytes = segment.header.version === 1 ? 64 : 128
      for (const length of swept(headerBytes, segment.bytes.length + 1)) {
        const { events, result } = read(segment.bytes.subarray(0, length))
        assert.isFalse(isSegmentFault(result), `an open segment of ${length} bytes is no fault`)
        const whole = segment.blockEnds.filter(({ offset }) => offset <= length).at(-1)
        assert.deepStrictEqual(events, expectedEvents(segment, whole?.eventCount ?? 0))
        if (isSegmentFault(result)) continue
        assert.strictEqual(result.validBytes, whole?.offset ?? headerBytes)
      }
    })

    it(`keeps exactly the events of the blocks before a flipped byte of an open segment (${kind})`, () => {
      const bytes = Buffer.from(segment.bytes)
      const headerBytes = segment.header.version === 1 ? 64 : 128
      const blocksEnd = segment.blockEnds.at(-1)!.offset
      for (const at of swept(headerBytes, blocksEnd)) {
        bytes[at] = bytes[at]! ^ 0x41
        const { events } = read(bytes)
        const whole = segment.blockEnds.filter(({ offset }) => offset <= at).at(-1)
        assert.deepStrictEqual(events, expectedEvents(segment, whole?.eventCount ?? 0))
        bytes[at] = bytes[at]! ^ 0x41
      }
    })
  }

  it("says whether anything but zeros follows the last whole block of an open segment", () => {
    const open = buildSegment({ commits: [eventsNamed(1, 3)], closed: false })
    const preallocated = Buffer.concat([open.bytes, Buffer.alloc(1000)])
    assert.strictEqual(summaryOf(preallocated).torn, undefined)
    preallocated[preallocated.length - 1] = 1
    assert.strictEqual(summaryOf(preallocated).torn?.kind, "NotZero")
    const torn = Buffer.concat([open.bytes, Buffer.alloc(64, 9)])
    assert.strictEqual(summaryOf(torn).torn?.kind, "BadBlockHeader")
    assert.strictEqual(summaryOf(torn).validBytes, open.bytes.length)
  })

  it("takes bytes behind the end of a closed segment for a fault", () => {
    const segment = buildSegment({ commits: [eventsNamed(1, 3)] })
    assert.strictEqual(faultOf(Buffer.concat([segment.bytes, Buffer.alloc(1)])).kind, "TrailingBytes")
    const segment1 = buildSegment({ layout: format1Layout, commits: [format1Events(1, 3)] })
    segment1.bytes[segment1.bytes.length - 1] = 1
    assert.strictEqual(faultOf(segment1.bytes).kind, "NotZero")
  })

  it("takes a segment whose ids do not go on for a fault, open or closed", () => {
    for (const closed of [true, false]) {
      for (const [, { bytes, firstEventId, header }] of segmentsOfEveryKind(closed)) {
        const fits = [firstEventId - 1, ...(header.version === 1 ? [firstEventId - 5] : [])]
        for (const previousEventId of fits) assert.isFalse(isSegmentFault(read(bytes, { previousEventId }).result))
        for (
          const previousEventId of [firstEventId, firstEventId + 5, ...(header.version === 2 ? [firstEventId - 2] : [])]
        ) {
          assert.strictEqual(faultOf(bytes, { previousEventId }).kind, "BadOrder")
        }
      }
    }
  })

  it("finds a segment that does not belong where it stands", () => {
    const segment = buildSegment({
      segmentIndex: 4,
      firstEventId: 10,
      commits: [eventsNamed(10, 12)],
      previousChainedChecksum: 99n
    })
    const fits = { segmentIndex: 4, walId: segment.header.walId, previousChainedChecksum: 99n, previousEventId: 9 }
    assert.strictEqual(summaryOf(segment.bytes, fits).lastEventId, 12)
    assert.strictEqual(faultOf(segment.bytes, { ...fits, segmentIndex: 5 }).kind, "BadOrder")
    assert.strictEqual(faultOf(segment.bytes, { ...fits, walId: new Uint8Array(16) }).kind, "BrokenChain")
    assert.strictEqual(faultOf(segment.bytes, { ...fits, previousChainedChecksum: 98n }).kind, "BrokenChain")
    assert.strictEqual(faultOf(segment.bytes, { ...fits, previousEventId: 8 }).kind, "BadOrder")
    assert.strictEqual(faultOf(segment.bytes, { ...fits, previousEventId: 10 }).kind, "BadOrder")
  })

  it("lets ids of format 1 skip between segments, but never fall", () => {
    const segment = buildSegment({ layout: format1Layout, firstEventId: 10, commits: [format1Events(10, 12)] })
    assert.strictEqual(summaryOf(segment.bytes, { previousEventId: 4 }).eventCount, 3)
    assert.strictEqual(faultOf(segment.bytes, { previousEventId: 10 }).kind, "BadOrder")
  })

  it("does not believe a closed header whose checksum holds and whose counts lie", () => {
    const segment = buildSegment({ commits: [eventsNamed(1, 3), eventsNamed(4, 6)] })
    const lies: ReadonlyArray<Partial<typeof segment.header>> = [
      { blockCount: 1 },
      { blockCount: 3 },
      { blockCount: 0xffff_ffff },
      { eventCount: 7 },
      { eventCount: 0xffff_ffff },
      { firstEventId: 2 },
      { lastEventId: 7 },
      { lastEventId: Number.MAX_SAFE_INTEGER },
      { lastChainedChecksum: 1n },
      { previousChainedChecksum: 1n },
      { blockBytesMax: 8 },
      { eventSize: 8 },
      { eventSize: 65_535 }
    ]
    for (const lie of lies) {
      const bytes = Buffer.from(segment.bytes)
      bytes.set(encodeHeader({ ...segment.header, ...lie }))
      faultOf(bytes)
    }
  })

  it("refuses a block_bytes_max that no reader should make room for", () => {
    const segment = buildSegment({ commits: [eventsNamed(1, 3)] })
    for (const blockBytesMax of [0, blockPayloadBytesMax + 1, 0xffff_ffff]) {
      const bytes = Buffer.from(segment.bytes)
      bytes.set(encodeHeader({ ...segment.header, blockBytesMax }))
      assert.strictEqual(faultOf(bytes).kind, "BadHeader")
    }
  })

  it("does not believe block headers whose checksum holds and whose lengths lie", () => {
    const payload = Buffer.from("0300000061626300000000", "hex")
    const block = {
      firstEventId: 1,
      lastEventId: 2,
      blockChecksum: xxh64(payload),
      chainedChecksum: xxh64(payload, 0n),
      blockIndex: 0,
      eventCount: 2,
      payloadBytes: payload.length,
      flushFirstBlock: 0,
      flushNanos: 1n
    }
    const segmentWith = (lie: Partial<typeof block>, body: Uint8Array = payload): Buffer => {
      const { header } = buildSegment({ commits: [eventsNamed(1, 2)], closed: false })
      const bytes = Buffer.alloc(128 + 64 + 64)
      bytes.set(encodeHeader(header))
      encodeBlockHeader(2, { ...block, ...lie }, bytes.subarray(128, 128 + blockHeaderBytes))
      bytes.set(body, 192)
      return bytes
    }
    assert.strictEqual(summaryOf(segmentWith({})).eventCount, 2)
    const lies: ReadonlyArray<Partial<typeof block>> = [
      { payloadBytes: 0 },
      { payloadBytes: 1025 },
      { payloadBytes: 0xffff_ffff },
      { eventCount: 0 },
      { eventCount: 1 },
      { eventCount: 3, lastEventId: 3 },
      { eventCount: 65_535 },
      { firstEventId: 0, lastEventId: 1 },
      { firstEventId: Number.MAX_SAFE_INTEGER, lastEventId: 1 },
      { lastEventId: 3 },
      { blockIndex: 1 },
      { blockIndex: 0xffff_ffff },
      { flushFirstBlock: 1 },
      { blockChecksum: 0n },
      { chainedChecksum: 0n }
    ]
    for (const lie of lies) {
      const { eventCount, torn, validBytes } = summaryOf(segmentWith(lie))
      assert.strictEqual(
        eventCount,
        0,
        JSON.stringify(lie, (_, value) => typeof value === "bigint" ? `${value}` : value)
      )
      assert.strictEqual(validBytes, 128)
      assert.isDefined(torn)
    }
    // A length of an event that is near 2^32, with checksums that hold.
    for (const hostile of ["ffffffff61626300000000", "f8ffffff61626300000000", "030000006162630000ffff"]) {
      const body = Buffer.from(hostile, "hex")
      const { eventCount, torn } = summaryOf(
        segmentWith({ blockChecksum: xxh64(body), chainedChecksum: xxh64(body, 0n) }, body)
      )
      assert.strictEqual(eventCount, 0)
      assert.strictEqual(torn?.kind, "BadEvent")
    }
  })

  it("asks for no more bytes than a block can have", () => {
    const segment = buildSegment({ commits: [eventsNamed(1, 2)], closed: false })
    const bytes = Buffer.from(segment.bytes)
    bytes.set(encodeHeader({ ...segment.header, blockBytesMax: blockPayloadBytesMax }))
    const verifier = new SegmentVerifier()
    verifier.push(bytes, false, () => {})
    assert.isAtMost(verifier.neededBytes, blockPayloadBytesMax + 128)
  })

  it("resumes at any block, with every check from there on", () => {
    const segment = buildSegment({ commits: [eventsNamed(1, 3), eventsNamed(4, 6), eventsNamed(7, 9)] })
    const chains: Array<bigint> = [segment.header.previousChainedChecksum]
    for (const [position] of segment.blockEnds.entries()) {
      const start = position === 0 ? 128 : segment.blockEnds[position - 1]!.offset
      chains.push(segment.bytes.readBigUInt64LE(start + 24))
    }
    for (const [position, { eventCount, offset }] of segment.blockEnds.entries()) {
      const resumed = (chainedChecksum: bigint, lastEventId = eventCount) => {
        const verifier = new SegmentVerifier()
        verifier.resume(segment.header, {
          offset,
          blockIndex: position + 1,
          lastEventId,
          chainedChecksum,
          flush: undefined
        })
        verifier.push(segment.bytes.subarray(offset), true, () => {})
        return verifier.end()
      }
      assert.isFalse(isSegmentFault(resumed(chains[position + 1]!)))
      assert.isTrue(isSegmentFault(resumed(chains[position + 1]! ^ 1n)))
      if (offset < segment.bytes.length) assert.isTrue(isSegmentFault(resumed(chains[position + 1]!, eventCount + 1)))
    }
  })

  it("accepts a segment without events, open or closed", () => {
    assert.strictEqual(summaryOf(buildSegment({ commits: [] }).bytes).eventCount, 0)
    assert.strictEqual(summaryOf(buildSegment({ commits: [], closed: false }).bytes).eventCount, 0)
    assert.strictEqual(summaryOf(buildSegment({ layout: smallBlocks, commits: [[]] }).bytes).lastEventId, 0)
  })
})
