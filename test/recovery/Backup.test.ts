/** Copies of directories, of live ones above all. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { backup } from "../../src/recovery/Backup.ts"
import * as Replay from "../../src/recovery/Replay.ts"
import { verify } from "../../src/recovery/Verify.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { buildWal, cold, hot, put, temporaryDirectory } from "../fixtures/segments.ts"
import { kinds } from "../recorder/fixtures.ts"

describe.each(kinds)("backup (%s)", (_, kind) => {
  const { event, options } = kind
  const layout = Wal.layoutOf({ directory: "anywhere", ...options })

  it.live(
    "copies a directory that is written to, frozen and deleted from, to one that verifies",
    () =>
      Effect.gen(function*() {
        const place = yield* temporaryDirectory
        const directory = join(place, "log")
        yield* Effect.gen(function*() {
          const recorder = yield* Recorder
          const isDone = yield* Deferred.make<void>()
          const recording = yield* Effect.forkChild(Effect.gen(function*() {
            for (let id = 1; !(yield* Deferred.isDone(isDone)); id++) {
              yield* recorder.append(event(id))
              if (id % 100 === 0) yield* recorder.commit
            }
          }))
          yield* recorder.commitTo(3000).pipe(Effect.delay(1))
          for (let round = 0; round < 6; round++) {
            const { durable } = yield* recorder.positions
            const to = join(place, `copy-${round}`)
            const report = yield* backup({ directory, to })
            assert.deepStrictEqual(report.faults, [])
            assert.isAtLeast(report.lastEventId, durable, "what was durable before is there")
            assert.isFalse(existsSync(`${to}.partial`))
            let lastId = report.firstEventId - 1
            yield* Stream.runForEach(Replay.events({ directory: to }), ({ bytes, id }) =>
              Effect.sync(() => {
                assert.strictEqual(id, lastId + 1)
                assert.strictEqual(Buffer.compare(bytes, event(id)), 0)
                lastId = id
              }))
            assert.strictEqual(lastId, report.lastEventId)
          }
          yield* Deferred.succeed(isDone, undefined)
          yield* Fiber.join(recording)
        }).pipe(Effect.provide(Wal.layerWorker({
          ...options,
          directory,
          segmentBytesMax: 16_384,
          limits: { maxSegments: 4, maxCompressedSegments: 4 }
        })))
      }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)),
    60_000
  )

  it.live("leaves out what is deleted under its feet, at the old end only, and copies what is frozen", () =>
    Effect.gen(function*() {
      const place = yield* temporaryDirectory
      const directory = join(place, "log")
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10], lastIsOpen: true })
      yield* put(directory, ...wal.map(hot))
      const frozen = yield* Effect.promise(() => cold(wal[2]!))
      const disk = yield* Disk
      const pathOf = (at: number): string => join(directory, hot(wal[at]!).name)
      let isChanged = false
      const changing = Disk.of({
        ...disk,
        open: Effect.fnUntraced(function*(path, mode) {
          if (!isChanged && path === pathOf(3)) {
            isChanged = true
            yield* put(directory, frozen)
            for (const at of [0, 1, 2]) yield* disk.unlink(pathOf(at))
          }
          return yield* disk.open(path, mode)
        }, Effect.provideService(Disk, disk))
      })
      const to = join(place, "copy")
      const report = yield* Effect.provideService(backup({ directory, to }), Disk, changing)
      assert.deepInclude(report, { segmentCount: 3, firstEventId: 21, lastEventId: 50, faults: [] })
      assert.deepStrictEqual(readdirSync(to).sort(), [frozen.name, hot(wal[3]!).name, hot(wal[4]!).name])
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("copies damage as it is and says so, and overwrites nothing", () =>
    Effect.gen(function*() {
      const place = yield* temporaryDirectory
      const directory = join(place, "log")
      const to = join(place, "copy")
      const wal = buildWal({ layout, segments: [10, 10] })
      wal[0]!.bytes[200]! ^= 1
      yield* put(directory, ...wal.map(hot))
      const report = yield* backup({ directory, to })
      assert.deepStrictEqual(report.faults, (yield* verify({ directory: to })).faults)
      assert.strictEqual(report.faults.length, 1)
      assert.isTrue(readFileSync(join(to, hot(wal[0]!).name)).equals(wal[0]!.bytes))
      const refused = yield* Effect.flip(backup({ directory, to }))
      assert.strictEqual(refused._tag === "DiskError" ? refused.reason : refused._tag, "Exists")
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.effect("looks again when all that it has seen is deleted before it is copied", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const wal = buildWal({ layout, segments: [10, 20] })
      const [older, newer] = [hot(wal[0]!), hot(wal[1]!)]
      yield* put("/log", older)
      const deleting = Disk.of({
        ...disk,
        open: (path, mode) =>
          path !== `/log/${older.name}` ? disk.open(path, mode) : put("/log", newer).pipe(
            Effect.provideService(Disk, disk),
            Effect.andThen(Effect.ignore(disk.unlink(path))),
            Effect.andThen(disk.open(path, mode))
          )
      })
      const report = yield* Effect.provideService(backup({ directory: "/log", to: "/copy" }), Disk, deleting)
      assert.deepStrictEqual([report.segmentCount, report.firstEventId, report.lastEventId], [1, 11, 30])
      assert.deepStrictEqual(report.faults, [])
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})
