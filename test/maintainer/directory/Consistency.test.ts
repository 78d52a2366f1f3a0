/** What a maintainer reports about its directory. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import { SegmentsToFreeze } from "../../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildWal, frameOf } from "../../fixtures/segments.ts"
import { coldPath, hotPath, kinds, put, quiet, settle } from "../maintaining.ts"
import { directory, startedOn, twelveSegments } from "../startedOn.ts"

describe.each(kinds)("a maintainer on a directory of $name", (kind) => {
  const { layout } = kind
  const wal = twelveSegments(kind)
  const given = startedOn(kind)

  describe("verifyConsistency", () => {
    it.effect("finds a segment that is missing, foreign, damaged at its head, or unknown", () =>
      Effect.gen(function*() {
        const other = buildWal({ layout, segments: [30], firstSegmentIndex: 4, walId: new Uint8Array(16) })[0]!
        // Format 1 has only the ids to tell by.
        const foreign = layout.version === 1 ?
          ["FS.00000004.wal: BadOrder at offset 64: expected first event id 121, found 1"] :
          [
            "FS.00000004.wal: BrokenChain at offset 64: expected wal_id",
            "FS.00000005.wal: BrokenChain at offset 64: expected wal_id"
          ]
        const damaged = Buffer.from(wal[7]!.bytes)
        damaged[57] = damaged[57]! ^ 1
        const { maintainer, services } = yield* given({
          cold: [0, 1],
          hot: [3, 5, 6, 8],
          files: { "FS.00000004.wal": other.bytes, "FS.00000007.wal": damaged }
        })
        yield* put(hotPath(directory, 9), wal[9]!.bytes).pipe(Effect.provideContext(services))
        yield* Disk.use((disk) => disk.unlink(hotPath(directory, 8))).pipe(Effect.provideContext(services))
        const { faults, isConsistent } = yield* maintainer.verifyConsistency
        assert.isFalse(isConsistent)
        for (
          const fault of [
            "segments 2 to 2 are missing",
            ...foreign,
            "FS.00000007.wal: BadHeader",
            "segment 8 is known but not on disk",
            "segment 9 is on disk but not known"
          ]
        ) assert.include(faults.join("\n"), fault)
      }).pipe(Effect.scoped, quiet))

    it.effect("finds more segments than the limits allow, for as long as they cannot be brought within them", () =>
      Effect.gen(function*() {
        const { maintainer, services } = yield* given({ cold: [0, 1, 2, 3, 4, 5], hot: [6, 7, 8, 9, 10, 11] })
        const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
        yield* disk.failAlways("unlink", "Io", /lz4$/)
        yield* disk.failAlways("rename", "Io", /lz4/)
        yield* maintainer.setLimits({ maxSegments: 4, maxCompressedSegments: 4 })
        yield* settle
        assert.deepStrictEqual((yield* maintainer.verifyConsistency).faults, [
          "6 hot segments where 4 are allowed",
          "6 cold segments where 4 are allowed"
        ])
        yield* disk.heal
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* maintainer.verifyConsistency).faults, [])
      }).pipe(Effect.scoped, quiet))

    it.effect("takes what is held, or waits for the archive, for no fault, although there is too much of it", () =>
      Effect.gen(function*() {
        const limits = { maxSegments: 4, maxCompressedSegments: 4 }
        const forms = { cold: [0, 1, 2, 3, 4, 5], hot: [6, 7] }
        const { maintainer } = yield* given({ ...forms, options: { limits, onArchiveBehind: "keep" } })
        assert.deepStrictEqual((yield* maintainer.verifyConsistency).faults, [])
        yield* maintainer.archivedBefore(8)
        yield* settle
        assert.deepStrictEqual((yield* maintainer.verifyConsistency).faults, [])
        const held = yield* given({ ...forms })
        yield* held.maintainer.hold({ name: "a reader", fromSegmentIndex: 0 })
        yield* held.maintainer.setLimits(limits)
        yield* settle
        assert.deepStrictEqual((yield* held.maintainer.verifyConsistency).faults, [])
      }).pipe(Effect.scoped, quiet))

    it.effect("finds a segment in another form than it is known in", () =>
      Effect.gen(function*() {
        const { maintainer, services } = yield* given({ cold: [0], hot: [1, 2, 3] })
        yield* Effect.gen(function*() {
          yield* put(coldPath(directory, 2), yield* Effect.promise(() => frameOf(wal[2]!.bytes)))
          yield* Disk.use((disk) => disk.unlink(hotPath(directory, 2)))
        }).pipe(Effect.provideContext(services))
        const { faults } = yield* maintainer.verifyConsistency
        assert.deepStrictEqual(faults, ["segment 2 is known in another form than on disk"])
      }).pipe(Effect.scoped, quiet))

    it.effect("has nothing to say about a directory in order, hot and cold", () =>
      Effect.gen(function*() {
        const { maintainer, services } = yield* given({ cold: [0, 1, 2], hot: [3, 4, 5] })
        assert.deepStrictEqual(yield* maintainer.verifyConsistency, { isConsistent: true, faults: [] })
        TaskQueue.offerUnsafe(Context.get(services, SegmentsToFreeze), { segmentIndex: 3, bytes: 0 })
        yield* settle
        assert.deepStrictEqual(yield* maintainer.verifyConsistency, { isConsistent: true, faults: [] })
      }).pipe(Effect.scoped, quiet))
  })
})
