/** What the maintainer finds when it starts, what it makes of it, and what it says about the directory. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import type { MaintainerOptions } from "../../../src/maintainer/MaintainerOptions.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import { SegmentsToFreeze } from "../../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildWal, frameOf } from "../../fixtures/segments.ts"
import {
  coldPath,
  foundation,
  hotPath,
  kinds,
  look,
  open,
  put,
  quiet,
  recorded,
  settle,
  simulated,
  watch
} from "../maintaining.ts"

const directory = "/wal"
const empty = new Uint8Array(0)

interface Given {
  readonly hot?: ReadonlyArray<number>
  readonly cold?: ReadonlyArray<number>
  readonly files?: Readonly<Record<string, Uint8Array>>
  readonly options?: Partial<MaintainerOptions>
}

describe.each(kinds)("a maintainer on a directory of $name", (kind) => {
  const { layout } = kind
  const wal = buildWal({ layout, segments: Array.from({ length: 12 }, () => 30) })

  /** A maintainer that was started on these files. */
  const given = Effect.fnUntraced(function*({ cold = [], files = {}, hot = [], options = {} }: Given) {
    const services = yield* Layer.build(Layer.fresh(Layer.merge(foundation, simulated())))
    yield* TestClock.setTime(1_800_000_000_000)
    yield* Effect.gen(function*() {
      yield* Disk.use((disk) => disk.makeDirectory(directory))
      for (const segmentIndex of hot) yield* put(hotPath(directory, segmentIndex), wal[segmentIndex]!.bytes)
      for (const segmentIndex of cold) {
        const frame = yield* Effect.promise(() => frameOf(wal[segmentIndex]!.bytes))
        yield* put(coldPath(directory, segmentIndex), frame)
      }
      for (const [name, bytes] of Object.entries(files)) yield* put(`${directory}/${name}`, bytes)
    }).pipe(Effect.provideContext(services))
    const limits = { maxSegments: 32, maxCompressedSegments: "unlimited" } as const
    const opened = yield* open(
      SegmentMaintainer.layerAlone({ directory, limits, ...options }).pipe(
        Layer.provide(Layer.succeedContext(services))
      )
    )
    yield* settle
    return {
      maintainer: Context.get(opened.context, SegmentMaintainer),
      services,
      found: look(directory).pipe(Effect.provideContext(services)),
      events: Effect.map(recorded(directory, kind).pipe(Effect.provideContext(services)), (events) => events.length)
    }
  })

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
        const limits = { maxSegments: 32, maxCompressedSegments: "unlimited" as const, ageMillisMax: 2 * 3_600_000 }
        const { found } = yield* given({ cold: [0, 1, 2], hot: [3], options: { limits } })
        assert.deepStrictEqual((yield* found).cold, [0, 1, 2])
        yield* TestClock.setTime(1_800_000_000_000 + 3 * 3_600_000)
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual((yield* found).cold, [])
      }).pipe(Effect.scoped, quiet))
  })

  describe("limits", () => {
    it.effect("may change at run time; the plan says beforehand what will be done", () =>
      Effect.gen(function*() {
        const { found, maintainer, services } = yield* given({ cold: [0, 1, 2, 3, 4, 5], hot: [6, 7] })
        assert.deepStrictEqual(yield* maintainer.plan, [])
        // With every deletion failing the plan stands still and can be looked at.
        yield* Context.get(services, SimulatedDisk.SimulatedDisk).failAlways("unlink", "Io", /lz4$/)
        const clamped = yield* maintainer.setLimits({ maxSegments: 1, maxCompressedSegments: 4 })
        assert.deepStrictEqual(clamped, [{ field: "maxSegments", given: 1, used: 2 }])
        // The deletion of 0 is under way; the freezing of 6 waits for its place, for which 2 will go. Looking at the plan,
        // however often, begins nothing.
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
          yield* disk.failNext("unlink", "Io", /lz4$/)
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
        const expiresMillis = 1_800_000_000_000 + 60_000
        yield* maintainer.hold({ name: "backup", fromSegmentIndex: 1, expiresMillis })
        yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: 4 })
        yield* TestClock.adjust(59_999)
        assert.deepStrictEqual((yield* found).cold, [1, 2, 3, 4, 5, 6, 7])
        assert.deepStrictEqual((yield* maintainer.status).holds, [{
          name: "backup",
          fromSegmentIndex: 1,
          expiresMillis
        }])
        yield* TestClock.adjust(10_001)
        assert.deepStrictEqual((yield* found).cold, [4, 5, 6, 7])
        assert.deepStrictEqual((yield* maintainer.status).holds, [])
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
        TaskQueue.offerUnsafe(Context.get(services, SegmentsToFreeze), { segmentIndex: 3, slot: -1, bytes: 0 })
        yield* settle
        assert.deepStrictEqual(yield* maintainer.verifyConsistency, { isConsistent: true, faults: [] })
      }).pipe(Effect.scoped, quiet))
  })
})
