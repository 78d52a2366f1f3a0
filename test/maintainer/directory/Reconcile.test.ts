/** What the maintainer finds when it starts, and what it makes of it. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import { blocking, Compressor } from "../../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildWal, frameOf } from "../../fixtures/segments.ts"
import { coldPath, hotPath, kinds, look, open, put, quiet, segmentBytesMax, whileClockTurns } from "../maintaining.ts"
import { directory, startedOn } from "../startedOn.ts"

const empty = new Uint8Array(0)

describe.each(kinds)("a maintainer on a directory of $name", (kind) => {
  const given = startedOn(kind)

  describe("at the start", () => {
    it.effect("removes what was never promised and nothing else", () =>
      Effect.gen(function*() {
        const { events, found, maintainer } = yield* given({
          hot: [0, 1],
          files: {
            "FS.00000000.wal.lz4.tmp": Buffer.from("half a frame"),
            "FS.00000002.wal.tmp": Buffer.alloc(4096),
            "wal_meta.dat.tmp": Buffer.alloc(7),
            "notes.txt": Buffer.from("mine")
          }
        })
        assert.deepStrictEqual([...maintainer.reconciled.removed].sort(), [
          "FS.00000000.wal.lz4.tmp",
          "FS.00000002.wal.tmp",
          "wal_meta.dat.tmp"
        ])
        assert.include(maintainer.reconciled.foreign, "notes.txt")
        assert.deepStrictEqual([(yield* found).hot, (yield* found).leftovers], [[0, 1], []])
        assert.strictEqual(yield* events, 60)
      }).pipe(Effect.scoped, quiet))

    it.effect("removes an empty newest file, and leaves an older one alone as a fault", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({
          hot: [0, 2],
          files: { "FS.00000001.wal": empty, "FS.00000003.wal": empty }
        })
        assert.deepStrictEqual(maintainer.reconciled.removed, ["FS.00000003.wal"])
        assert.deepStrictEqual(maintainer.reconciled.empty, [1])
        assert.deepStrictEqual((yield* found).hot, [0, 1, 2])
        assert.include((yield* maintainer.verifyConsistency).faults.join(), "FS.00000001.wal is empty")
      }).pipe(Effect.scoped, quiet))

    it.effect("finishes a freeze that a crash interrupted, whether its cold file is whole or not", () =>
      Effect.gen(function*() {
        const { events, found, maintainer } = yield* given({
          hot: [0, 1, 2, 3],
          cold: [0],
          files: { "FS.00000001.wal.lz4": Buffer.from("no frame at all") }
        })
        assert.deepStrictEqual(maintainer.reconciled.unfinished, [0, 1])
        const { both, cold, hot } = yield* found
        assert.deepStrictEqual([hot, cold, both], [[2, 3], [0, 1], []])
        assert.strictEqual(yield* events, 120)
        assert.deepStrictEqual((yield* maintainer.verifyConsistency).faults, [])
      }).pipe(Effect.scoped, quiet))

    it.effect("finishes that of the newest segment when it is open, so opening brings no second form back", () =>
      Effect.gen(function*() {
        const newest = buildWal({ layout: kind.layout, segments: [30] })[0]!
        const simulated = yield* SimulatedDisk.make({ seed: 1 })
        yield* Effect.gen(function*() {
          yield* Disk.use((disk) => disk.makeDirectory(directory))
          yield* put(hotPath(directory, 0), newest.bytes)
          yield* put(coldPath(directory, 0), yield* Effect.promise(() => frameOf(newest.bytes)))
        }).pipe(Effect.provideService(Disk, simulated.disk))
        // Whatever executors do meanwhile, they do before the hot file gets its name again.
        const slow: Disk["Service"] = {
          ...simulated.disk,
          rename: (from, to) =>
            from.endsWith(".wal.tmp")
              ? Effect.andThen(Effect.repeat(Effect.yieldNow, { times: 2000 }), simulated.disk.rename(from, to))
              : simulated.disk.rename(from, to)
        }
        const layer = Wal.layer({ directory, format: kind.format, segmentBytesMax }).pipe(
          Layer.provide(Layer.merge(Layer.succeed(Disk, slow), Layer.succeed(Compressor, blocking)))
        )
        const { context } = yield* open(layer)
        yield* whileClockTurns(Context.get(context, SegmentMaintainer).drain)
        const found = yield* look(directory).pipe(Effect.provideService(Disk, simulated.disk))
        assert.deepStrictEqual([found.hot, found.cold, found.both], [[], [0], []])
      }).pipe(Effect.scoped, quiet))

    it.effect("brings more segments than the limits allow within them, the oldest first", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({
          cold: [0, 1, 2, 3, 4, 5],
          hot: [6, 7, 8, 9, 10, 11],
          options: { limits: { maxSegments: 4, maxCompressedSegments: 4 } }
        })
        const { cold, hot } = yield* found
        assert.deepStrictEqual([cold, hot], [[5, 6, 7, 8], [9, 10, 11]])
        assert.isTrue((yield* maintainer.verifyConsistency).isConsistent)
      }).pipe(Effect.scoped, quiet))

    it.effect("deletes nothing for its age before it knows the age", () =>
      Effect.gen(function*() {
        const limits = { maxSegments: 32, maxCompressedSegments: "unlimited" as const, ageMax: 2 * 3_600_000 }
        const { found } = yield* given({ cold: [0, 1, 2], hot: [3], options: { limits } })
        assert.deepStrictEqual((yield* found).cold, [0, 1, 2])
        yield* TestClock.setTime(1_800_000_000_000 + 3 * 3_600_000)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual((yield* found).cold, [])
      }).pipe(Effect.scoped, quiet))
  })
})
