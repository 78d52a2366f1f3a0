/** The limits of a maintainer: what is deleted for them, and what is kept. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { coldPath, kinds, quiet, settle, watch, whileClockTurns } from "../maintaining.ts"
import { directory, startedOn, twelveSegments } from "../startedOn.ts"

describe.each(kinds)("a maintainer on a directory of $name", (kind) => {
  const wal = twelveSegments(kind)
  const given = startedOn(kind)

  describe("limits", () => {
    it.effect("may change at run time; the plan says beforehand what will be done", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ cold: [0, 1, 2, 3, 4, 5], hot: [6, 7] })
        assert.deepStrictEqual(yield* maintainer.plan, [])
        // With every deletion failing the plan stands still and can be looked at.
        yield* Context.get(services, SimulatedDisk.SimulatedDisk).failAlways("unlink", "Io", /lz4$/)
        const clamped = yield* maintainer.setLimits({ maxSegments: 1, maxCompressedSegments: 4 })
        assert.deepStrictEqual(clamped, [{ field: "maxSegments", given: 1, used: 2 }])
        // The deletion of 0 is under way; the freezing of 6 waits for its place, for which 2 will go. Looking at the
        // plan, however often, begins nothing.
        for (let look = 0; look < 3; look++) {
          assert.deepStrictEqual(
            (yield* maintainer.plan).map(({ action, because, segmentIndex }) => [action, segmentIndex, because]),
            [["free", 1, "maxCompressedSegments"], ["free", 2, "maxCompressedSegments"]]
          )
        }
        assert.deepStrictEqual((yield* found).cold, [0, 1, 2, 3, 4, 5])
        yield* Context.get(services, SimulatedDisk.SimulatedDisk).heal
        yield* TestClock.adjust("1 minute")
        const { cold, hot } = yield* found
        assert.deepStrictEqual([cold, hot], [[3, 4, 5, 6], [7]])
      }).pipe(Effect.scoped, quiet))

    it.effect("delete no more than they must, however often they are looked at meanwhile", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ cold: [0, 1, 2, 3, 4, 5, 6, 7], hot: [8, 9, 10, 11] })
        const { coldBytes, hotBytes } = yield* maintainer.status
        const each = coldBytes / 8
        yield* Context.get(services, SimulatedDisk.SimulatedDisk).failNext("unlink", "Io", /lz4$/)
        const bytesMax = Math.ceil(coldBytes + hotBytes - 1.5 * each)
        for (let i = 0; i < 10; i++) {
          yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: "unlimited", bytesMax })
        }
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* found).cold.filter((index) => index < 8), [2, 3, 4, 5, 6, 7])
      }).pipe(Effect.scoped, quiet))

    it.effect.each(["bytesMax", "freeBytesMin"] as const)(
      "do not compress for want of room that a deletion under way will make (%s)",
      (limit) =>
        Effect.gen(function*() {
          const { found, maintainer, services } = yield* given({ cold: [0], hot: [1, 2, 3, 4] })
          const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
          yield* disk.setCapacityBytes(1 << 20)
          yield* TestClock.adjust("20 seconds")
          yield* disk.failNext("rename", "Io", /lz4$/)
          const { coldBytes, hotBytes } = yield* maintainer.status
          const freeBytes = yield* Context.get(services, Disk).freeBytes(directory)
          const limits = limit === "bytesMax" ? { bytesMax: coldBytes + hotBytes - 1 } : { freeBytesMin: freeBytes + 1 }
          for (let again = 0; again < 3; again++) {
            yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: "unlimited", ...limits })
            yield* settle
            assert.deepStrictEqual((yield* found).cold, [0])
            assert.deepStrictEqual(yield* maintainer.plan, [])
          }
          yield* TestClock.adjust("1 minute")
          const { cold, hot } = yield* found
          assert.deepStrictEqual([cold, hot], [[], [1, 2, 3, 4]])
        }).pipe(Effect.scoped, quiet)
    )

    it.effect("are kept again when a step that was given up may succeed: a full disk has room again", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ hot: [0, 1, 2, 3, 4, 5] })
        const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
        yield* disk.failAlways("write", "Full", /lz4/)
        yield* maintainer.setLimits({ maxSegments: 4, maxCompressedSegments: "unlimited" })
        yield* TestClock.adjust("5 seconds")
        const failures = yield* maintainer.failures
        assert.deepStrictEqual(
          failures.slice(0, 1).map(({ isRetryable, reason, segmentIndex, step }) => [
            step,
            segmentIndex,
            reason,
            isRetryable
          ]),
          [["freeze", 0, "DiskFull", true]]
        )
        assert.deepStrictEqual((yield* found).cold, [])
        yield* disk.heal
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* found).cold, [0, 1, 2])
      }).pipe(Effect.scoped, quiet))

    it.effect("delete the oldest for a freeze that is about to begin, and nothing more when it fails, however often", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ cold: [0, 1, 2, 3], hot: [4, 5, 6, 7, 8] })
        const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
        yield* disk.failAlways("write", "Full", /lz4/)
        yield* maintainer.setLimits({ maxSegments: 2, maxCompressedSegments: 4 })
        yield* TestClock.adjust("5 minutes")
        assert.isAbove((yield* maintainer.failures).length, 100)
        assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[1, 2, 3], [4, 5, 6, 7, 8]])
        yield* disk.heal
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[4, 5, 6, 7], [8]])
      }).pipe(Effect.scoped, quiet))

    it.effect("are exceeded where nothing may be deleted, by what is frozen late: it is the first to go", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({ cold: [1, 2, 3, 4], hot: [0, 5, 6] })
        const events = yield* watch(maintainer)
        yield* maintainer.setLimits({ maxSegments: 3, maxCompressedSegments: 4 })
        yield* settle
        assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[1, 2, 3, 4], [5, 6]])
        assert.deepStrictEqual(events.map(({ _tag, segmentIndex }) => [_tag, segmentIndex]), [["Frozen", 0], [
          "Freed",
          0
        ]])
      }).pipe(Effect.scoped, quiet))

    it.effect("leave no hole: nothing goes that is newer than a segment on which a step was given up", () =>
      Effect.gen(function*() {
        const damaged = Buffer.from(wal[2]!.bytes)
        damaged[200] = damaged[200]! ^ 1
        const { found, maintainer } = yield* given({
          cold: [0, 1, 3, 4, 5, 6, 7],
          hot: [8],
          files: { "FS.00000002.wal": damaged }
        })
        yield* maintainer.setLimits({ maxSegments: 2, maxCompressedSegments: 4 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* maintainer.failures).map(({ reason, segmentIndex }) => [segmentIndex, reason]), [
          [2, "Corrupt"]
        ])
        const { cold, hot } = yield* found
        assert.deepStrictEqual([cold, hot], [[3, 4, 5, 6, 7], [2, 8]])
      }).pipe(Effect.scoped, quiet))

    it.effect("keep what is held until the hold expires", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({ cold: [0, 1, 2, 3, 4, 5, 6, 7], hot: [8] })
        yield* maintainer.hold({ name: "backup", fromSegmentIndex: 1, timeToLive: "1 minute" })
        yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: 4 })
        yield* TestClock.adjust(59_999)
        assert.deepStrictEqual((yield* found).cold, [1, 2, 3, 4, 5, 6, 7])
        assert.deepStrictEqual((yield* maintainer.status).holds, [{
          name: "backup",
          fromSegmentIndex: 1,
          expiresMillis: 1_800_000_000_000 + 60_000,
          isExceeded: false
        }])
        yield* TestClock.adjust(10_001)
        assert.deepStrictEqual((yield* found).cold, [4, 5, 6, 7])
        assert.deepStrictEqual((yield* maintainer.status).holds, [])
      }).pipe(Effect.scoped, quiet))

    it.effect("go past a deletion that failed for good, when no segment stands there any more, and report it", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ cold: [0, 1, 2, 3, 4, 5], hot: [6] })
        const disk = Context.get(services, Disk)
        const path = coldPath(directory, 0)
        yield* disk.unlink(path)
        yield* disk.makeDirectory(path)
        yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: 4 })
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual((yield* found).cold, [1, 2, 3, 4, 5])
        assert.deepStrictEqual(
          (yield* maintainer.failures).map(({ reason, segmentIndex, step }) => [step, segmentIndex, reason]),
          [
            ["free", 0, "Unsafe"]
          ]
        )
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual((yield* found).cold, [2, 3, 4, 5])
        assert.isUndefined((yield* maintainer.segments).find(({ segmentIndex }) => segmentIndex === 0))
        yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: "unlimited", bytesMax: 0 })
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[], [6]])
      }).pipe(Effect.scoped, quiet))

    it.effect("wait for a file that cannot be deleted, since without it there would be a hole, and try again", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ cold: [0, 1, 2, 3, 4, 5], hot: [6] })
        const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
        yield* disk.failAlways("rename", "IsDirectory", /FS\.00000000\.wal\.lz4$/)
        yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: 4 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual((yield* found).cold, [0, 1, 2, 3, 4, 5])
        assert.isAtLeast((yield* maintainer.failures).length, 5)
        yield* disk.heal
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual((yield* found).cold, [2, 3, 4, 5])
      }).pipe(Effect.scoped, quiet))

    it.effect("let go what lies before an id, when that is asked for: whole segments, compressed first, held ones later", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({ cold: [0, 1, 2], hot: [3, 4, 5] })
        // 30 events each: event 76 is in segment 2.
        yield* maintainer.freeBefore(76)
        yield* settle
        assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[2], [3, 4, 5]])
        yield* Effect.scoped(Effect.gen(function*() {
          yield* maintainer.hold({ name: "reader", fromSegmentIndex: 3 })
          yield* maintainer.freeBefore(151)
          yield* whileClockTurns(maintainer.drain)
          assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[3, 4], [5]])
        }))
        yield* whileClockTurns(maintainer.drain)
        assert.deepStrictEqual([(yield* found).cold, (yield* found).hot], [[], [5]])
        // An earlier id changes nothing, and the newest segment stays.
        yield* maintainer.freeBefore(1)
        yield* maintainer.freeBefore(1_000_000)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual((yield* found).hot, [5])
      }).pipe(Effect.scoped, quiet))

    it.effect("let holds keep no more than their bound, and say whose hold was exceeded", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({ cold: [0, 1, 2, 3, 4, 5, 6, 7], hot: [8] })
        yield* maintainer.hold({ name: "reader", fromSegmentIndex: 0 })
        yield* maintainer.hold({ name: "archive", fromSegmentIndex: 7 })
        const { coldBytes, hotBytes } = yield* maintainer.status
        const limits = { maxSegments: 32, maxCompressedSegments: 4 }
        const bytes = coldBytes + hotBytes
        yield* maintainer.setLimits({ ...limits, heldBytesMax: bytes })
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual((yield* found).cold, [0, 1, 2, 3, 4, 5, 6, 7])
        yield* maintainer.setLimits({ ...limits, heldBytesMax: Math.ceil(bytes - 1.5 * coldBytes / 8) })
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual((yield* found).cold, [2, 3, 4, 5, 6, 7])
        assert.deepStrictEqual((yield* maintainer.status).holds.map(({ isExceeded, name }) => [name, isExceeded]), [
          ["reader", true],
          ["archive", false]
        ])
      }).pipe(Effect.scoped, quiet))

    it.effect("keep what is held, until the hold moves on or ends", () =>
      Effect.gen(function*() {
        const { found, maintainer } = yield* given({ cold: [0, 1, 2, 3, 4, 5, 6, 7], hot: [8] })
        const cold = Effect.map(found, (found) => found.cold.length)
        yield* Effect.scoped(Effect.gen(function*() {
          const hold = yield* maintainer.hold({ name: "reader", fromSegmentIndex: 1 })
          yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: 4 })
          yield* settle
          assert.strictEqual(yield* cold, 7)
          assert.deepStrictEqual((yield* maintainer.status).holds.map((hold) => hold.name), ["reader"])
          yield* hold.advanceTo(2)
          yield* settle
          assert.strictEqual(yield* cold, 6)
        }))
        yield* settle
        assert.strictEqual(yield* cold, 4)
      }).pipe(Effect.scoped, quiet))
  })
})
