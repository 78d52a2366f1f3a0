import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { runInNewContext } from "node:vm"
import { Disk } from "../../src/disk/Disk.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { formats } from "../fixtures/formats.ts"
import { buildWal, cold, hot, put, smallBlocks } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import { directory, onSimulatedDisk, range, unlink } from "../fixtures/simulatedWal.ts"

const startMillis = 1_700_000_000_000

/** A point in time so many seconds after the first. */
const at = (second: number): number => startMillis + Math.round(second * 1000)

const idsOf = (options: Partial<Replay.ReplayOptions> = {}) =>
  Effect.map(Stream.runCollect(Replay.events({ directory, ...options })), (events) => events.map(({ id }) => id))

const mixed = (segments: ReadonlyArray<BuiltSegment>) =>
  Effect.promise(() =>
    Promise.all(segments.map((segment, i) => i % 2 === 0 ? Promise.resolve(hot(segment)) : cold(segment, "frame")))
  )

/** Five events a second, which is one flush; ids begin at 501. */
const timedWal = (segments: ReadonlyArray<number>, lastIsOpen = false) =>
  buildWal({
    layout: smallBlocks,
    segments,
    firstSegmentIndex: 3,
    firstEventId: 501,
    lastIsOpen,
    commitNanos: (firstEventId) => BigInt(at((firstEventId - 501) / 5)) * 1_000_000n + 999_999n
  })

const putTimed = Effect.fnUntraced(function*(segments: ReadonlyArray<number>, lastIsOpen = false) {
  const wal = timedWal(segments, lastIsOpen)
  yield* put(directory, ...(yield* mixed(wal)))
  return wal
})

describe("Replay by time", () => {
  it.effect("tells when each event was flushed, to the millisecond", () =>
    Effect.gen(function*() {
      yield* putTimed([10, 5])
      const events = yield* Stream.runCollect(Replay.events({ directory }))
      assert.deepStrictEqual(
        events.map(({ time }) => time && DateTime.toEpochMillis(time)),
        range(0, 14).map((i) => at(Math.floor(i / 5)))
      )
    }).pipe(onSimulatedDisk))

  it.effect("begins with the first event of a time or later, and ends with the last one of a time or earlier", () =>
    Effect.gen(function*() {
      for (const lastIsOpen of [false, true]) {
        yield* putTimed([30, 10, 60, 5, 25], lastIsOpen)
        for (let second = -1; second <= 27; second++) {
          const firstId = Math.max(501, 501 + second * 5)
          const from = { time: at(second) }
          assert.deepStrictEqual(yield* idsOf({ from }), firstId > 630 ? [] : range(firstId, 630), `from ${second}`)
          const after = { time: at(second - 0.999) }
          assert.deepStrictEqual(yield* idsOf({ from: after }), firstId > 630 ? [] : range(firstId, 630))
          const lastId = Math.min(630, 500 + (second + 1) * 5)
          assert.deepStrictEqual(yield* idsOf({ to: { time: at(second) } }), range(501, lastId), `to ${second}`)
          assert.deepStrictEqual(yield* idsOf({ to: { time: at(second + 0.999) } }), range(501, lastId))
          const both = yield* idsOf({ from: { time: at(second) }, to: { time: at(second + 3) } })
          assert.deepStrictEqual(both, firstId > 630 ? [] : range(firstId, Math.min(630, 500 + (second + 4) * 5)))
        }
        assert.deepStrictEqual(yield* idsOf({ from: { id: 603 }, to: { time: at(21) } }), range(603, 610))
        assert.deepStrictEqual(yield* idsOf({ from: { time: at(21) }, to: { id: 609 } }), range(606, 609))
      }
    }).pipe(onSimulatedDisk))

  it.effect("reads a few starts of segments and the segment that it begins in, however long the log is", () =>
    Effect.gen(function*() {
      yield* putTimed(Array.from({ length: 200 }, () => 10))
      const disk = yield* Disk
      const opened = new Set<string>()
      const counting = Disk.of({
        ...disk,
        open: (path, mode) => Effect.tap(disk.open(path, mode), () => Effect.sync(() => opened.add(path)))
      })
      const read = idsOf({ from: { time: at(301) }, to: { time: at(301) } })
      assert.deepStrictEqual(yield* Effect.provideService(read, Disk, counting), range(2006, 2010))
      assert.isAtMost(opened.size, 12)
    }).pipe(onSimulatedDisk))

  it.effect("takes a time in every form that Effect takes", () =>
    Effect.gen(function*() {
      yield* putTimed([30])
      const time = DateTime.makeUnsafe(at(4))
      const forms: ReadonlyArray<DateTime.DateTime.Input> = [
        time,
        at(4),
        new Date(at(4)),
        "2023-11-14T22:13:24Z",
        "2023-11-14T22:13:24",
        "2023-11-14T23:13:24+01:00",
        { epochMilliseconds: at(4) },
        { year: 2023, month: 11, day: 14, hour: 22, minute: 13, second: 24 },
        DateTime.makeZonedUnsafe(time, { timeZone: "Asia/Tokyo" }),
        runInNewContext(`new Date(${at(4)})`)
      ]
      for (const form of forms) {
        assert.deepStrictEqual(yield* idsOf({ from: { time: form } }), range(521, 530), String(form))
      }
    }).pipe(onSimulatedDisk))

  it.effect.each<readonly [string, unknown]>([
    ["text", "yesterday"],
    ["NaN", Number.NaN],
    ["an invalid date", new Date(Number.NaN)],
    ["null", null],
    ["a bigint", 1n]
  ])("refuses what is no time: %s", ([, time]) =>
    Effect.gen(function*() {
      for (const options of [{ from: { time } }, { to: { time } }]) {
        const exit = yield* Effect.exit(idsOf(options as Partial<Replay.ReplayOptions>))
        assert.match(String(Exit.isFailure(exit) && exit.cause), /WrongOptions: options\.(from|to)/)
      }
    }).pipe(onSimulatedDisk))

  it.effect("leaves out no segment that is missing after the time", () =>
    Effect.gen(function*() {
      const wal = yield* putTimed([10, 10, 10, 10, 10])
      yield* unlink(wal[2]!)
      assert.deepStrictEqual(yield* idsOf({ from: { time: at(8) } }), range(541, 550))
      // It has the events of second 4, and perhaps some of second 6.
      for (const second of [4, 6]) {
        assert.strictEqual((yield* Effect.flip(idsOf({ from: { time: at(second) } })))._tag, "SegmentMissing")
      }
    }).pipe(onSimulatedDisk))

  it.effect("begins with the oldest event when those of the time are deleted", () =>
    Effect.gen(function*() {
      const wal = yield* putTimed([10, 10, 10])
      yield* unlink(wal[0]!)
      assert.deepStrictEqual(yield* idsOf({ from: { time: at(0) } }), range(511, 530))
    }).pipe(onSimulatedDisk))

  it.effect("begins with the oldest event when the segment before the time is deleted while it begins", () =>
    Effect.gen(function*() {
      const wal = yield* putTimed([10, 10, 10])
      const disk = yield* Disk
      let opens = 0
      const deleting = Disk.of({
        ...disk,
        open: (path, mode) => {
          // The search looks at two starts; then the walk opens the segment.
          opens += 1
          const opened = disk.open(path, mode)
          return opens === 3 ? Effect.andThen(Effect.provideService(unlink(wal[0]!), Disk, disk), opened) : opened
        }
      })
      const read = idsOf({ from: { time: at(2) } })
      assert.deepStrictEqual(yield* Effect.provideService(read, Disk, deleting), range(511, 530))
    }).pipe(onSimulatedDisk))

  it.effect("follows from a time that is still to come, and ends with the first event after its last time", () =>
    Effect.gen(function*() {
      const wal = timedWal([10, 10, 10, 10])
      yield* put(directory, hot(wal[0]!))
      const seen: Array<number> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(
          Replay.events({ directory, follow: "poll", from: { time: at(3) }, to: { time: at(6) } }),
          ({ id }) => Effect.sync(() => seen.push(id))
        )
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, [])
      yield* put(directory, hot(wal[1]!))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, range(516, 520))
      yield* put(directory, hot(wal[2]!), hot(wal[3]!))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(seen, range(516, 535))
    }).pipe(onSimulatedDisk))
})

describe.each([
  { name: "format 1", layout: format1Layout },
  { name: "flush times of 0", layout: smallBlocks }
])("Replay by time, of a log that tells none ($name)", ({ layout }) => {
  const commitNanos = () => 0n

  it.effect("gives events without a time", () =>
    Effect.gen(function*() {
      yield* put(directory, ...(yield* mixed(buildWal({ layout, segments: [3, 3], commitNanos }))))
      for (const { time } of yield* Stream.runCollect(Replay.events({ directory }))) assert.isUndefined(time)
      assert.deepStrictEqual(yield* idsOf({ to: { time: 0 } }), range(1, 6))
    }).pipe(onSimulatedDisk))

  it.effect("begins with every event of a segment that was closed then or later, also after a set-back", () =>
    Effect.gen(function*() {
      const seconds = [[0, 10], [10, 20], [20, 40], [5, 8], [8, 12], [12, 50], [50, 60]] as const
      const wal = buildWal({ layout, segments: seconds.map(() => 3), seconds, commitNanos })
      yield* put(directory, ...(yield* mixed(wal)))
      const firsts = [[0, 0], [9, 0], [10, 0], [11, 1], [20, 1], [21, 2], [40, 2], [41, 5], [55, 6], [99, 6]] as const
      for (const [second, first] of firsts) {
        const ids = yield* idsOf({ from: { time: at(second) } })
        assert.deepStrictEqual(ids, range(first * 3 + 1, 21), `from second ${second}`)
      }
    }).pipe(onSimulatedDisk))

  it.effect("begins with the segment after which another was begun later, however it was closed itself", () =>
    Effect.gen(function*() {
      const seconds = [[0, 1], [30, 2], [3, 4]] as const
      const wal = buildWal({ layout, segments: seconds.map(() => 3), seconds, commitNanos })
      yield* put(directory, ...(yield* mixed(wal)))
      assert.deepStrictEqual(yield* idsOf({ from: { time: at(20) } }), range(1, 9))
    }).pipe(onSimulatedDisk))
})

describe.each(formats)("Replay from a word ($name)", ({ layout }) => {
  it.effect("from the oldest gives everything, from the latest nothing", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [30, 12], firstEventId: 501, lastIsOpen: true })
      yield* put(directory, ...wal.map(hot))
      assert.deepStrictEqual(yield* idsOf({ from: "oldest" }), range(501, 542))
      assert.deepStrictEqual(yield* idsOf({ from: "latest" }), [])
    }).pipe(onSimulatedDisk))

  it.effect("follows from the latest with what comes after it, from an empty directory with the first", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      for (const there of [1, 0]) {
        yield* put(directory, ...wal.slice(0, there).map(hot))
        const seen: Array<number> = []
        const reader = yield* Effect.forkChild(
          Stream.runForEach(
            Replay.events({ directory, from: "latest", to: { id: 30 }, follow: "poll" }),
            ({ id }) => Effect.sync(() => seen.push(id))
          )
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(seen, [])
        yield* put(directory, ...wal.map(hot))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(reader)
        assert.deepStrictEqual(seen, range(there * 10 + 1, 30))
        for (const segment of wal) yield* unlink(segment)
      }
    }).pipe(onSimulatedDisk))
})
