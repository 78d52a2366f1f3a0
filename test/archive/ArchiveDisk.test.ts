/** An archive read as a directory: what every reader gets, and what that costs. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as ArchiveDisk from "../../src/archive/ArchiveDisk.ts"
import { manifestKey } from "../../src/archive/Manifest.ts"
import { exportEvents } from "../../src/cli/commands/export.ts"
import { Output } from "../../src/cli/terminal/StandardStreams.ts"
import { Disk } from "../../src/disk/Disk.ts"
import type { DiskError } from "../../src/disk/Disk.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { backup } from "../../src/reading/recovery/Backup.ts"
import { verify } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { buildSegment, buildWal, cold, hot, makeRandom, put } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import { directory, range } from "../fixtures/simulatedWal.ts"
import { foreignFrame } from "../format/lz4/foreignFrames.ts"
import { archive, archiveHole, countedStore, expire, Gets, keyOf, log, segmentsOfPage } from "./archived.ts"

const alone = ArchiveDisk.layer({ log })
const united = ArchiveDisk.layer({ log, directory })
const shown = ArchiveDisk.shownDirectory(log)

/** A machine with a disk and a store, on which nothing goes wrong but what a test tells. */
const onMachine = Effect.provide(Layer.merge(SimulatedDisk.layer({ seed: 1 }), countedStore()))

/** What a replay hands out, in one text an event, and how it ends. */
const replayed = Effect.fnUntraced(function*(options: Replay.ReplayOptions) {
  const events: Array<string> = []
  const ids: Array<number> = []
  const end = yield* Effect.result(
    Stream.runForEach(Replay.events(options), ({ bytes, id }) =>
      Effect.sync(() => {
        ids.push(id)
        events.push(Buffer.from(bytes).toString("latin1"))
      }))
  )
  return { ids, events, failure: Result.isFailure(end) ? end.failure : undefined }
})

const eventsIn = (segments: ReadonlyArray<BuiltSegment>): Array<string> =>
  segments.flatMap(({ events }) => events.map((event) => Buffer.from(event).toString("latin1")))

/** Segments of events that do not get smaller, of `bytesOf(id)` bytes each, that continue each other. */
const buildLarge = (
  layout: SegmentLayout,
  counts: ReadonlyArray<number>,
  bytesOf: (id: number) => number,
  commitEvents = 15
): Array<BuiltSegment> => {
  const random = makeRandom(1)
  const built: Array<BuiltSegment> = []
  let id = 1
  for (const [segmentIndex, count] of counts.entries()) {
    const events = Array.from({ length: count }, () => {
      const event = Buffer.alloc(bytesOf(id++))
      for (let at = 0; at + 4 <= event.length; at += 4) event.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
      return event
    })
    built.push(buildSegment({
      layout,
      segmentIndex,
      firstEventId: id - count,
      commits: Array.from(
        { length: Math.ceil(count / commitEvents) },
        (_, commit) => events.slice(commit * commitEvents, (commit + 1) * commitEvents)
      ),
      previousChainedChecksum: built.at(-1)?.chainedChecksum ?? 0n
    }))
  }
  return built
}

const layout: SegmentLayout = { version: 2, eventSize: 0, blockBytesMax: 64 * 1024 }

/** As the configuration has it when nothing is told. */
const defaultLayout: SegmentLayout = { version: 2, eventSize: 0, blockBytesMax: 1024 * 1024 }

describe("an archive alone", () => {
  for (const compression of ["frame", "block"] as const) {
    it.effect(`is a directory: every event byte for byte, no fault, a copy that verifies (${compression})`, () =>
      Effect.gen(function*() {
        const wal = [...buildLarge(layout, [700, 300], () => 4096)]
        yield* archive(wal, { compression })
        yield* Effect.gen(function*() {
          const { events, failure, ids } = yield* replayed({ directory: shown })
          assert.isUndefined(failure)
          assert.deepStrictEqual(ids, range(1, 1000))
          assert.deepStrictEqual(events, eventsIn(wal))
          const { faults, segments, severalForms } = yield* verify({ directory: shown })
          assert.deepStrictEqual([faults, segments.length, severalForms], [[], 2, []])
          const copy = yield* backup({ directory: shown, to: "/copy" })
          assert.deepStrictEqual([copy.faults, copy.segmentCount, copy.lastEventId], [[], 2, 1000])
        }).pipe(Effect.provide(alone))
        assert.deepStrictEqual((yield* replayed({ directory: "/copy" })).events, eventsIn(wal))
      }).pipe(onMachine))
  }

  it.effect("has segments of both forms, and pages of them", () =>
    Effect.gen(function*() {
      const count = segmentsOfPage + 20
      const wal = buildWal({ segments: Array.from({ length: count }, () => 3) })
      yield* archive(wal.slice(0, 100))
      yield* archive(wal.slice(100, 130), { compression: "block" })
      yield* archive(wal.slice(130))
      yield* Effect.gen(function*() {
        const { events, failure } = yield* replayed({ directory: shown })
        assert.isUndefined(failure)
        assert.deepStrictEqual(events, eventsIn(wal))
        const { faults, segments } = yield* verify({ directory: shown })
        assert.deepStrictEqual([faults, segments.length], [[], count])
        const { ids } = yield* replayed({ directory: shown, from: { id: 340 } })
        assert.deepStrictEqual(ids, range(340, 3 * count))
      }).pipe(Effect.provide(alone))
    }).pipe(onMachine))

  it.effect("is exported by the command line as the directory is", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [30, 30] })
      yield* archive(wal)
      yield* put(directory, ...wal.map(hot))
      const exported = Effect.fnUntraced(function*(dir: string) {
        let lines = ""
        yield* Command.runWith(exportEvents, { version: "0" })(["--dir", dir, "--from", "20"]).pipe(
          Effect.provideService(
            Output,
            Output.of({
              write: (data) => Effect.sync(() => void (lines += Buffer.from(data).toString())),
              say: () => {},
              columns: () => undefined
            })
          ),
          Effect.provide(NodeServices.layer)
        )
        return lines
      })
      const local = yield* exported(directory)
      assert.strictEqual(local.split("\n").length, 42)
      assert.strictEqual(yield* Effect.provide(exported(shown), alone), local)
    }).pipe(onMachine))

  it.effect("is asked for each range once, the next three while one is read, into the next segments too", () =>
    Effect.gen(function*() {
      // 2 MiB a segment, in 2 ranges.
      const wal = buildLarge(layout, [500, 500, 500, 500], () => 4096)
      yield* archive(wal)
      const { setFaults } = yield* SimulatedStore.SimulatedStore
      yield* setFaults({ slowRate: 1, slowMax: "100 millis" })
      const { atOnce, take } = yield* Gets
      yield* take
      const reading = yield* Effect.forkChild(Effect.provide(replayed({ directory: shown }), alone))
      yield* TestClock.adjust("10 minutes")
      const { events } = yield* Fiber.join(reading)
      assert.deepStrictEqual(events, eventsIn(wal))
      const { segments } = yield* take
      const asked = segments.map(({ from, key }) => `${key} ${from}`)
      assert.deepStrictEqual(asked.length, new Set(asked).size)
      assert.strictEqual(segments.reduce((sum, { bytes }) => sum + bytes, 0), yield* storedBytes)
      // A read may touch two ranges.
      assert.isAtLeast(atOnce(), 4)
      assert.isAtMost(atOnce(), 5)
    }).pipe(onMachine))

  it.effect("of an empty store is a directory that does not exist", () =>
    Effect.gen(function*() {
      const { failure } = yield* replayed({ directory: shown })
      assert.strictEqual(failure?._tag === "DiskError" && failure.reason._tag, "NotFound")
      assert.strictEqual((yield* Effect.flip(verify({ directory: shown }))).reason._tag, "NotFound")
    }).pipe(Effect.provide(alone), onMachine))
})

/** Five minutes, step by step: a reader may begin to wait late. */
const minutes = Effect.forEach(range(1, 60), () => TestClock.adjust("5 seconds"), { discard: true })

/** What all archived segments take in the store. */
const storedBytes = Effect.gen(function*() {
  const { contents } = yield* SimulatedStore.SimulatedStore
  return [...yield* contents].reduce(
    (sum, [key, { bytes }]) => key.includes("/segments/") ? sum + bytes.length : sum,
    0
  )
})

describe("one event from the middle of an archived segment", () => {
  const sizes: ReadonlyArray<readonly [string, SegmentLayout, (id: number) => number, number]> = [
    ["events of one size, blocks of 64 KiB", layout, () => 4096, 15],
    ["events of many sizes", layout, (id) => (id * 7919) % 8192, 10],
    ["small commits, with the usual blocks of 1 MiB", defaultLayout, () => 4096, 3],
    ["full blocks of 1 MiB", defaultLayout, () => 4096, 4000]
  ]
  for (const [name, blocks, bytesOf, commitEvents] of sizes) {
    it.effect(`costs two requests beside manifest and pages: ${name}`, () =>
      Effect.gen(function*() {
        const wal = buildLarge(blocks, [200, 3000, 200], bytesOf, commitEvents)
        yield* archive(wal)
        const { firstEventId, lastEventId } = wal[1]!
        const { take } = yield* Gets
        for (const share of [0.13, 0.3, 0.5, 0.66, 0.9]) {
          const id = Math.floor(firstEventId + share * (lastEventId - firstEventId))
          yield* take
          const { events, failure } = yield* Effect.provide(
            replayed({ directory: shown, from: { id }, to: { id } }),
            Layer.fresh(alone)
          )
          assert.isUndefined(failure)
          assert.deepStrictEqual(events, [Buffer.from(wal[1]!.events[id - firstEventId]!).toString("latin1")])
          const { others, segments } = yield* take
          assert.isAtMost(segments.length, 2, `${share}: ${JSON.stringify(segments)}`)
          assert.isBelow(segments.reduce((sum, { bytes }) => sum + bytes, 0), wal[1]!.bytes.length / 2)
          assert.deepStrictEqual(others.map(({ key }) => key), [manifestKey(log)])
        }
      }).pipe(onMachine))
  }

  it.effect("is found with pages, too, and with few of them", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: Array.from({ length: 3 * segmentsOfPage + 5 }, () => 2) })
      yield* archive(wal)
      const { take } = yield* Gets
      yield* take
      const { events } = yield* Effect.provide(
        replayed({ directory: shown, from: { id: 601 }, to: { id: 601 } }),
        alone
      )
      assert.deepStrictEqual(events, ["event 601"])
      const { others, segments } = yield* take
      assert.strictEqual(segments.length, 1)
      // The manifest, and at most the pages.
      assert.isAtMost(others.length, 4)
    }).pipe(onMachine))

  it.effect("is found where events are far from even, with a few requests more", () =>
    Effect.gen(function*() {
      const uneven = buildLarge(layout, [3000], (id) => id < 1000 ? 12_000 : 64)
      const { take } = yield* Gets
      const find = Effect.fnUntraced(function*(segment: BuiltSegment, id: number) {
        const { events, failure } = yield* replayed({ directory: shown, from: { id }, to: { id } })
        assert.isUndefined(failure)
        assert.deepStrictEqual(events, [Buffer.from(segment.events[id - segment.firstEventId]!).toString("latin1")])
        return (yield* take).segments.length
      })
      yield* archive(uneven)
      yield* take
      for (const id of [2, 500, 900, 999, 1000, 1001, 2000, 3000]) {
        assert.isAtMost(yield* Effect.provide(find(uneven[0]!, id), Layer.fresh(alone)), 6, `event ${id}`)
      }
    }).pipe(onMachine))

  it.effect("is found in foreign frames, whose blocks cannot be found, by reading from the front", () =>
    Effect.gen(function*() {
      const wal = buildLarge(layout, [700], () => 4096)
      yield* archive(wal, { fileOf: ({ bytes }) => foreignFrame(bytes, { claimedBytes: "none", code: 6 }) })
      const { events } = yield* Effect.provide(
        replayed({ directory: shown, from: { id: 400 }, to: { id: 400 } }),
        alone
      )
      assert.deepStrictEqual(events, [Buffer.from(wal[0]!.events[399]!).toString("latin1")])
    }).pipe(onMachine))
})

describe("an archive and a directory as one", () => {
  it.effect("give every event, each segment once: archived, both, local and open", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20, 20, 20, 20, 20], lastIsOpen: true })
      yield* archive(wal.slice(0, 4))
      yield* put(directory, yield* Effect.promise(() => cold(wal[2]!)), ...wal.slice(3).map(hot))
      const { take } = yield* Gets
      yield* take
      yield* Effect.gen(function*() {
        const { events, failure } = yield* replayed({ directory })
        assert.isUndefined(failure)
        assert.deepStrictEqual(events, eventsIn(wal))
        assert.deepStrictEqual((yield* take).segments.map(({ key }) => key), [keyOf(0), keyOf(1)])
        const { faults, segments, severalForms } = yield* verify({ directory })
        assert.deepStrictEqual([faults, segments.length, severalForms], [[], 6, []])
        const names = (yield* Disk.use((disk) => disk.list(directory))).map(({ name }) => name)
        assert.deepStrictEqual(names.toSorted(), [
          "FS.00000000.wal.lz4",
          "FS.00000001.wal.lz4",
          "FS.00000002.wal.lz4",
          "FS.00000003.wal",
          "FS.00000004.wal",
          "FS.00000005.wal"
        ])
      }).pipe(Effect.provide(united))
    }).pipe(onMachine))

  it.effect("are the directory alone while nothing is archived", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20], lastIsOpen: true })
      yield* put(directory, ...wal.map(hot))
      assert.deepStrictEqual((yield* Effect.provide(replayed({ directory }), united)).events, eventsIn(wal))
    }).pipe(onMachine))

  it.effect("have a segment that is archived and freed between two looks, whatever the reader knew before", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20, 20, 20], lastIsOpen: true })
      yield* archive(wal.slice(0, 1))
      yield* put(directory, ...wal.slice(1).map(hot))
      const disk = yield* Disk
      const context = yield* Effect.context<ObjectStore>()
      // Archives and frees the segments behind the one that is read, in no time.
      const free = Effect.gen(function*() {
        yield* archive(wal.slice(1, 3))
        for (const segment of wal.slice(1, 3)) yield* disk.unlink(`${directory}/${hot(segment).name}`)
      }).pipe(Effect.provide(context), Effect.orDie)
      const onSegment = (index: number) => index === 1 ? free : Effect.void
      const ids: Array<number> = []
      const read = Stream.runForEach(
        Replay.events({ directory, onSegment }),
        ({ id }) => Effect.sync(() => ids.push(id))
      )
      yield* Effect.provide(read, united)
      assert.deepStrictEqual(ids, range(1, 80))
    }).pipe(onMachine))

  it.effect("leave a damaged local file aside when the archive has the segment, in any form", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20, 20, 20], lastIsOpen: true })
      yield* archive(wal.slice(0, 3))
      const spoilt = (bytes: Uint8Array): Buffer => {
        const copy = Buffer.from(bytes)
        copy[200]! ^= 1
        return copy
      }
      const coldFile = yield* Effect.promise(() => cold(wal[1]!))
      yield* put(
        directory,
        { name: hot(wal[0]!).name, bytes: spoilt(wal[0]!.bytes) },
        { name: coldFile.name, bytes: spoilt(coldFile.bytes) },
        ...wal.slice(2).map(hot)
      )
      assert.strictEqual((yield* verify({ directory })).faults.length, 2)
      yield* Effect.gen(function*() {
        const { events, failure } = yield* replayed({ directory })
        assert.isUndefined(failure)
        assert.deepStrictEqual(events, eventsIn(wal))
        const { faults, segments } = yield* verify({ directory })
        assert.deepStrictEqual([faults, segments.length], [[], 4])
        assert.deepStrictEqual((yield* backup({ directory, to: "/copy" })).faults, [])
      }).pipe(Effect.provide(united))
    }).pipe(onMachine))

  it.effect("report damage of a segment that the archive does not have", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20] })
      yield* archive(wal.slice(0, 1))
      wal[1]!.bytes[200]! ^= 1
      yield* put(directory, hot(wal[1]!))
      const { failure, ids } = yield* Effect.provide(replayed({ directory }), united)
      assert.strictEqual(failure?._tag, "SegmentCorrupt")
      assert.isAtLeast(ids.length, 20)
    }).pipe(onMachine))
})

describe("an archive that changes while it is read", () => {
  it.effect("tells which events are deleted when they expire before they are read", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: Array.from({ length: 12 }, () => 20) })
      yield* archive(wal)
      const context = yield* Effect.context<ObjectStore>()
      const ids: Array<number> = []
      const end = yield* Effect.flip(Effect.provide(
        Stream.runForEach(
          Replay.events({
            directory: shown,
            onSegment: (index) =>
              index === 1 ? expire(10, "go").pipe(Effect.provide(context), Effect.orDie) : Effect.void
          }),
          ({ id }) => Effect.sync(() => ids.push(id))
        ),
        Layer.fresh(alone)
      ))
      assert.strictEqual(end._tag === "EventsDeleted" && end.firstAvailableId, 201, String(end))
      // What was fetched ahead is still read, from memory.
      assert.deepStrictEqual(ids, range(1, ids.length))
      assert.isAtMost(ids.length, 5 * 20)
      const { ids: left } = yield* Effect.provide(replayed({ directory: shown }), Layer.fresh(alone))
      assert.deepStrictEqual(left, range(201, 240))
    }).pipe(onMachine))

  it.effect("is read by a reader that has not looked again since its segments expired, as long as the objects stay", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20, 20] })
      yield* archive(wal)
      const context = yield* Effect.context<ObjectStore>()
      const ids: Array<number> = []
      yield* Effect.provide(
        Stream.runForEach(
          Replay.events({
            directory: shown,
            onSegment: (index) =>
              index === 0 ? expire(2, "stay").pipe(Effect.provide(context), Effect.orDie) : Effect.void
          }),
          ({ id }) => Effect.sync(() => ids.push(id))
        ),
        alone
      )
      assert.deepStrictEqual(ids, range(1, 60))
    }).pipe(onMachine))

  it.effect("is followed, with a look at the manifest a second", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20, 20] })
      yield* archive(wal.slice(0, 1))
      const { take } = yield* Gets
      const ids: Array<number> = []
      const follower = yield* Effect.forkChild(Effect.provide(
        Stream.runForEach(
          Replay.events({ directory: shown, follow: "poll", to: { id: 60 } }),
          ({ id }) => Effect.sync(() => ids.push(id))
        ),
        alone
      ))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(ids, range(1, 20))
      yield* take
      yield* TestClock.adjust("60 seconds")
      assert.isAtMost((yield* take).others.length, 61)
      yield* archive(wal.slice(1, 2))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(ids, range(1, 40))
      yield* archive(wal.slice(2))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(follower)
      assert.deepStrictEqual(ids, range(1, 60))
    }).pipe(onMachine))

  it.effect("tells of events that are lost: behind a segment, and of segments that were never archived", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20, 20, 20] })
      const lost = { firstSegmentIndex: 1, lastSegmentIndex: 2, firstEventId: 21, lastEventId: 60, quarantine: [] }
      yield* archive(wal.slice(0, 1))
      yield* archiveHole(1, lost)
      yield* archiveHole(2, lost)
      yield* archive(wal.slice(3))
      yield* Effect.gen(function*() {
        const { failure, ids } = yield* replayed({ directory: shown })
        assert.deepStrictEqual(ids, range(1, 20))
        assert.deepStrictEqual(failure?._tag === "EventsLost" && failure.hole, lost)
        const told: Array<Replay.AcknowledgedHole> = []
        const rest = yield* replayed({ directory: shown, onLost: (hole) => Effect.sync(() => told.push(hole)) })
        assert.deepStrictEqual([rest.failure, rest.ids], [undefined, [...range(1, 20), ...range(61, 80)]])
        assert.deepStrictEqual(told, [lost])
        const { faults, holes } = yield* verify({ directory: shown })
        assert.deepStrictEqual([faults, holes], [[], [lost]])
      }).pipe(Effect.provide(alone))
    }).pipe(onMachine))

  it.effect("tells of lost segments whose rows are in a page: before one was read, nothing shows that they are lost", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: Array.from({ length: segmentsOfPage + 4 }, () => 1), commitEvents: 1 })
      const lost = { firstSegmentIndex: 3, lastSegmentIndex: 6, firstEventId: 4, lastEventId: 7 }
      for (const quarantine of [[], ["quarantine/then"]]) {
        yield* Effect.gen(function*() {
          const hole = { ...lost, quarantine }
          yield* archive(wal.slice(0, 3))
          for (const index of range(3, 6)) yield* archiveHole(index, hole)
          yield* archive(wal.slice(7))
          yield* Effect.gen(function*() {
            const { failure } = yield* replayed({ directory: shown })
            assert.deepStrictEqual(failure?._tag === "EventsLost" && failure.hole, hole)
          }).pipe(Effect.provide(Layer.fresh(alone)))
          yield* Effect.gen(function*() {
            const told: Array<Replay.AcknowledgedHole> = []
            const rest = yield* replayed({ directory: shown, onLost: (hole) => Effect.sync(() => told.push(hole)) })
            assert.deepStrictEqual(
              [rest.failure, rest.ids],
              [undefined, [...range(1, 3), ...range(8, wal.length)]],
              JSON.stringify(quarantine)
            )
            assert.deepStrictEqual(told, [hole])
          }).pipe(Effect.provide(Layer.fresh(alone)))
          yield* Effect.gen(function*() {
            const { faults, holes } = yield* verify({ directory: shown })
            assert.deepStrictEqual([faults, holes], [[], [hole]])
          }).pipe(Effect.provide(Layer.fresh(alone)))
        }).pipe(onMachine)
      }
    }))
})

describe("a store that fails", () => {
  const failureOf = (before: Effect.Effect<unknown, unknown, SimulatedStore.SimulatedStore | ObjectStore | Gets>) =>
    Effect.gen(function*() {
      yield* archive(buildWal({ segments: [20, 20, 20] }))
      yield* before
      const reading = yield* Effect.forkChild(Effect.provide(replayed({ directory: shown }), Layer.fresh(alone)))
      yield* minutes
      return yield* Fiber.join(reading)
    }).pipe(onMachine)

  it.effect("for a while delays readers, and no event is missing", () =>
    Effect.gen(function*() {
      const wal = buildLarge(layout, [500, 500], () => 4096)
      yield* archive(wal)
      const { failNext, requestCount } = yield* SimulatedStore.SimulatedStore
      for (const fault of ["busy", "lostAnswer", "damaged", "failed"] as const) {
        yield* failNext("get", fault, /segments/)
        yield* failNext("get", fault, /manifest/)
      }
      const before = yield* requestCount
      const reading = yield* Effect.forkChild(Effect.provide(replayed({ directory: shown }), alone))
      yield* minutes
      const { events, failure } = yield* Fiber.join(reading)
      assert.isUndefined(failure)
      assert.deepStrictEqual(events, eventsIn(wal))
      assert.isAtLeast((yield* requestCount) - before, 8 + 1 + 4)
    }).pipe(onMachine))

  it.effect("for long ends a read with an error that may pass, in the middle of a segment too", () =>
    Effect.gen(function*() {
      const { failure } = yield* failureOf(
        SimulatedStore.SimulatedStore.use(({ failAlways }) => failAlways("get", "busy", /00000001/))
      )
      assert.strictEqual(failure?._tag, "DiskError")
      assert.strictEqual(failure?._tag === "DiskError" && failure.reason._tag, "Away")
      assert.isTrue(failure?._tag === "DiskError" && failure.isRetryable)
      assert.include(failure?.message ?? "", "FS.00000001.wal.lz4: the archive's store does not answer")
      const away = yield* failureOf(SimulatedStore.SimulatedStore.use(({ setAway }) => setAway(true)))
      assert.strictEqual(away.failure?._tag === "DiskError" && away.failure.reason._tag, "Away")
      assert.deepStrictEqual(away.ids, [])
      const denied = yield* failureOf(
        SimulatedStore.SimulatedStore.use(({ failAlways }) => failAlways("get", "denied", /00000001/))
      )
      assert.strictEqual(denied.failure?._tag === "DiskError" && denied.failure.reason._tag, "Denied")
    }))

  it.effect("to keep what the manifest names ends a read with the name of the object", () =>
    Effect.gen(function*() {
      const spoil = {
        "missing": ObjectStore.use((store) => store.remove([keyOf(1)])),
        "another one": ObjectStore.use((store) => store.put(keyOf(1), Buffer.from("something else"))),
        "cut off": Gets.use((gets) => Effect.sync(() => void (gets.cutBytes = 100)))
      }
      for (const [name, before] of Object.entries(spoil)) {
        const { failure, ids } = yield* failureOf(before)
        assert.strictEqual(failure?._tag, "DiskError", name)
        if (failure?._tag !== "DiskError") return
        assert.strictEqual(failure.reason._tag, "BadArchive", `${name}: ${failure.message}`)
        assert.isFalse(failure.isRetryable)
        assert.include(failure.message, name === "cut off" ? "the object ends after 100 bytes" : keyOf(1))
        assert.isBelow(ids.length, 21)
      }
    }))

  it.effect("to keep its manifest ends a read with what is wrong with it", () =>
    Effect.gen(function*() {
      const { failure } = yield* failureOf(
        ObjectStore.use((store) => store.put(manifestKey(log), Buffer.from("<html>404</html>")))
      )
      assert.strictEqual(failure?._tag === "DiskError" && failure.reason._tag, "BadArchive")
      assert.include(failure?.message ?? "", "something else stands where the manifest should be")
    }))

  it.effect("by a rotten bit is found by the reader, as on any disk", () =>
    Effect.gen(function*() {
      const { failure, ids } = yield* failureOf(
        SimulatedStore.SimulatedStore.use(({ rotBits }) => rotBits(keyOf(1), 1, { from: 100, to: 200 }))
      )
      assert.strictEqual(failure?._tag, "SegmentCorrupt")
      assert.deepStrictEqual(ids.slice(0, 20), range(1, 20))
    }))
})

describe("nothing can be written", () => {
  it.effect("into an archive or its directory; every change is refused, and elsewhere all works", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [20, 20] })
      yield* archive(wal)
      yield* put(directory, ...wal.map(hot))
      for (const [layer, where] of [[united, directory], [alone, shown]] as const) {
        yield* Effect.gen(function*() {
          const disk = yield* Disk
          const name = where === shown ? "FS.00000000.wal.lz4" : "FS.00000000.wal"
          const path = `${where}/${name}`
          const refused: Readonly<Record<string, Effect.Effect<unknown, DiskError>>> = {
            create: disk.open(`${where}/new`, "create"),
            write: disk.open(path, "write"),
            rename: disk.rename(path, "/elsewhere"),
            renameInto: disk.rename("/elsewhere", path),
            unlink: disk.unlink(path),
            makeDirectory: disk.makeDirectory(`${where}/new`),
            removeDirectory: disk.removeDirectory(where),
            syncDirectory: disk.syncDirectory(where),
            changeNames: disk.changeNames(where, Effect.void),
            lock: Effect.scoped(disk.lock(`${where}/wal.lock`)),
            requireAbilities: disk.requireAbilities(where)
          }
          for (const [operation, attempt] of Object.entries(refused)) {
            const { reason } = yield* Effect.flip(attempt)
            assert.strictEqual(reason._tag, "Denied", `${operation} in ${where}`)
          }
          assert.strictEqual((yield* Effect.flip(disk.unlink(`${where}/none`))).reason._tag, "NotFound")
          assert.strictEqual(yield* disk.freeBytes(where), 0)
          assert.isAbove(yield* disk.freeBytes("/"), 0)
          const { notRemembered } = yield* verify({ directory: where, incremental: "again" })
          assert.include(notRemembered, "permission denied")
          yield* disk.makeDirectory("/elsewhere")
          yield* disk.removeDirectory("/elsewhere")
        }).pipe(Effect.provide(layer))
      }
    }).pipe(onMachine))
})
