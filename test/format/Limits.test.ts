/**
 * Writers, readers and options agree on every limit: what a writer may write at a limit, a reader reads, and what is
 * one beyond it neither of them takes. docs/FORMAT.md has the limits of the module.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as MetaStore from "../../src/disk/MetaStore.ts"
import * as Limits from "../../src/format/Limits.ts"
import { isSegmentFault } from "../../src/format/SegmentFault.ts"
import { SegmentFeed } from "../../src/format/SegmentFeed.ts"
import { decodeHeader, encodeHeader } from "../../src/format/SegmentHeader.ts"
import { format1Layout, layoutFault } from "../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { defaultNaming, hotName, parseName } from "../../src/format/SegmentName.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import { verifySegment } from "../../src/reading/segment/SegmentReader.ts"
import * as WalConfig from "../../src/recorder/WalConfig.ts"
import * as Arena from "../../src/shared/Arena.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { buildSegment, put, smallBlocks } from "../fixtures/segments.ts"

/** One below a limit, at it, and one above. */
const around = (limit: number): ReadonlyArray<readonly [value: number, isAllowed: boolean]> => [
  [limit - 1, true],
  [limit, true],
  [limit + 1, false]
]

const documented: Readonly<Record<string, number | bigint>> = {
  "fixed event size": Limits.fixedEventBytesMax,
  "event of variable length": Limits.blockPayloadBytesMax - Limits.lengthBytes,
  "payload of a block": Limits.blockPayloadBytesMax,
  "events of a block, format 2": Limits.format2BlockEvents,
  "events of a block, format 1": Limits.format1BlockEvents,
  "payload of a segment": Limits.segmentPayloadBytesMax,
  "content of a segment": Limits.segmentContentBytesMax,
  "content in the block form": Limits.blockFormContentBytesMax,
  "event id": Limits.eventIdMax,
  "segment index": Limits.segmentIndexMax,
  "time in a header": Limits.timeNanosMax
}

describe("docs/FORMAT.md", () => {
  it("has every limit of the module, and no other", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/FORMAT.md"), "utf8")
    const section = text.split("\n## ").find((part) => part.startsWith("Limits\n")) ?? ""
    const rows = [...section.matchAll(/^\| ([^|]+) \| ([\d,]+)[^|]* \|/gm)].map(([, name = "", value = ""]) => [
      name,
      value.replaceAll(",", "")
    ])
    assert.deepStrictEqual(
      rows,
      Object.entries(documented).map(([name, value]) => [name, String(value)])
    )
  })
})

describe("a header", () => {
  const { header } = buildSegment({ commits: [[Buffer.from("event")]] })
  const accepts = (fields: object): boolean => !isSegmentFault(decodeHeader(encodeHeader({ ...header, ...fields })))

  it.each(around(Limits.blockPayloadBytesMax))(
    "with block_bytes_max %i is accepted: %s",
    (blockBytesMax, isAllowed) => {
      assert.strictEqual(accepts({ blockBytesMax }), isAllowed)
    }
  )

  it.each(around(Limits.segmentIndexMax))("with segment index %i is accepted: %s", (segmentIndex, isAllowed) => {
    assert.strictEqual(accepts({ segmentIndex }), isAllowed)
    assert.strictEqual(parseName(defaultNaming, hotName(defaultNaming, segmentIndex)) !== undefined, isAllowed)
  })

  it.each(around(Limits.eventIdMax))("with event id %i is accepted: %s", (lastEventId, isAllowed) => {
    assert.strictEqual(accepts({ lastEventId }), isAllowed)
  })

  it("has a time that every reader reads, wherever the wall clock stands, and is never closed at 0", () => {
    const latestMillis = Number(Limits.timeNanosMax / 1_000_000n)
    for (const millis of [-Infinity, -1, -0.5, 0, 0.9, 1, 1.7e12, latestMillis, latestMillis + 1, 2 ** 60, Infinity]) {
      const createdNanos = Limits.timeNanosOf(millis)
      const closedNanos = Limits.closedNanosOf(millis)
      assert.isTrue(createdNanos >= 0n && createdNanos <= Limits.timeNanosMax, String(millis))
      assert.isTrue(closedNanos > 0n && closedNanos >= createdNanos && closedNanos <= Limits.timeNanosMax)
      const read = decodeHeader(encodeHeader({ ...header, createdNanos, closedNanos }))
      assert(!isSegmentFault(read))
      assert.deepStrictEqual([read.createdNanos, read.closedNanos], [createdNanos, closedNanos])
    }
    assert.strictEqual(Limits.timeNanosOf(1_700_000_000_123.7), 1_700_000_000_123_000_000n)
  })
})

describe("a block", () => {
  it.each(
    [
      ["format 2", { version: 2, eventSize: 1, blockBytesMax: 1024 * 1024 }, Limits.format2BlockEvents],
      ["format 1", format1Layout, Limits.format1BlockEvents]
    ] as const
  )("of %s has as many events as its count can hold, and one more begins another", (_, layout, limit) => {
    for (const [events, isAllowed] of around(limit)) {
      // The last block of a flush of format 1 is not full: another event follows.
      const more = layout.version === 1 ? 1 : 0
      const commit = Array.from({ length: events + more }, (_, i) => {
        const event = Buffer.alloc(layout.eventSize)
        if (layout.version === 1) event.writeUInt32LE(i + 1)
        return event
      })
      const { blockEnds, bytes } = buildSegment({ layout, commits: [commit] })
      assert.strictEqual(blockEnds[0]?.eventCount, isAllowed ? events : limit)
      assert.strictEqual(blockEnds.length, isAllowed ? 1 + more : 2)
      const feed = new SegmentFeed({}, () => {})
      feed.push(bytes)
      const summary = feed.end()
      assert.isTrue(!isSegmentFault(summary) && summary.eventCount === commit.length)
    }
  })

  it.effect("with the largest payload is written and read, and a larger event is sealed by nobody", () =>
    Effect.gen(function*() {
      const layout = { version: 2, eventSize: 0, blockBytesMax: Limits.blockPayloadBytesMax } as const
      for (const [bytes, isAllowed] of around(Limits.blockPayloadBytesMax - Limits.lengthBytes)) {
        const event = new Uint8Array(bytes)
        if (!isAllowed) {
          assert.throws(
            () => buildSegment({ layout, commits: [[event]] }),
            /every event and every batch of a payload fits in a block/
          )
          continue
        }
        yield* put("/log", { name: "segment", bytes: buildSegment({ layout, commits: [[event]] }).bytes })
        const file = { segmentIndex: 0, path: "/log/segment", form: "hot", compression: "frame" } as const
        assert.strictEqual((yield* verifySegment(file)).eventCount, 1)
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it("ends with the longest content of a segment at the latest", () => {
    const { blockEnds, bytes, header } = buildSegment({ commits: [[Buffer.from("event")]], closed: false })
    const block = bytes.subarray(header.version === 2 ? 128 : 64, blockEnds[0]!.offset)
    for (const [end, isAllowed] of around(Limits.segmentContentBytesMax)) {
      const verifier = new SegmentVerifier()
      verifier.resume(header, {
        offset: end - block.length,
        blockIndex: 0,
        lastEventId: 0,
        chainedChecksum: 0n,
        flush: undefined
      })
      let blocks = 0
      verifier.push(block, false, () => {
        blocks += 1
      })
      assert.strictEqual(blocks, isAllowed ? 1 : 0, `a block that ends at ${end}`)
    }
  })

  it("of a segment never ends beyond that, however its payload is cut into commits", () => {
    const layout = { version: 2, eventSize: 1, blockBytesMax: 64 } as const
    const payloadBytes = 100
    const cut = buildSegment({ layout, commits: Array.from({ length: payloadBytes }, () => [Buffer.of(1)]) })
    const share = payloadBytes / Limits.segmentPayloadBytesMax
    assert.strictEqual(cut.bytes.length - 128, (Limits.segmentContentBytesMax - 128) * share)
  })
})

describe("an option", () => {
  const refusal = (options: object): string | undefined => {
    try {
      WalConfig.resolveUnsafe({ directory: "/log", ...options })
      return undefined
    } catch (error) {
      return String(error)
    }
  }
  const options: ReadonlyArray<readonly [name: string, limit: number, beside: object]> = [
    ["segmentBytesMax", Limits.segmentPayloadBytesMax, {}],
    ["blockBytesMax", Limits.blockPayloadBytesMax, {}],
    ["eventSize", Limits.fixedEventBytesMax, {}]
  ]

  it.each(options)(
    "%s is allowed up to the limit %i of the format, and refused by its name above",
    (name, limit, beside) => {
      for (const [value, isAllowed] of around(limit)) {
        const refused = refusal({ ...beside, [name]: value })
        if (isAllowed) assert.isUndefined(refused)
        else assert.match(refused ?? "", new RegExp(`${name} is ${value}, expected \\d+ to ${limit} bytes`))
      }
    }
  )
})

describe("an arena that is made by hand", () => {
  const made = (slotBytes: number, layout: SegmentLayout) => () => Arena.makeUnsafe({ slots: 2, slotBytes, layout })

  it("takes no layout whose segments a reader refuses, and names the limit", () => {
    for (const [blockBytesMax, isAllowed] of around(Limits.blockPayloadBytesMax)) {
      const fault = layoutFault({ version: 2, eventSize: 0, blockBytesMax }, Limits.segmentPayloadBytesMax)
      assert.strictEqual(fault === undefined, isAllowed, fault)
    }
    for (const [eventSize, isAllowed] of around(Limits.fixedEventBytesMax)) {
      const fault = layoutFault({ version: 2, eventSize, blockBytesMax: 1024 * 1024 }, Limits.segmentPayloadBytesMax)
      assert.strictEqual(fault === undefined, isAllowed, fault)
    }
    assert.throws(
      made(4096, { version: 2, eventSize: 0, blockBytesMax: Limits.blockPayloadBytesMax + 1 }),
      /blockBytesMax is 67108865, expected 1 to 67108864/
    )
    assert.throws(made(4096, { ...format1Layout, blockBytesMax: 1024 }), /format 1 has one layout/)
    assert.throws(made(Limits.segmentPayloadBytesMax + 1, smallBlocks), /a slot has 1 to 1073741824 bytes/)
  })

  it("takes no layout with events that fit into a block and not into a slot: they would lie in the next one", () => {
    for (const [blockBytesMax, isAllowed] of around(4096)) {
      const attempt = made(4096, { version: 2, eventSize: 0, blockBytesMax })
      if (isAllowed) assert.doesNotThrow(attempt)
      else assert.throws(attempt, /an event of 4097 bytes does not fit into 4096/)
    }
    assert.throws(made(64, { version: 2, eventSize: 100, blockBytesMax: 128 }), /an event of 100 bytes does not fit/)
    assert.throws(made(64, { version: 2, eventSize: 100, blockBytesMax: 64 }), /a block of 64 bytes holds no event/)
  })
})

describe("the block form", () => {
  it.effect("is read up to the longest content that LZ4 puts into one block, and refused above by its size alone", () =>
    Effect.gen(function*() {
      for (const [bytes, isAllowed] of around(Limits.blockFormContentBytesMax)) {
        // So little data cannot hold it: at the limit that is the fault.
        const file = Buffer.alloc(64)
        file.writeUInt32LE(bytes)
        yield* put("/log", { name: "segment", bytes: file })
        const cold = { segmentIndex: 0, path: "/log/segment", form: "cold", compression: "block" } as const
        const { reason } = yield* Effect.flip(verifySegment(cold)).pipe(
          Effect.filterOrFail((error) => error._tag === "SegmentCorrupt")
        )
        assert.match(reason.found, isAllowed ? /the block holds at most/ : /where at most 2113929216 are allowed/)
      }
      yield* Disk.use((disk) => disk.unlink("/log/segment"))
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})

describe("the meta file", () => {
  it.effect("has room for any offset: one beyond a u32 is not that of a repair, which is 0", () =>
    Effect.gen(function*() {
      yield* Disk.use((disk) => disk.makeDirectory("/log"))
      for (const lastOffset of [2 ** 32 - 1, 2 ** 32, Limits.segmentContentBytesMax]) {
        yield* MetaStore.write("/log", { lastOffset, lastSegmentIndex: 1, lastEventId: Limits.eventIdMax })
        const { meta } = yield* MetaStore.read("/log")
        assert.deepStrictEqual(meta, { lastOffset: 2 ** 32 - 1, lastSegmentIndex: 1, lastEventId: Limits.eventIdMax })
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})
