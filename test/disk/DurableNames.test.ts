/**
 * A sync of a directory that failed is not believed when it says ok the next time: the names that it lost are changed
 * again. Each ruling lets one sync of a directory fail, does the same again until it succeeds, and turns the power off. What
 * the device has kept then follows from a seed, and the seeds are swept.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import { moveName, removeName } from "../../src/disk/DurableNames.ts"
import * as MetaStore from "../../src/disk/MetaStore.ts"
import { makeDirectoryDurable, SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import { reconcile } from "../../src/maintainer/directory/Reconcile.ts"
import { free } from "../../src/maintainer/steps/FreeStep.ts"
import { freeze } from "../../src/maintainer/steps/FreezeStep.ts"
import { persistFile } from "../../src/maintainer/steps/PersistFileStep.ts"
import * as Backup from "../../src/reading/recovery/Backup.ts"
import * as Recovery from "../../src/reading/recovery/Recovery.ts"
import { FrameMemory } from "../../src/reading/segment/FrameReader.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as TelemetryLayer from "../../src/telemetry/Telemetry.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { fieldsOf } from "../fixtures/errors.ts"
import { buildWal, smallBlocks } from "../fixtures/segments.ts"
import {
  bytesOf,
  coldPath,
  hotPath,
  look,
  put,
  quiet,
  recorded,
  simulated,
  whileClockTurns
} from "../maintainer/maintaining.ts"
import { swept } from "../sweep.ts"

const directory = "/wal"
const segments = new SegmentDirectory(directory)
const wal = buildWal({ layout: smallBlocks, segments: [30, 30, 30] })

const onDisk = (seed: number) =>
  Effect.provide(Layer.fresh(Layer.merge(simulated({ seed }), TelemetryLayer.layer({ writersMax: 1 }))))

/** For many seeds, since a failed sync loses names by chance. */
const ruling = (
  name: string,
  test: (
    simulated: SimulatedDisk.SimulatedDisk["Service"]
  ) => Effect.Effect<void, unknown, Disk | SimulatedDisk.SimulatedDisk | Telemetry>,
  seeds = 40
) =>
  it.effect(name, () =>
    Effect.forEach(
      swept(1, seeds + 1),
      (seed) => SimulatedDisk.SimulatedDisk.use(test).pipe(onDisk(seed), quiet),
      { discard: true }
    ))

const putDirectory = Disk.use((disk) => Effect.andThen(disk.makeDirectory(directory), disk.syncDirectory("/")))

/** Closed hot segments, all durable. */
const putSegments = Effect.gen(function*() {
  const disk = yield* Disk
  yield* putDirectory
  for (const { bytes, segmentIndex } of wal) yield* put(hotPath(directory, segmentIndex), bytes)
  yield* disk.syncDirectory(directory)
})

const freezing = (segmentIndex: number) =>
  Effect.flatMap(Telemetry, (telemetry) =>
    freeze({
      directory: segments,
      compression: "frame",
      telemetry: telemetry.updater(0),
      pressure: { commitsAsked: () => 0, isAwaited: () => false },
      leftBehind: new Set(),
      memory: new FrameMemory()
    }, segmentIndex))

/** The next sync of the directory fails, then the work is done again until it succeeds. */
const withFailure = <A, E, R>(where: RegExp, work: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    yield* SimulatedDisk.SimulatedDisk.use((disk) => disk.failNext("syncDirectory", "Io", where))
    yield* Effect.flip(work)
    return yield* work
  })

/** Lets one of the syncs that confirm a change of names fail. */
const failingAt = <A, E, R>(
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  position: number,
  work: Effect.Effect<A, E, R | Disk>
) => {
  let changes = 0
  const disk = Disk.of({
    ...simulated.disk,
    changeNames: (path, change) =>
      simulated.disk.changeNames(
        path,
        Effect.tap(change, () => changes++ === position ? simulated.failNext("syncDirectory", "Io") : Effect.void)
      )
  })
  return Effect.provideService(work, Disk, disk)
}

describe("after a failed sync of the directory", () => {
  ruling("a move is taken back, and durable when the next one succeeds", (simulated) =>
    Effect.gen(function*() {
      yield* put("/a", Buffer.from("a"))
      yield* simulated.disk.syncDirectory("/")
      yield* simulated.failNext("syncDirectory", "Io")
      yield* Effect.flip(moveName("/", "/a", "/b"))
      assert.deepStrictEqual([...(yield* simulated.files).keys()], ["/a"])
      yield* moveName("/", "/a", "/b")
      yield* simulated.crash
      assert.deepStrictEqual([...(yield* simulated.files).keys()], ["/b"])
    }))

  ruling("a removal is taken back, and durable when the next one succeeds", (simulated) =>
    Effect.gen(function*() {
      yield* put("/a", Buffer.from("a"))
      yield* simulated.disk.syncDirectory("/")
      yield* withFailure(/./, removeName("/", "/a", "/a.tmp"))
      yield* simulated.crash
      // The `.tmp` may come back: every start removes it.
      assert.notInclude([...(yield* simulated.files).keys()], "/a")
    }))

  ruling("a removal that could not be taken back is made once more", (simulated) =>
    Effect.gen(function*() {
      yield* put("/a", Buffer.from("a"))
      yield* simulated.disk.syncDirectory("/")
      yield* simulated.failNext("syncDirectory", "Io")
      yield* simulated.failNext("rename", "Io", /tmp$/)
      yield* Effect.flip(removeName("/", "/a", "/a.tmp"))
      assert.deepStrictEqual([...(yield* simulated.files).keys()], ["/a.tmp"])
      yield* removeName("/", "/a", "/a.tmp")
      yield* simulated.crash
      assert.notInclude([...(yield* simulated.files).keys()], "/a")
    }))

  ruling(
    "the removal of a cold segment that a kill has ended is finished by a start, before another one goes",
    () =>
      Effect.gen(function*() {
        const disk = yield* Disk
        const simulated = yield* SimulatedDisk.SimulatedDisk
        yield* putSegments
        yield* freezing(0)
        yield* simulated.failNext("syncDirectory", "Io")
        yield* disk.rename(coldPath(directory, 0), `${coldPath(directory, 0)}.tmp`)
        yield* Effect.flip(disk.syncDirectory(directory))
        yield* reconcile(segments, "ours")
        yield* simulated.crash
        const { cold, hot } = yield* look(directory)
        assert.deepStrictEqual([hot, cold], [[1, 2], []])
      })
  )

  ruling("a change of another caller, under way meanwhile, fails too", (simulated) =>
    Effect.gen(function*() {
      yield* put("/a", Buffer.from("a"))
      yield* simulated.disk.syncDirectory("/")
      const change = Effect.gen(function*() {
        yield* simulated.disk.rename("/a", "/b")
        yield* simulated.failNext("syncDirectory", "Io")
        yield* Effect.flip(simulated.disk.syncDirectory("/"))
      })
      const error = yield* Effect.flip(simulated.disk.changeNames("/", change))
      assert.instanceOf(error, DiskError)
      assert.deepInclude(fieldsOf(error), { operation: "syncDirectory", reason: "Io" })
    }))

  ruling("a new directory is made anew", (simulated) =>
    Effect.gen(function*() {
      yield* withFailure(/^\/$/, makeDirectoryDurable("/new/wal"))
      yield* put("/new/wal/a", Buffer.from("a"))
      yield* simulated.disk.syncDirectory("/new/wal")
      yield* simulated.crash
      assert.deepStrictEqual([...(yield* simulated.files).keys()], ["/new/wal/a"])
    }))

  ruling("the meta file is the old one or the new one", (simulated) =>
    Effect.gen(function*() {
      yield* putDirectory
      const meta = (lastEventId: number) => ({ lastOffset: 0, lastSegmentIndex: 1, lastEventId })
      yield* MetaStore.write(directory, meta(1))
      yield* withFailure(/wal/, MetaStore.write(directory, meta(2)))
      yield* simulated.crash
      assert.strictEqual((yield* MetaStore.read(directory)).meta?.lastEventId, 2)
    }))

  for (const [position, which] of ["first", "second"].entries()) {
    ruling(
      `a freeze at its ${which} sync is done again, and the segment is there afterwards`,
      (simulated) =>
        Effect.gen(function*() {
          yield* putSegments
          yield* Effect.flip(failingAt(simulated, position, freezing(0)))
          assert.deepStrictEqual((yield* look(directory)).hot, [0, 1, 2])
          yield* freezing(0)
          yield* simulated.crash
          const found = yield* look(directory)
          assert.deepStrictEqual([found.hot, found.cold, found.both], [[1, 2], [0], []])
          assert.strictEqual((yield* recorded(directory)).length, 90)
        })
    )
  }

  ruling(
    "a deletion is done again before a younger segment is deleted: the log has no hole",
    (simulated) =>
      Effect.gen(function*() {
        yield* putSegments
        yield* freezing(0)
        yield* freezing(1)
        yield* withFailure(/wal/, free(segments, 0))
        yield* free(segments, 1)
        yield* simulated.crash
        const { cold, hot } = yield* look(directory)
        assert.deepStrictEqual([...cold, ...hot], [2])
        assert.isFalse((yield* simulated.files).has(coldPath(directory, 0)))
      })
  )

  ruling("an application's own file is written to a fresh one", (simulated) =>
    Effect.gen(function*() {
      yield* putDirectory
      const file = yield* simulated.disk.open(hotPath(directory, 0), "create")
      yield* file.write([Buffer.from("own")], 0)
      yield* withFailure(/wal/, persistFile(segments, 0, doubted))
      yield* simulated.crash
      assert.strictEqual((yield* bytesOf(hotPath(directory, 0))).toString(), "own")
    }).pipe(Effect.ensuring(Effect.sync(() => doubted.clear()))))

  ruling(
    "an application's own file is written to a fresh one after a failed sync of the file, too",
    (simulated) =>
      Effect.gen(function*() {
        yield* putDirectory
        const file = yield* simulated.disk.open(hotPath(directory, 0), "create")
        yield* file.write([Buffer.from("own")], 0)
        yield* simulated.failNext("sync", "Io")
        yield* Effect.flip(persistFile(segments, 0, doubted))
        yield* persistFile(segments, 0, doubted)
        yield* simulated.crash
        assert.strictEqual((yield* bytesOf(hotPath(directory, 0))).toString(), "own")
      }).pipe(Effect.ensuring(Effect.sync(() => doubted.clear())))
  )

  ruling("a backup that failed has not taken place", (simulated) =>
    Effect.gen(function*() {
      yield* putSegments
      const backup = Backup.backup({ directory, to: "/copy" })
      const error = yield* Effect.flip(failingAt(simulated, 0, backup))
      assert.deepInclude(fieldsOf(error), { operation: "syncDirectory", path: "/" })
      assert.isFalse([...(yield* simulated.files).keys()].some((name) => name.startsWith("/copy")))
      yield* backup
      yield* simulated.crash
      assert.strictEqual((yield* recorded("/copy")).length, 90)
    }))

  ruling("a commit that came back is kept", (simulated) =>
    Effect.gen(function*() {
      yield* putDirectory
      const durable = yield* whileClockTurns(
        Effect.gen(function*() {
          const recorder = yield* Recorder
          yield* simulated.failNext("syncDirectory", "Io", /wal/)
          yield* recorder.append(Buffer.from("hello"))
          const id = yield* recorder.commit
          yield* simulated.crash
          return id
        }).pipe(Effect.provide(Layer.fresh(Wal.layer({ directory }))), Effect.exit)
      )
      assert.isDefined(durable)
      assert.strictEqual((yield* recorded(directory)).length, 1)
    }), 15)

  ruling(
    "a start does not believe the name that a killed predecessor gave the newest segment",
    (simulated) =>
      Effect.gen(function*() {
        const disk = simulated.disk
        yield* putDirectory
        yield* put(segments.preparingPath(0), wal[0]!.bytes)
        yield* disk.rename(segments.preparingPath(0), hotPath(directory, 0))
        yield* simulated.failNext("syncDirectory", "Io", /wal/)
        yield* Effect.flip(disk.syncDirectory(directory))
        const { report } = yield* Recovery.open({ directory, naming: defaultNaming, version: 2 })
        assert.strictEqual(report.lastEventId, 30)
        yield* simulated.crash
        assert.strictEqual((yield* recorded(directory)).length, 30)
      })
  )
})

const doubted = new Set<number>()
