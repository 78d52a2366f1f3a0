/**
 * What a crash can have torn, and what it cannot: only what one flush wrote. Everything else in an open segment that
 * does not verify is damage, which every reader reports and nothing cuts.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import * as MetaStore from "../../../src/disk/MetaStore.ts"
import { blockHeaderBytes, encodeBlockHeader, readBlockHeader } from "../../../src/format/Block.ts"
import { defaultNaming, hotName } from "../../../src/format/SegmentName.ts"
import { backup } from "../../../src/reading/recovery/Backup.ts"
import * as Recovery from "../../../src/reading/recovery/Recovery.ts"
import { repair } from "../../../src/reading/recovery/Repair.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildSegment, eventsOf, filesIn, hot, put, text } from "../../fixtures/segments.ts"
import type { BuiltSegment } from "../../fixtures/segments.ts"
import { directory, onSimulatedDisk, range } from "../../fixtures/simulatedWal.ts"

describe.each(formats)("the end of an open segment ($name)", ({ headerBytes, layout }) => {
  const { version } = layout
  const open = Recovery.open({ directory, naming: defaultNaming, version })

  /** An open segment of ours: each of these commits is a flush. */
  const openWith = (commits: ReadonlyArray<ReadonlyArray<Uint8Array>>): BuiltSegment =>
    buildSegment({ layout, commits, closed: false, isOurs: true, blocks: 12 })
  const flushes = (...sizes: ReadonlyArray<number>): BuiltSegment => {
    let id = 1
    return openWith(sizes.map((size) => {
      id += size
      return eventsOf(layout, id - size, id - 1)
    }))
  }
  const startOf = (segment: BuiltSegment, block: number): number =>
    block === 0 ? headerBytes : segment.blockEnds[block - 1]!.offset
  const withBytes = (segment: BuiltSegment, change: (bytes: Buffer) => void): BuiltSegment => {
    const bytes = Buffer.from(segment.bytes)
    change(bytes)
    return { ...segment, bytes }
  }
  const flipped = (segment: BuiltSegment, at: number): BuiltSegment =>
    withBytes(segment, (bytes) => void (bytes[at]! ^= 4))
  /** A sector that the device did not get before the power failed. */
  const withoutSector = (segment: BuiltSegment, at: number): BuiltSegment =>
    withBytes(segment, (bytes) => void bytes.fill(0, at, at + 64))
  /** A flush of at least three blocks: in format 2 a block has 1,024 bytes, in format 1 it has 256 events. */
  const large = version === 1 ? 600 : 250

  const replayed = Effect.fnUntraced(function*(options: Partial<Replay.ReplayOptions> = {}) {
    const ids: Array<number> = []
    const events = Replay.events({ directory, ...options })
    const result = yield* Effect.result(Stream.runForEach(events, ({ id }) => Effect.sync(() => ids.push(id))))
    return { ids, failure: result._tag === "Failure" ? result.failure._tag : undefined }
  })

  /** Every reader reports damage in segment 0, and opening changes nothing. */
  const isDamaged = Effect.fnUntraced(function*(segment: BuiltSegment, words: string) {
    yield* put(directory, hot(segment))
    const { faults } = yield* verify({ directory })
    assert.deepStrictEqual(faults.map(({ kind }) => kind), ["Corrupt"], words)
    assert.strictEqual((yield* replayed()).failure, "SegmentCorrupt", words)
    assert.strictEqual((yield* replayed({ from: { id: 1 }, to: { id: 10_000 } })).failure, "SegmentCorrupt", words)
    const before = yield* filesIn(directory)
    const failure = yield* Effect.flip(open)
    assert.strictEqual(failure._tag, "SegmentCorrupt", words)
    assert.include(failure.message, "effect-wal repair")
    assert.deepStrictEqual(yield* filesIn(directory), before, words)
  })
  /** A crash may have left it: readers report nothing, and recording continues after these events. */
  const isTornAfter = Effect.fnUntraced(function*(segment: BuiltSegment, lastEventId: number, words: string) {
    yield* put(directory, hot(segment))
    assert.deepStrictEqual((yield* verify({ directory })).faults, [], words)
    assert.deepStrictEqual(yield* replayed(), { ids: range(1, lastEventId), failure: undefined }, words)
    assert.strictEqual((yield* open).origin.lastEventId, lastEventId, words)
    assert.deepStrictEqual(yield* replayed(), { ids: range(1, lastEventId), failure: undefined }, words)
  })

  it.effect("a bit that has rotted before a later flush is damage, wherever it is in its block", () =>
    Effect.gen(function*() {
      const segment = flushes(5, 5, 5, 5)
      for (const block of [0, 1, 2]) {
        // Every field of the block's header, its first event, and the last byte that is used.
        for (const offset of [0, 8, 16, 24, 32, 40, 44, 48, 52, 60, 66, 64 + 40]) {
          yield* isDamaged(flipped(segment, startOf(segment, block) + offset), `block ${block}, byte ${offset}`)
        }
      }
    }).pipe(onSimulatedDisk))

  it.effect("a block that reads as zeros before a later flush is damage", () =>
    Effect.gen(function*() {
      const segment = flushes(5, 5, 5)
      const [from, to] = [startOf(segment, 1), startOf(segment, 2)]
      yield* isDamaged(withBytes(segment, (bytes) => void bytes.fill(0, from, to)), "all of a block")
    }).pipe(onSimulatedDisk))

  it.effect("damage in the first flush is no torn write, and the file is not removed", () =>
    Effect.gen(function*() {
      yield* isDamaged(flipped(flushes(5), headerBytes + 70), "the only block")
      yield* isDamaged(flipped(flushes(5), headerBytes + 40), "the header of the only block")
    }).pipe(onSimulatedDisk))

  it.effect("the last flush may be torn, and whole blocks of it after the torn one are cut with it", () =>
    Effect.gen(function*() {
      yield* isTornAfter(withoutSector(flushes(5, 5, 5), startOf(flushes(5, 5, 5), 2)), 10, "the last block")
      const segment = flushes(5, 5, large)
      assert.isAtLeast(segment.blockEnds.length, 5)
      for (const block of [2, 3]) {
        const { eventCount } = segment.blockEnds[block - 1]!
        // Format 1 writes the last block of a flush after the others are durable, so it was not there yet.
        const written = version === 2 ? segment : withBytes(segment, (bytes) => {
          bytes.fill(0, startOf(segment, segment.blockEnds.length - 1))
        })
        for (const offset of [0, 64]) {
          yield* isTornAfter(
            withoutSector(written, startOf(segment, block) + offset),
            eventCount,
            `block ${block}, byte ${offset}`
          )
        }
      }
    }).pipe(onSimulatedDisk))

  it.effect("what a flush of several blocks made durable is damage before the next flush, and in it is not", () =>
    Effect.gen(function*() {
      const segment = flushes(5, large, 5)
      const count = segment.blockEnds.length
      for (let block = 1; block < count - 1; block++) {
        yield* isDamaged(flipped(segment, startOf(segment, block) + 70), `the payload of block ${block}`)
        yield* isDamaged(flipped(segment, startOf(segment, block) + 4), `the header of block ${block}`)
      }
      yield* isTornAfter(withoutSector(segment, startOf(segment, count - 1)), large + 5, "the last block")
    }).pipe(onSimulatedDisk))

  it.effect("a torn tail is damage when the meta file names an event in it", () =>
    Effect.gen(function*() {
      const segment = flipped(flushes(5, 5), startOf(flushes(5, 5), 1) + 70)
      yield* put(directory, hot(segment))
      yield* MetaStore.write(directory, { lastOffset: segment.bytes.length, lastSegmentIndex: 0, lastEventId: 10 })
      yield* isDamaged(segment, "the meta file is ahead")
      yield* MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 0, lastEventId: 5 })
      yield* isTornAfter(segment, 5, "the meta file is not ahead")
    }).pipe(onSimulatedDisk))

  it.effect("a replay past damage gives every whole block, those of later flushes too", () =>
    Effect.gen(function*() {
      const segment = flushes(5, 5, 5, 5)
      for (const [block, offset] of [[1, 70], [2, 4], [0, 70]] as const) {
        yield* put(directory, hot(flipped(segment, startOf(segment, block) + offset)))
        const ids = range(1, 20).filter((id) => Math.ceil(id / 5) !== block + 1)
        assert.deepStrictEqual(yield* replayed({ onHole: () => Effect.void }), { ids, failure: undefined })
      }
    }).pipe(onSimulatedDisk))

  it.effect("a follower reports it too", () =>
    Effect.gen(function*() {
      const segment = flushes(5, 5, 5)
      yield* put(directory, hot(flipped(segment, startOf(segment, 1) + 70)))
      assert.deepStrictEqual(yield* replayed({ follow: "poll" }), { ids: range(1, 5), failure: "SegmentCorrupt" })
    }).pipe(onSimulatedDisk))

  it.effect("a repair keeps it in quarantine with all its blocks, and no id is given out again", () =>
    Effect.gen(function*() {
      for (const [block, offset] of [[1, 70], [2, 4], [0, 70], [0, 4]] as const) {
        for (const sizes of [[5, 5, 5, 5], [5]]) {
          const segment = flushes(...sizes)
          if (block > 0 && sizes.length === 1) continue
          yield* TestClock.adjust("1 second")
          const damaged = flipped(segment, startOf(segment, block) + offset)
          yield* put(directory, hot(damaged))
          const { quarantine } = yield* Effect.scoped(repair({ directory, apply: true }))
          const moved = (yield* filesIn(quarantine!)).get(hotName(defaultNaming, 0))
          assert.strictEqual(moved, damaged.bytes.toString("latin1"))
          const { origin } = yield* open
          assert.isAtLeast(origin.lastEventId, segment.lastEventId)
          yield* Disk.use((disk) => disk.unlink(`${directory}/wal_meta.dat`))
          const names = (yield* Disk.use((disk) => disk.list(directory))).map(({ name }) => name)
          assert.strictEqual(
            names.includes(hotName(defaultNaming, 0)),
            version === 2 && block > 0,
            "what is kept in its place"
          )
        }
      }
    }).pipe(onSimulatedDisk))

  it.effect("a backup copies a damaged open segment as it is", () =>
    Effect.gen(function*() {
      const segment = flushes(5, 5, 5)
      const damaged = flipped(segment, startOf(segment, 1) + 70)
      yield* put(directory, hot(damaged))
      const { faults } = yield* backup({ directory, to: "/copy" })
      assert.deepStrictEqual(faults.map(({ kind }) => kind), ["Corrupt"])
      assert.strictEqual((yield* filesIn("/copy")).get(hotName(defaultNaming, 0)), damaged.bytes.toString("latin1"))
    }).pipe(onSimulatedDisk))

  it.effect("is looked at again before it is called damage, for a recorder may be writing it", () =>
    Effect.gen(function*() {
      const segment = flushes(5, 5, 5)
      yield* put(directory, hot(segment))
      const disk = yield* Disk
      /** The first read of the second block comes before it was written; what follows is read after the next flush. */
      let isEarly = true
      const early: typeof disk.open = (path, mode) =>
        Effect.map(disk.open(path, mode), (file) => ({
          ...file,
          read: (target, offset) =>
            Effect.map(file.read(target, offset), (count) => {
              const at = startOf(segment, 1) + 70 - offset
              if (isEarly && path.endsWith(".wal") && offset === 0 && at < count) {
                isEarly = false
                target.fill(0, at, at + 8)
              }
              return count
            })
        }))
      const { ids } = yield* Effect.provideService(replayed(), Disk, { ...disk, open: early })
      assert.isFalse(isEarly)
      assert.deepStrictEqual(ids, range(1, 15))
    }).pipe(onSimulatedDisk))
})

describe("the end of an open segment of format 2", () => {
  it.effect("recorded bytes that look like a block of another log make no damage of a torn tail", () =>
    Effect.gen(function*() {
      const { layout } = formats[0]!
      const other = buildSegment({ layout, commits: [[text("x")]] })
      const block = readBlockHeader(2, other.bytes, 128)!
      // An event that brings a block header to a place where a block may begin: index 7, of a flush of its own.
      const forged = new Uint8Array(blockHeaderBytes)
      encodeBlockHeader(2, { ...block, blockIndex: 7, flushFirstBlock: 7, firstEventId: 900, lastEventId: 900 }, forged)
      const event = Buffer.concat([Buffer.alloc(60), forged, Buffer.alloc(64)])
      const segment = buildSegment({ layout, commits: [[text("one")], [event]], closed: false })
      const start = segment.blockEnds[0]!.offset
      assert.isDefined(readBlockHeader(2, segment.bytes, start + 128))
      const bytes = Buffer.from(segment.bytes).fill(0, start, start + 64)
      yield* put(directory, { ...hot(segment), bytes })
      assert.deepStrictEqual((yield* verify({ directory })).faults, [])
      const { origin } = yield* Recovery.open({ directory, naming: defaultNaming, version: 2 })
      assert.strictEqual(origin.lastEventId, 1)
    }).pipe(onSimulatedDisk))
})

describe("an open segment that another writer of format 1 left", () => {
  const { layout } = formats[1]!

  it.effect("is damaged when any block follows one that does not verify: nothing tells what was durable", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, commits: [eventsOf(layout, 1, 700)], closed: false })
      const bytes = Buffer.from(segment.bytes)
      bytes[segment.blockEnds[0]!.offset + 70]! ^= 1
      yield* put(directory, { ...hot(segment), bytes })
      const failure = yield* Effect.flip(Recovery.open({ directory, naming: defaultNaming, version: 1 }))
      assert.strictEqual(failure._tag, "SegmentCorrupt")
    }).pipe(onSimulatedDisk))

  it.effect("may be torn in its first block, which it had its name before", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, commits: [eventsOf(layout, 1, 20)], closed: false })
      const bytes = Buffer.from(segment.bytes)
      bytes[64 + 70]! ^= 1
      yield* put(directory, { ...hot(segment), bytes })
      const { report } = yield* Recovery.open({ directory, naming: defaultNaming, version: 1 })
      assert.deepStrictEqual(report.removedSegmentIndices, [0])
    }).pipe(onSimulatedDisk))
})
