/**
 * What is believed of our own hints. The directory decides: a hint that is absent, old, rotten or made by hand costs at
 * most a second look, and is reported in a line.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Disk } from "../../../src/disk/Disk.ts"
import * as MetaStore from "../../../src/disk/MetaStore.ts"
import { encodeHeader } from "../../../src/format/SegmentHeader.ts"
import { defaultNaming, hotName, segmentIndexMax } from "../../../src/format/SegmentName.ts"
import { judge } from "../../../src/reading/recovery/HintedEnd.ts"
import * as Recovery from "../../../src/reading/recovery/Recovery.ts"
import { repair } from "../../../src/reading/recovery/Repair.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildSegment, buildWal, eventsOf, filesIn, hot, put } from "../../fixtures/segments.ts"
import { directory, onSimulatedDisk } from "../../fixtures/simulatedWal.ts"

const metaName = "wal_meta.dat"

describe.each(formats)("the meta file ($name)", ({ layout }) => {
  const open = Recovery.open({ directory, naming: defaultNaming, version: layout.version })
  const wal = buildWal({ layout, segments: [10, 20] })

  /** Opens the log of 30 events in two segments with this meta file. */
  const openWith = Effect.fnUntraced(function*(bytes: Uint8Array | undefined, isOpen = false) {
    const [first, newest] = buildWal({ layout, segments: [10, 20], lastIsOpen: isOpen })
    yield* put(directory, hot(first!), hot(newest!))
    if (bytes !== undefined) yield* put(directory, { name: metaName, bytes })
    const { origin, report } = yield* open
    return { lastEventId: origin.lastEventId, lastSegmentIndex: origin.lastSegmentIndex, hint: report.ignoredHint }
  })
  const bytesOf = Effect.fnUntraced(function*(meta: MetaStore.Meta) {
    yield* Disk.use((disk) => disk.makeDirectory("/other"))
    yield* MetaStore.write("/other", meta)
    return Buffer.from((yield* filesIn("/other")).get(metaName)!, "latin1")
  })
  const right: MetaStore.Meta = { lastOffset: 500, lastSegmentIndex: 1, lastEventId: 30 }
  const shown = { lastEventId: 30, lastSegmentIndex: 1 }

  it.effect("changes nothing when any of its bits has rotted, and is reported", () =>
    Effect.gen(function*() {
      const bytes = yield* bytesOf(right)
      assert.deepStrictEqual(yield* openWith(bytes), { ...shown, hint: "" })
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const rotten = Buffer.from(bytes)
        rotten[bit >> 3]! ^= 1 << (bit & 7)
        const { hint, ...end } = yield* openWith(rotten, bit % 2 === 0)
        assert.deepStrictEqual(end, shown, `bit ${bit}`)
        assert.strictEqual(hint, "wal_meta.dat is not intact: its checksum is wrong")
      }
      assert.deepStrictEqual((yield* verify({ directory })).ignoredHints, [
        "wal_meta.dat is not intact: its checksum is wrong"
      ])
    }).pipe(onSimulatedDisk))

  it.effect("changes nothing when it is absent, old, too short, too long, or of another writer", () =>
    Effect.gen(function*() {
      const bytes = yield* bytesOf(right)
      const old = yield* bytesOf({ lastOffset: 300, lastSegmentIndex: 0, lastEventId: 7 })
      for (
        const [found, isReported] of [
          [undefined, false],
          [old, false],
          [bytes.subarray(0, 16), true],
          [bytes.subarray(0, 23), true],
          [Buffer.concat([bytes, Buffer.alloc(1)]), true],
          [Buffer.alloc(0), true],
          [Buffer.alloc(24), true]
        ] as const
      ) {
        const { hint, ...end } = yield* openWith(found)
        assert.deepStrictEqual(end, shown)
        assert.strictEqual(hint !== "", isReported, hint)
      }
    }).pipe(onSimulatedDisk))

  it.effect("is not believed against the segment that it names, or a newer one", () =>
    Effect.gen(function*() {
      for (
        const meta of [
          { ...right, lastEventId: 30 + 2 ** 40 },
          { ...right, lastEventId: 31 },
          { ...right, lastSegmentIndex: 0, lastEventId: 31 }
        ]
      ) {
        const { hint, ...end } = yield* openWith(yield* bytesOf(meta))
        assert.deepStrictEqual(end, shown)
        assert.include(hint, "is there and the log ends in it with event 30")
      }
    }).pipe(onSimulatedDisk))

  it.effect("is not believed about more than a log can lose, nor about the last index and the last ids of all", () =>
    Effect.gen(function*() {
      for (const isOpen of [true, false]) {
        for (
          const meta of [
            { ...right, lastSegmentIndex: segmentIndexMax, lastEventId: 31 },
            { ...right, lastSegmentIndex: segmentIndexMax - 1, lastEventId: 31 },
            { ...right, lastSegmentIndex: 2 ** 31 - 1, lastEventId: 31 },
            { ...right, lastSegmentIndex: 2 ** 32 - 1, lastEventId: 31 },
            { ...right, lastSegmentIndex: 2 ** 22, lastEventId: 31 },
            { ...right, lastSegmentIndex: 2, lastEventId: 2 ** 53 - 1 },
            { ...right, lastSegmentIndex: 2, lastEventId: 2 ** 53 - 3 },
            { ...right, lastSegmentIndex: 2, lastEventId: 2 ** 40 },
            { lastOffset: 0, lastSegmentIndex: 1, lastEventId: 2 ** 40 }
          ]
        ) {
          const { hint, ...end } = yield* openWith(yield* bytesOf(meta), isOpen)
          assert.deepStrictEqual(end, shown)
          assert.include(hint, "wal_meta.dat names event")
        }
      }
    }).pipe(onSimulatedDisk))

  it.effect("is believed about what is no longer there: lost ids and indices are not used again", () =>
    Effect.gen(function*() {
      for (
        const [meta, isOpen] of [
          [{ ...right, lastSegmentIndex: 2, lastEventId: 35 }, false],
          [{ ...right, lastSegmentIndex: 40, lastEventId: 900 }, true],
          // A repair says so of the segment that it has shortened.
          [{ lastOffset: 0, lastSegmentIndex: 1, lastEventId: 44 }, false]
        ] as const
      ) {
        const { lastEventId, lastSegmentIndex } = meta
        assert.deepStrictEqual(yield* openWith(yield* bytesOf(meta), isOpen), {
          lastEventId,
          lastSegmentIndex,
          hint: ""
        })
      }
      yield* put("/empty", { name: metaName, bytes: yield* bytesOf({ ...right, lastSegmentIndex: 2 ** 30 }) })
      const { origin } = yield* Recovery.open({ directory: "/empty", naming: defaultNaming, version: layout.version })
      assert.deepStrictEqual([origin.lastSegmentIndex, origin.lastEventId], [2 ** 30, 30])
    }).pipe(onSimulatedDisk))

  it.effect("does not make a repair give up all ids that are left", () =>
    Effect.gen(function*() {
      const [first, newest] = buildWal({ layout, segments: [10, 20] })
      newest!.bytes[newest!.blockEnds[0]!.offset + 70]! ^= 1
      yield* put(directory, hot(first!), hot(newest!), {
        name: metaName,
        bytes: yield* bytesOf({ ...right, lastEventId: 2 ** 53 - 1 })
      })
      const { ignoredHint, lastGivenId } = yield* Effect.scoped(repair({ directory, apply: true }))
      assert.strictEqual(lastGivenId, 30)
      assert.include(ignoredHint, "no log comes so far")
      assert.strictEqual((yield* open).origin.lastEventId, 30)
    }).pipe(onSimulatedDisk))

  it.effect("does not make damage of a torn tail with an event that cannot have been in the segment", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, commits: [eventsOf(layout, 1, 5), eventsOf(layout, 6, 9)], closed: false })
      const bytes = Buffer.from(segment.bytes)
      bytes[segment.blockEnds[0]!.offset + 70]! ^= 1
      const meta = yield* bytesOf({ lastOffset: 1, lastSegmentIndex: 0, lastEventId: 2 ** 40 })
      yield* put(directory, { ...hot(segment), bytes }, { name: metaName, bytes: meta })
      assert.deepStrictEqual((yield* verify({ directory })).faults, [])
      assert.strictEqual((yield* open).origin.lastEventId, 5)
    }).pipe(onSimulatedDisk))

  it.effect("a segment with an index or ids that leave no room refuses recording, with a line that tells what to do", () =>
    Effect.gen(function*() {
      const last = wal[1]!
      const { version } = layout
      for (
        const [segmentIndex, firstEventId] of [[segmentIndexMax, 11], [segmentIndexMax - 5, 11], [
          1,
          2 ** 53 - 40
        ]] as const
      ) {
        const place = `/full-${segmentIndex}-${firstEventId}`
        const crafted = buildSegment({ layout, segmentIndex, firstEventId, commits: [eventsOf(layout, 1, 5)] })
        const bytes = version === 1 ? crafted.bytes.subarray(0, 64) : crafted.bytes
        // In format 1 the ids stand in the events; an empty closed segment names them, too.
        const header = encodeHeader({
          ...crafted.header,
          ...(version === 1
            ? { blockCount: 0, eventCount: 0, firstEventId, lastEventId: firstEventId - 1, lastChainedChecksum: 0n }
            : {})
        })
        yield* put(place, {
          name: hotName(defaultNaming, segmentIndex),
          bytes: Buffer.concat([header, bytes.subarray(header.length)])
        })
        const before = yield* filesIn(place)
        const failure = yield* Effect.flip(Recovery.open({ directory: place, naming: defaultNaming, version }))
        assert.strictEqual(failure._tag, "LogExhausted", failure.message)
        assert.include(failure.message, "record into another directory")
        assert.deepStrictEqual([...(yield* filesIn(place)).keys()], [...before.keys()])
      }
      assert.strictEqual(last.segmentIndex, 1)
    }).pipe(onSimulatedDisk))
})

describe("what is believed of a hint", () => {
  it("is bounded by what the lost segments have room for", () => {
    const shown = { lastSegmentIndex: 5, lastEventId: 100, isClosed: false }
    const isBelieved = (lastSegmentIndex: number, lastEventId: number): boolean => {
      const meta = { lastOffset: 9, lastSegmentIndex, lastEventId }
      return judge({ meta, fault: "" }, shown).end.lastEventId === lastEventId
    }
    assert.isTrue(isBelieved(5, 100 + 2 ** 30))
    assert.isFalse(isBelieved(5, 101 + 2 ** 30))
    assert.isTrue(isBelieved(6, 100 + 2 ** 31))
    assert.isFalse(isBelieved(6, 101 + 2 ** 31))
    assert.isTrue(isBelieved(5 + 2 ** 20, 101))
    assert.isFalse(isBelieved(6 + 2 ** 20, 101))
  })
})
