import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { forEachEvent } from "../../src/reading/segment/BlockEvents.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { formats } from "../fixtures/formats.ts"
import {
  buildSegment,
  buildWal,
  cold,
  eventsNamed,
  eventsOf,
  hot,
  put,
  temporaryDirectory,
  torn,
  unclosedByAnother
} from "../fixtures/segments.ts"
import type { BuiltSegment, NamedFile } from "../fixtures/segments.ts"
import { directory, onSimulatedDisk, range } from "../fixtures/simulatedWal.ts"

const idsOf = (options: Partial<Replay.ReplayOptions> = {}) =>
  Effect.map(Stream.runCollect(Replay.events({ directory, ...options })), (events) => events.map(({ id }) => id))

/** Ids and what ended the replay. */
const idsUntilFailure = Effect.fnUntraced(function*(options: Partial<Replay.ReplayOptions> = {}) {
  const ids: Array<number> = []
  const failure = yield* Effect.flip(
    Stream.runForEach(Replay.events({ directory, ...options }), ({ id }) => Effect.sync(() => ids.push(id)))
  )
  return { ids, failure }
})

/** Every second segment cold, in both compressions. */
const mixed = (segments: ReadonlyArray<BuiltSegment>): Effect.Effect<ReadonlyArray<NamedFile>> =>
  Effect.promise(() =>
    Promise.all(
      segments.map((segment, i) =>
        i % 3 === 0 ? Promise.resolve(hot(segment)) : cold(segment, i % 3 === 1 ? "frame" : "block")
      )
    )
  )

describe.each(formats)("Replay ($name)", ({ layout }) => {
  it.effect("gives every event in order, hot and cold mixed", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [30, 12, 60, 1, 25, 8], lastIsOpen: true })
      yield* put(directory, ...(yield* mixed(wal)))
      const events = yield* Stream.runCollect(Replay.events({ directory }))
      assert.deepStrictEqual(events.map(({ id }) => id), range(1, 136))
      const recorded = wal.flatMap(({ events }) => events)
      for (const [i, { bytes }] of events.entries()) assert.isTrue(Buffer.from(bytes).equals(recorded[i]!))
    }).pipe(onSimulatedDisk))

  it.effect("begins and ends where it is told", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [30, 12, 60, 1, 25, 8], firstSegmentIndex: 3, firstEventId: 501 })
      yield* put(directory, ...(yield* mixed(wal)))
      for (const from of [501, 502, 530, 531, 543, 602, 603, 604, 635, 636]) {
        assert.deepStrictEqual(yield* idsOf({ from: { id: from } }), range(from, 636), `from ${from}`)
      }
      assert.deepStrictEqual(yield* idsOf({ from: { id: 637 } }), [])
      assert.deepStrictEqual(yield* idsOf({ from: { id: 525 }, to: { id: 533 } }), range(525, 533))
      assert.deepStrictEqual(yield* idsOf({ to: { id: 501 } }), [501])
      assert.deepStrictEqual(yield* idsOf({ to: { id: 500 } }), [])
      assert.deepStrictEqual(yield* idsOf({ from: { segmentIndex: 5 } }), range(543, 636))
      assert.deepStrictEqual(yield* idsOf({ from: { segmentIndex: 9 } }), [])
    }).pipe(onSimulatedDisk))

  it.effect("gives nothing for a directory without events", () =>
    Effect.gen(function*() {
      yield* put(directory)
      assert.deepStrictEqual(yield* idsOf(), [])
      assert.deepStrictEqual(yield* idsOf({ from: { id: 5 } }), [])
      assert.deepStrictEqual(yield* Replay.firstAvailableId(directory), Option.none())
      yield* put(directory, hot(buildSegment({ layout, commits: [], closed: false })))
      assert.deepStrictEqual(yield* idsOf(), [])
    }).pipe(onSimulatedDisk))

  it.effect("gives the same events as blocks, whose memory is used again", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [300, 400, 500] })
      yield* put(directory, ...(yield* mixed(wal)))
      const seen: Array<string> = []
      yield* Stream.runForEachArray(Replay.blocks({ directory }), (blocks) =>
        Effect.gen(function*() {
          // Gives the next read every chance to overwrite these.
          for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
          for (const block of blocks) {
            forEachEvent(block, (id, bytes, start, end) => {
              seen.push(`${id} ${Buffer.from(bytes.subarray(start, end)).toString()}`)
            })
          }
        }))
      assert.deepStrictEqual(
        seen,
        eventsOf(layout, 1, 1200).map((event, i) => `${i + 1} ${Buffer.from(event).toString()}`)
      )
    }).pipe(onSimulatedDisk))

  it.effect("lets events be kept while it goes on", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [300, 400, 500] })
      yield* put(directory, ...(yield* mixed(wal)))
      const events = yield* Stream.runCollect(Replay.events({ directory }))
      assert.deepStrictEqual(
        events.map(({ bytes }) => Buffer.from(bytes).toString()),
        eventsOf(layout, 1, 1200).map((event) => Buffer.from(event).toString())
      )
    }).pipe(onSimulatedDisk))

  it.effect("gives events as plain objects of their three fields, at most 1,024 at once, however large a block is", () =>
    Effect.gen(function*() {
      const large = layout.version === 1 ? layout : { ...layout, blockBytesMax: 2 ** 20 }
      const recorded = eventsOf(large, 1, 2503)
      yield* put(directory, hot(buildSegment({ layout: large, commits: [recorded] })))
      let count = 0
      yield* Stream.runForEachArray(Replay.events({ directory }), (events) =>
        Effect.sync(() => {
          assert.isAtMost(events.length, 1024)
          for (const event of events) {
            const { id, time } = event
            const bytes = Uint8Array.from(recorded[count++]!)
            assert.deepStrictEqual({ ...event }, { id, time, bytes })
            assert.deepStrictEqual(event, { id: count, time, bytes })
          }
        }))
      assert.strictEqual(count, 2503)
    }).pipe(onSimulatedDisk))

  it.effect("ends silently at the torn tail of the newest segment", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10], lastIsOpen: true })
      yield* put(directory, hot(wal[0]!), hot(torn(wal[1]!, 3)))
      assert.deepStrictEqual(yield* idsOf(), range(1, 15))
    }).pipe(onSimulatedDisk))

  it.effect("stops at damage, after everything before it", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      const damaged = wal[1]!
      damaged.bytes[damaged.blockEnds[0]!.offset + 70]! ^= 1
      yield* put(directory, ...wal.map(hot))
      const { failure, ids } = yield* idsUntilFailure()
      assert.deepStrictEqual(ids, range(1, 15))
      assert.strictEqual(failure._tag, "SegmentCorrupt")
    }).pipe(onSimulatedDisk))

  it.effect("never leaves out a missing segment silently", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10] })
      yield* put(directory, hot(wal[0]!), hot(wal[1]!), hot(wal[4]!))
      const { failure, ids } = yield* idsUntilFailure()
      assert.deepStrictEqual(ids, range(1, 20))
      assert.strictEqual(failure._tag, "SegmentMissing")
      if (failure._tag !== "SegmentMissing") return
      assert.strictEqual(failure.firstMissingIndex, 2)
      assert.strictEqual(failure.lastMissingIndex, 3)
    }).pipe(onSimulatedDisk))

  it.effect("says what is the oldest event when what was asked for was deleted", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10], firstSegmentIndex: 7, firstEventId: 101 })
      yield* put(directory, ...(yield* mixed(wal)))
      for (const from of [{ id: 100 }, { id: 1 }, { segmentIndex: 6 }]) {
        const { failure, ids } = yield* idsUntilFailure({ from })
        assert.deepStrictEqual(ids, [])
        assert.strictEqual(failure._tag === "EventsDeleted" ? failure.firstAvailableId : failure._tag, 101)
      }
      assert.deepStrictEqual(yield* Replay.firstAvailableId(directory), Option.some(101))
      assert.deepStrictEqual(yield* idsOf(), range(101, 130))
    }).pipe(onSimulatedDisk))

  it.effect("takes an oldest segment with a damaged beginning for damaged, not for deleted", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      wal[0]!.bytes[32]! ^= 1
      yield* put(directory, ...wal.map(hot))
      for (const id of [1, 10]) {
        const { failure, ids } = yield* idsUntilFailure({ from: { id } })
        assert.deepStrictEqual([failure._tag, ids], ["SegmentCorrupt", []])
      }
      assert.deepStrictEqual(yield* idsOf({ from: { id: 11 } }), range(11, 20))
    }).pipe(onSimulatedDisk))

  it.effect("never begins behind what was asked for, whenever the damaged oldest segment is deleted", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      wal[0]!.bytes[32]! ^= 1
      const [damaged = "", next = ""] = wal.map((segment) => `${directory}/${hot(segment).name}`)
      const failures: Array<string> = []
      for (let opensBefore = 0; failures.at(-1) !== "SegmentCorrupt"; opensBefore++) {
        yield* put(directory, ...wal.map(hot))
        let opens = 0
        const deleting = Disk.of({
          ...disk,
          open: (path, mode) =>
            Effect.andThen(
              path === damaged && opens++ === opensBefore
                ? Effect.andThen(disk.unlink(damaged), disk.unlink(next))
                : Effect.void,
              disk.open(path, mode)
            )
        })
        const { failure, ids } = yield* Effect.provideService(idsUntilFailure({ from: { id: 5 } }), Disk, deleting)
        assert.deepStrictEqual(ids, [])
        failures.push(failure._tag)
      }
      // It is looked at more than once before it is read, and each time it may be gone.
      assert.isAbove(failures.length, 2)
      assert.deepStrictEqual([...new Set(failures)], ["EventsDeleted", "SegmentCorrupt"])
    }).pipe(onSimulatedDisk))

  it.effect("goes on when segments are frozen under its feet", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ layout, segments: [10, 10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      const frozen = yield* Effect.promise(() => Promise.all(wal.map((segment) => cold(segment))))
      const ids: Array<number> = []
      let frozenCount = 0
      yield* Stream.runForEachArray(Replay.events({ directory }), (events) =>
        Effect.gen(function*() {
          ids.push(...events.map(({ id }) => id))
          while (frozenCount < wal.length) {
            yield* put(directory, frozen[frozenCount]!)
            yield* disk.unlink(`${directory}/${hot(wal[frozenCount]!).name}`)
            frozenCount++
          }
        }))
      assert.deepStrictEqual(ids, range(1, 40))
    }).pipe(onSimulatedDisk))

  it.effect("fails with EventsDeleted when retention overtakes it, never with a gap", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      const ids: Array<number> = []
      const failure = yield* Effect.flip(Stream.runForEachArray(Replay.events({ directory }), (events) =>
        Effect.gen(function*() {
          ids.push(...events.map(({ id }) => id))
          for (const segment of wal.slice(0, 5)) {
            yield* Effect.ignore(disk.unlink(`${directory}/${hot(segment).name}`))
          }
        })))
      assert.strictEqual(failure._tag === "EventsDeleted" ? failure.firstAvailableId : failure._tag, 51)
      assert.deepStrictEqual(ids, range(1, ids.length))
      assert.isBelow(ids.length, 50)
    }).pipe(onSimulatedDisk))

  it.effect("begins with what is left when the oldest is deleted between looking and opening", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      const oldest = `${directory}/${hot(wal[0]!).name}`
      const deleting = Disk.of({
        ...disk,
        open: (path, mode) =>
          Effect.andThen(path === oldest ? Effect.ignore(disk.unlink(path)) : Effect.void, disk.open(path, mode))
      })
      assert.deepStrictEqual(yield* Effect.provideService(idsOf(), Disk, deleting), range(11, 30))
    }).pipe(onSimulatedDisk))

  it.effect("reads an open segment again that was closed while it was read", () =>
    Effect.gen(function*() {
      const open = buildWal({ layout, segments: [10, 10], lastIsOpen: true })
      const closed = buildWal({ layout, segments: [10, 20, 10] })
      yield* put(directory, ...open.map(hot))
      const ids: Array<number> = []
      let isClosed = false
      yield* Stream.runForEachArray(Replay.events({ directory }), (events) =>
        Effect.gen(function*() {
          ids.push(...events.map(({ id }) => id))
          // The open segment has been read up to what was there.
          if (isClosed || ids.at(-1)! <= 10) return
          isClosed = true
          yield* put(directory, ...closed.slice(1).map(hot))
        }))
      assert.deepStrictEqual(ids, range(1, 40))
    }).pipe(onSimulatedDisk))

  it.effect("finds its beginning among many segments without reading them all", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.SimulatedDisk
      const wal = buildWal({ layout, segments: Array.from({ length: 1000 }, () => 3), blocks: 1 })
      yield* put(directory, ...wal.map(hot))
      const before = yield* simulated.operationCount
      assert.deepStrictEqual(yield* idsOf({ from: { id: 1501 }, to: { id: 1502 } }), [1501, 1502])
      assert.isBelow((yield* simulated.operationCount) - before, 100)
    }).pipe(onSimulatedDisk))

  it.effect("finds its beginning past segments whose headers are damaged", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: Array.from({ length: 40 }, () => 3) })
      for (const position of [0, 1, 9, 19, 20, 21, 29, 30]) wal[position]!.bytes[0] = 0
      yield* put(directory, ...wal.map(hot))
      for (const position of [2, 10, 12, 22, 28, 31, 38]) {
        const id = position * 3 + 2
        assert.deepStrictEqual(yield* idsOf({ from: { id }, to: { id: id + 1 } }), [id, id + 1], `segment ${position}`)
      }
    }).pipe(onSimulatedDisk))

  it.effect("closes every file it opened, wherever it is stopped", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [100, 100, 100] })
      yield* put(directory, ...wal.map(hot))
      const disk = yield* Disk
      let isOpen = 0
      const counting = Disk.of({
        ...disk,
        open: (path, mode) =>
          Effect.map(disk.open(path, mode), (file) => {
            isOpen++
            return { ...file, close: Effect.andThen(file.close, Effect.sync(() => isOpen--)) }
          })
      })
      const provide = Effect.provideService(Disk, counting)
      for (const count of [1, 50, 150, 299, 300, 1000]) {
        const events = yield* provide(Stream.runCollect(Stream.take(Replay.events({ directory }), count)))
        assert.strictEqual(events.length, Math.min(300, count))
        assert.strictEqual(isOpen, 0)
      }
      wal[1]!.bytes[300]! ^= 1
      yield* put(directory, hot(wal[1]!))
      yield* provide(Effect.flip(idsOf()))
      assert.strictEqual(isOpen, 0)
    }).pipe(onSimulatedDisk))

  it.live("reads the same from the machine's own disk, while segments are frozen", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const wal = buildWal({ layout, segments: [3000, 3000, 3000, 3000] })
      const recorded = wal.flatMap(({ events }) => events)
      yield* put(directory, ...wal.map(hot))
      const disk = yield* Disk
      const ids: Array<number> = []
      let frozenCount = 0
      yield* Stream.runForEachArray(Replay.events({ directory }), (events) =>
        Effect.gen(function*() {
          for (const { bytes, id } of events) {
            if (Buffer.compare(bytes, recorded[id - 1]!) !== 0) assert.fail(`event ${id} is not what was recorded`)
            ids.push(id)
          }
          if (frozenCount === wal.length) return
          const segment = wal[frozenCount++]!
          yield* put(directory, yield* Effect.promise(() => cold(segment)))
          yield* disk.unlink(`${directory}/${hot(segment).name}`)
        }))
      assert.deepStrictEqual(ids, range(1, 12_000))
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("Replay of format 2", () => {
  it.effect("stops where a segment was swapped for one of another wal, or of another place in this one", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 10, 10] })
      const foreign = buildWal({ segments: [10, 10, 10], walId: new Uint8Array(16).fill(7) })
      yield* put(directory, hot(wal[0]!), hot(foreign[1]!), hot(wal[2]!))
      const swapped = yield* idsUntilFailure()
      assert.deepStrictEqual(swapped.ids, range(1, 10))
      assert.strictEqual(swapped.failure._tag === "SegmentCorrupt" ? swapped.failure.reason._tag : "", "BrokenChain")
      yield* put(directory, { ...hot(wal[2]!), name: hot(wal[1]!).name })
      const misplaced = yield* idsUntilFailure()
      assert.strictEqual(misplaced.failure._tag === "SegmentCorrupt" ? misplaced.failure.reason._tag : "", "BadOrder")
      // The same ids, the same wal_id, but another history.
      const forged = buildSegment({
        segmentIndex: 1,
        firstEventId: 11,
        commits: [eventsNamed(11, 20)],
        previousChainedChecksum: 1n
      })
      yield* put(directory, hot(forged))
      const rewritten = yield* idsUntilFailure()
      assert.strictEqual(
        rewritten.failure._tag === "SegmentCorrupt" ? rewritten.failure.reason._tag : "",
        "BrokenChain"
      )
    }).pipe(onSimulatedDisk))

  it.effect("takes an open segment that others follow for damage", () =>
    Effect.gen(function*() {
      const [first, second] = buildWal({ segments: [10, 10] })
      const open = buildWal({ segments: [10], lastIsOpen: true })
      assert.isDefined(first)
      yield* put(directory, hot(open[0]!), hot(second!))
      const { failure, ids } = yield* idsUntilFailure()
      assert.deepStrictEqual(ids, range(1, 10))
      assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "BadHeader")
    }).pipe(onSimulatedDisk))
})

describe("Replay of format 1", () => {
  it.effect("takes an unclosed segment for whole when the next id follows, and only then", () =>
    Effect.gen(function*() {
      yield* put(
        directory,
        hot(unclosedByAnother(0, 1, 10)),
        hot(unclosedByAnother(1, 11, 0)),
        hot(unclosedByAnother(2, 11, 10)),
        hot(unclosedByAnother(3, 21, 0))
      )
      assert.deepStrictEqual(yield* idsOf(), range(1, 20))
      yield* put(directory, hot(unclosedByAnother(2, 12, 10)))
      const skipped = yield* idsUntilFailure()
      assert.deepStrictEqual(skipped.ids, range(1, 10))
      assert.strictEqual(skipped.failure._tag === "SegmentCorrupt" ? skipped.failure.reason._tag : "", "Truncated")
      const torn = unclosedByAnother(0, 1, 10)
      torn.bytes[torn.blockEnds.at(-1)!.offset + 5] = 1
      yield* put(directory, hot(torn), hot(unclosedByAnother(2, 11, 10)))
      assert.strictEqual((yield* idsUntilFailure()).failure._tag, "SegmentCorrupt")
    }).pipe(onSimulatedDisk))
})
