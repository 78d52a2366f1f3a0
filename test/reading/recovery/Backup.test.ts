/** Copies of directories, of live ones above all. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../../src/disk/Disk.ts"
import { backupLockName, isLockName } from "../../../src/disk/FileNames.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { backup } from "../../../src/reading/recovery/Backup.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildWal, cold, hot, put, temporaryDirectory } from "../../fixtures/segments.ts"
import { kinds } from "../../recorder/fixtures.ts"
import { sweepStep, swept } from "../../sweep.ts"

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
      }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer))
  )

  it.live("is refused while another process makes it, made anew when that was killed, and keeps nothing of a lock", () =>
    Effect.gen(function*() {
      const place = yield* temporaryDirectory
      const [directory, to] = [join(place, "log"), join(place, "copy")]
      const wal = buildWal({ layout, segments: [10, 10], lastIsOpen: false })
      yield* put(directory, ...wal.map(hot))
      mkdirSync(`${to}.partial`)
      const lock = join(`${to}.partial`, backupLockName)
      const maker = spawn(process.execPath, [join(import.meta.dirname, "../../disk/lockHolder.ts"), lock])
      yield* Effect.promise(() => once(maker.stdout, "data"))
      const error = yield* Effect.flip(backup({ directory, to }))
      assert.include(error.message, `process ${maker.pid} on`)
      maker.kill("SIGKILL")
      yield* Effect.promise(() => once(maker, "exit"))
      // A file of the bare name, and what a process leaves that is killed while it takes the lock.
      for (const left of [lock, `${lock}.0123456789ab.tmp`]) writeFileSync(left, "")
      const report = yield* backup({ directory, to })
      assert.deepStrictEqual([report.segmentCount, report.faults], [2, []])
      assert.deepStrictEqual(readdirSync(to), wal.map((segment) => hot(segment).name))
      assert.deepStrictEqual(readdirSync(place).sort(), ["copy", "log"])
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

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
      assert.strictEqual(refused._tag === "DiskError" ? refused.reason._tag : refused._tag, "Exists")
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

describe("an unfinished backup", () => {
  const files = buildWal({ segments: [10, 10, 10], lastIsOpen: true }).map(hot)
  const paths = { directory: "/log", to: "/copies/log" }
  const partial = "/copies/log.partial"
  const namesOf = (directory: string) =>
    Effect.map(Disk.use((disk) => disk.list(directory)), (entries) => entries.map(({ name }) => name).sort())

  /** A disk with a log and a place for copies, both durable. */
  const withLog = Effect.fnUntraced(function*(seed: number) {
    const simulated = yield* SimulatedDisk.make({ seed })
    const onDisk = Effect.provideService(Disk, simulated.disk)
    yield* simulated.disk.makeDirectory("/log")
    yield* simulated.disk.makeDirectory("/copies")
    yield* simulated.disk.syncDirectory("/")
    yield* onDisk(put("/log", ...files))
    return { simulated, onDisk }
  })

  const isWhole = Effect.gen(function*() {
    assert.deepStrictEqual(yield* namesOf("/copies"), ["log"])
    assert.deepStrictEqual(yield* namesOf("/copies/log"), files.map(({ name }) => name))
    assert.deepStrictEqual((yield* verify({ directory: "/copies/log" })).faults, [])
  })

  it.effect("is taken away when the disk fails, and the same backup then succeeds", () =>
    Effect.gen(function*() {
      const { onDisk, simulated } = yield* withLog(1)
      const failures = [
        ["lock", /partial/],
        ["syncDirectory", /partial/],
        ["write", /partial.*1\.wal/],
        ["sync", /partial.*0\.wal/],
        ["read", /log.FS.*1\.wal/],
        ["rename", /partial/]
      ] as const
      for (const [operation, path] of failures) {
        yield* simulated.failNext(operation, "Io", path)
        const error = yield* Effect.flip(onDisk(backup(paths)))
        assert.strictEqual(error._tag === "DiskError" ? error.reason._tag : error._tag, "Io", operation)
        assert.deepStrictEqual(yield* onDisk(namesOf("/copies")), [], operation)
      }
      yield* onDisk(backup(paths))
      yield* onDisk(isWhole)
    }))

  it.live("is taken away when it is interrupted", () =>
    Effect.gen(function*() {
      const { onDisk, simulated } = yield* withLog(1)
      yield* simulated.setFaults({ slowRate: 1, slowMax: 10 })
      const running = yield* Effect.forkChild(onDisk(backup(paths)))
      while (!(yield* simulated.files).has(`${partial}/${files[1]!.name}`)) yield* Effect.yieldNow
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(yield* onDisk(namesOf("/copies")), [])
    }))

  it.effect("gives its place to the next one when the power failed, at whatever operation", () =>
    Effect.gen(function*() {
      let unfinished = 0
      for (let seed = 0; seed < 4; seed++) {
        for (const operation of swept(1)) {
          const { onDisk, simulated } = yield* withLog(seed * 1000 + operation)
          // Every other one while it takes away what it has copied.
          if (seed % 2 === 1) yield* simulated.failNext("rename", "Io")
          const last = (yield* simulated.operationCount) + operation
          yield* simulated.crashAt(last)
          yield* Effect.exit(onDisk(backup(paths)))
          if ((yield* simulated.operationCount) < last) break
          yield* simulated.heal
          yield* simulated.crash
          const left = yield* onDisk(namesOf("/copies"))
          if (left.includes("log.partial")) unfinished += 1
          // A name that is there stands for a whole copy.
          if (!left.includes("log")) yield* onDisk(backup(paths))
          assert.deepStrictEqual((yield* onDisk(verify({ directory: "/copies/log" }))).faults, [])
          const names = yield* onDisk(namesOf("/copies/log"))
          assert.deepStrictEqual(
            names.filter((name) => !isLockName(backupLockName, name)),
            files.map(({ name }) => name)
          )
        }
      }
      assert.isAbove(unfinished, 40 / sweepStep)
    }))

  it.effect("is refused while somebody makes it, and when it is something else", () =>
    Effect.gen(function*() {
      const { onDisk, simulated } = yield* withLog(1)
      const reason = Effect.map(
        Effect.flip(onDisk(backup(paths))),
        (error) => error._tag === "DiskError" ? error.reason._tag : error._tag
      )
      yield* simulated.disk.makeDirectory(partial)
      yield* onDisk(put(partial, ...files))
      const before = yield* onDisk(namesOf(partial))
      assert.strictEqual(yield* reason, "Exists")
      yield* Effect.scoped(Effect.andThen(
        simulated.disk.lock(`${partial}/${backupLockName}`),
        Effect.map(reason, (reason) => assert.strictEqual(reason, "Held"))
      ))
      assert.deepStrictEqual(yield* onDisk(namesOf(partial)), before)
    }))
})
