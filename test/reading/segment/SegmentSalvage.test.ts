import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { headerBytesOf } from "../../../src/format/SegmentHeader.ts"
import type { SegmentLayout } from "../../../src/format/SegmentLayout.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildSegment, buildWal, cold, format1Events, frameOf, hot, makeRandom, put } from "../../fixtures/segments.ts"
import type { BuiltSegment } from "../../fixtures/segments.ts"
import { directory, onSimulatedDisk, range } from "../../fixtures/simulatedWal.ts"

/** Ids as they were handed out, and the holes where they were told. */
const idsAndHoles = Effect.gen(function*() {
  const ids: Array<number> = []
  const holes: Array<Replay.Hole & { readonly afterId: number }> = []
  yield* Stream.runForEach(
    Replay.events({
      directory,
      onHole: (hole) => Effect.sync(() => holes.push({ ...hole, afterId: ids.at(-1) ?? 0 }))
    }),
    ({ id }) => Effect.sync(() => ids.push(id))
  )
  return { ids, holes }
})

/** The bounds of a segment's block. */
const blockAt = (segment: BuiltSegment, position: number) => {
  const before = position === 0
    ? { offset: headerBytesOf(segment.header.version), eventCount: 0 }
    : segment.blockEnds[position - 1]!
  const after = segment.blockEnds[position]!
  return {
    start: before.offset,
    end: after.offset,
    firstId: segment.firstEventId + before.eventCount,
    lastId: segment.firstEventId + after.eventCount - 1
  }
}

const without = (ids: ReadonlyArray<number>, from: number, to: number): Array<number> =>
  ids.filter((id) => id < from || id > to)

const largeBlocks: SegmentLayout = { version: 2, eventSize: 0, blockBytesMax: 64 * 1024 }

describe.each(formats)("Replay, past damage ($name)", ({ layout }) => {
  it.effect("goes on with the next block that verifies, and tells the hole", () =>
    Effect.gen(function*() {
      for (const at of [10, 40, 64, 70]) {
        const wal = buildWal({ layout, segments: [20, 30, 20] })
        const block = blockAt(wal[1]!, 2)
        wal[1]!.bytes[block.start + at]! ^= 1
        yield* put(directory, ...wal.map(hot))
        const { holes, ids } = yield* idsAndHoles
        assert.deepStrictEqual(ids, without(range(1, 70), block.firstId, block.lastId), `flip at ${at}`)
        assert.strictEqual(holes.length, 1)
        const [hole] = holes
        assert.strictEqual(hole!.afterId, block.firstId - 1, "the hole is told where it lies")
        assert.strictEqual(hole!.firstMissingId, block.firstId)
        assert.strictEqual(hole!.lastMissingId, block.lastId)
        assert.strictEqual(hole!.damage[0]!.resumedAt, block.end)
        assert.strictEqual(hole!.damage[0]!.error._tag, "SegmentCorrupt")
      }
    }).pipe(onSimulatedDisk))

  it.effect("does the same in a frame", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [20, 30, 20] })
      const block = blockAt(wal[1]!, 2)
      wal[1]!.bytes[block.start + 70]! ^= 1
      const frozen = yield* Effect.promise(() => Promise.all(wal.map((segment) => cold(segment))))
      yield* put(directory, ...frozen)
      const { holes, ids } = yield* idsAndHoles
      assert.deepStrictEqual(ids, without(range(1, 70), block.firstId, block.lastId))
      assert.strictEqual(holes.length, 1)
    }).pipe(onSimulatedDisk))

  it.effect("goes past a segment without a header, and one that is missing", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10] })
      wal[1]!.bytes[5]! ^= 1
      yield* put(directory, hot(wal[0]!), hot(wal[1]!), hot(wal[3]!))
      const { holes, ids } = yield* idsAndHoles
      assert.deepStrictEqual(ids, [...range(1, 10), ...range(31, 40)])
      assert.deepStrictEqual(holes.map(({ damage }) => damage.map(({ error }) => error._tag)), [
        ["SegmentCorrupt", "SegmentMissing"]
      ])
      assert.deepStrictEqual([holes[0]!.firstMissingId, holes[0]!.lastMissingId], [11, 30])
    }).pipe(onSimulatedDisk))

  it.effect("tells a hole at the end, and one in which nothing is missing", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      const last = blockAt(wal[1]!, 1)
      wal[1]!.bytes[last.start + 70]! ^= 1
      yield* put(directory, ...wal.map(hot))
      const atEnd = yield* idsAndHoles
      assert.deepStrictEqual(atEnd.ids, range(1, last.firstId - 1))
      assert.strictEqual(atEnd.holes[0]!.lastMissingId, undefined)
      // Bytes after the end of a closed segment.
      const whole = buildWal({ layout, segments: [10, 10] })
      yield* put(
        directory,
        { ...hot(whole[0]!), bytes: Buffer.concat([whole[0]!.bytes, Buffer.alloc(64, 1)]) },
        hot(whole[1]!)
      )
      const between = yield* idsAndHoles
      assert.deepStrictEqual(between.ids, range(1, 20))
      assert.strictEqual(between.holes.length, 1)
      assert.isBelow(between.holes[0]!.lastMissingId!, between.holes[0]!.firstMissingId)
    }).pipe(onSimulatedDisk))

  it.effect("hands out every block that is whole, and no wrong event, whatever was damaged", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 150; seed++) {
        const random = makeRandom(seed)
        const wal = buildWal({ layout, segments: [20, 40, 20] })
        const middle = wal[1]!
        const damaged = new Set<number>()
        for (let times = 1 + Math.floor(random() * 4); times > 0; times--) {
          const position = Math.floor(random() * middle.blockEnds.length)
          const { lastId, firstId, start } = blockAt(middle, position)
          const bytes = 64 + (layout.version === 1 ? 64 * (lastId - firstId + 1) : 12)
          middle.bytes[start + Math.floor(random() * bytes)]! ^= 1 + Math.floor(random() * 255)
          damaged.add(position)
        }
        yield* put(directory, ...wal.map(hot))
        const { holes, ids } = yield* idsAndHoles
        const expected = range(1, 80).filter((id) =>
          ![...damaged].some((position) => {
            const { firstId, lastId } = blockAt(middle, position)
            return id >= firstId && id <= lastId
          })
        )
        // The same byte may have been changed back.
        const missing = expected.filter((id) => !ids.includes(id))
        assert.deepStrictEqual(missing, [], `seed ${seed}`)
        assert.isTrue(ids.every((id, i) => i === 0 || id > ids[i - 1]!), `seed ${seed}`)
        if (ids.length < 80) assert.isAtLeast(holes.length, 1)
      }
    }).pipe(onSimulatedDisk))

  it.effect("finds what lies behind a damaged block of a frame", () =>
    Effect.gen(function*() {
      // 6 MB in 93 blocks of 64 KiB, or 366 of 16 KiB.
      const isFixed = layout.eventSize > 0
      const events = isFixed
        ? format1Events(1, 366 * 256)
        : Array.from({ length: 3000 }, (_, i) => Buffer.alloc(2000, `${i} `))
      const segment = buildSegment({ layout: isFixed ? layout : largeBlocks, commits: [events] })
      const frame = yield* Effect.promise(() => frameOf(segment.bytes))
      // The third block cannot be decoded: it begins with a match, with nothing before it.
      let at = 15
      for (let block = 0; block < 2; block++) at += 4 + frame.readUInt32LE(at)
      frame.fill(0, at + 4, at + 4 + frame.readUInt32LE(at))
      yield* put(directory, { name: "FS.00000000.wal.lz4", bytes: frame })
      const { holes, ids } = yield* idsAndHoles
      // 1 MiB of content and the blocks that reach into it are gone.
      const perMebibyte = events.length / (segment.bytes.length / (1024 * 1024))
      assert.isAbove(ids.length, events.length - 1.2 * perMebibyte)
      assert.isBelow(ids.length, events.length - 0.95 * perMebibyte)
      assert.strictEqual(ids.at(-1), events.length)
      assert.isAtLeast(holes.length, 1)
    }).pipe(onSimulatedDisk))

  it.effect("does not go past a disk that fails, nor past what was deleted", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.SimulatedDisk
      const wal = buildWal({ layout, segments: [10, 10, 10], firstEventId: 100 })
      yield* put(directory, ...wal.map(hot))
      yield* simulated.failAlways("read", "Io", /00000001/)
      const failed = yield* Effect.flip(idsAndHoles)
      assert.strictEqual(failed._tag, "DiskError")
      yield* simulated.heal
      const deleted = yield* Effect.flip(Stream.runDrain(
        Replay.events({ directory, from: { id: 5 }, onHole: () => Effect.void })
      ))
      assert.strictEqual(deleted._tag, "EventsDeleted")
    }).pipe(onSimulatedDisk))
})

describe("Replay, past damage, of format 2", () => {
  it.effect("does not take what a damaged block holds for blocks", () =>
    Effect.gen(function*() {
      // Its third block has a later index and later ids than the block before the damage.
      const other = buildWal({ segments: [12], commitEvents: 3 })[0]!
      const copy = Buffer.concat([Buffer.alloc(60), other.bytes.subarray(128)])
      const small = range(1, 5).map((i) => Buffer.alloc(10, i))
      const segment = buildSegment({
        layout: largeBlocks,
        commits: [small, [copy], [...small, ...small, ...small], small]
      })
      // The damage is after the copied blocks.
      const block = blockAt(segment, 1)
      segment.bytes[block.start + 64 + 4 + copy.length - 1]! ^= 1
      yield* put(directory, hot(segment))
      const { holes, ids } = yield* idsAndHoles
      assert.deepStrictEqual(ids, without(range(1, 26), 6, 6))
      assert.strictEqual(holes[0]!.damage[0]!.resumedAt, block.end)
    }).pipe(onSimulatedDisk))
})
