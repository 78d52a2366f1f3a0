import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { readdirSync } from "node:fs"
import { Disk } from "../../src/disk/Disk.ts"
import * as MetaStore from "../../src/disk/MetaStore.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { segmentIndexMax } from "../../src/format/Limits.ts"
import * as Compressor from "../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import {
  expected,
  kinds,
  layers,
  pairs,
  recording,
  replayed,
  small,
  temporaryDirectory,
  text,
  withFiles
} from "./fixtures.ts"
import type { Kind } from "./fixtures.ts"

const segmentFiles = (directory: string, ending: string) =>
  readdirSync(directory).filter((name) => name.endsWith(ending))

const appendEach = (kind: Kind) => (recorder: Recorder["Service"], fromId: number, toId: number) =>
  Effect.gen(function*() {
    for (let id = fromId; id <= toId; id++) assert.strictEqual(yield* recorder.append(kind.event(id)), id)
  })

const layersAndFormats = pairs.map(([[layer, walLayer], [format, kind]]) => [layer, format, walLayer, kind] as const)

describe.each(layersAndFormats)("Recorder, maintainer in a %s, %s", (_layer, _format, walLayer, kind) => {
  const appendMany = appendEach(kind)
  const wal = (options: Parameters<typeof walLayer>[0]) =>
    Layer.provide(walLayer({ ...kind.options, ...options }), NodeDisk.layer)

  it.live("loses nothing at an orderly shutdown, committed or not", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) => appendMany(recorder, 1, 2000))
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 2000))
      assert.isAtMost(segmentFiles(directory, ".wal").length, 4)
      assert.isAbove(segmentFiles(directory, ".lz4").length, 4)
      assert.deepStrictEqual(segmentFiles(directory, ".tmp"), [])
      assert.notInclude(readdirSync(directory), "wal.lock")
    }))

  it.live("goes on where the directory ends", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) => appendMany(recorder, 1, 700))
      yield* recording(wal({ directory, ...small }), (recorder) => appendMany(recorder, 701, 900))
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 900))
    }))

  it.live("appends a batch as a whole, with no other event between, or not at all", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const batches: Array<readonly [firstId: number, lastId: number]> = []
      yield* recording(wal({ directory, ...small }), (recorder) =>
        Effect.gen(function*() {
          const { writer } = recorder
          // So much that all slots wait for the disk now and then, and single events beside it.
          const appendBatches = Effect.fnUntraced(function*(size: number) {
            for (let round = 0; round < 40; round++) {
              // Bytes tell the id that was expected: another event between would show.
              const firstId = writer.lastEventId + 1
              const events = Array.from({ length: size }, (_, at) => kind.event(firstId + at))
              const lastId = yield* recorder.appendAll(round % 2 === 0 ? events : new Set(events).values())
              batches.push([lastId - size + 1, lastId])
              yield* Effect.yieldNow
            }
          })
          const appendSingles = Effect.gen(function*() {
            for (let round = 0; round < 200; round++) {
              yield* recorder.append(kind.event(writer.lastEventId + 1))
              yield* Effect.yieldNow
            }
          })
          yield* Effect.all([appendBatches(3), appendBatches(20), appendSingles], { concurrency: "unbounded" })

          const before = writer.lastEventId
          const tooMany = Array.from({ length: 4000 }, (_, at) => kind.event(at + 1))
          const refused = yield* Effect.flip(recorder.appendAll(tooMany))
          assert.strictEqual(refused.reason._tag, "TooLarge")
          assert.match(refused.message, /a batch of 4000 events with \d+ bytes, .* at most \d+ events with \d+ bytes/)
          const wrong = yield* Effect.flip(recorder.appendAll([kind.event(1), new Uint8Array(9000), kind.event(2)]))
          assert.include(["TooLarge", "WrongSize"], wrong.reason._tag)
          assert.include(wrong.message, "9000 bytes")
          assert.strictEqual(yield* recorder.appendAll([]), before)
          assert.strictEqual(writer.lastEventId, before)
          assert.strictEqual(yield* recorder.commit, before)
        }))
      const events = yield* replayed(directory)
      assert.strictEqual(events.length, 40 * 23 + 200)
      for (const [firstId, lastId] of batches) {
        const batch = events.slice(firstId - 1, lastId)
        const ofFirst = expected(kind, firstId, firstId)[0]![1]
        assert.strictEqual(batch.length, lastId - firstId + 1)
        if (batch[0]![1] === ofFirst) assert.deepStrictEqual(batch, expected(kind, firstId, lastId))
      }
    }))

  it.live("leaves no segment behind when nothing was recorded", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) => recorder.commit)
      assert.deepStrictEqual(readdirSync(directory), [])
    }))

  it.live("has everything on disk that a commit has promised", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) =>
        Effect.gen(function*() {
          yield* appendMany(recorder, 1, 10)
          assert.strictEqual(yield* recorder.commit, 10)
          assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 10))
          yield* appendMany(recorder, 11, 600)
          assert.isAtLeast(yield* recorder.commitTo(300), 300)
          assert.deepStrictEqual((yield* replayed(directory)).slice(0, 300), expected(kind, 1, 300))
          assert.strictEqual(yield* recorder.appendDurable(kind.event(601)), 601)
          assert.strictEqual((yield* replayed(directory)).length, 601)
        }))
    }))

  it.live("tells many committers at once, each when its event is durable", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) =>
        Effect.gen(function*() {
          const ids = yield* Effect.all(
            Array.from({ length: 200 }, (_, i) => recorder.appendDurable(kind.event(i + 1))),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(ids, Array.from({ length: 200 }, (_, i) => i + 1))
        }))
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 200))
    }))

  it.live("closes the active segment when told to, and never an empty one", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(
        wal({ directory, ...small, limits: { maxSegments: 128, maxCompressedSegments: 4 } }),
        (recorder) =>
          Effect.gen(function*() {
            yield* recorder.rotate
            yield* appendMany(recorder, 1, 3)
            yield* recorder.rotate
            yield* recorder.rotate
            yield* appendMany(recorder, 4, 5)
          })
      )
      assert.deepStrictEqual(segmentFiles(directory, ".wal"), ["FS.00000000.wal", "FS.00000001.wal"])
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 5))
    }))

  it.live("refuses a second recorder in the same directory and names the first", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(recording(wal({ directory, ...small }), () => Effect.void))
          assert.strictEqual(error._tag, "DiskError")
          assert.include(error.message, "another process holds it")
          assert.include(error.message, String(process.pid))
        }))
    }))

  it.live("keeps the meta file at the durable end", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) => appendMany(recorder, 1, 500))
      const { meta } = yield* Effect.provide(MetaStore.read(directory), NodeDisk.layer)
      assert.strictEqual(meta?.lastEventId, 500)
    }))

  it.live("moves the positions forward, never back", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(
        wal({ directory, ...small, limits: { maxSegments: 2, maxCompressedSegments: 4 } }),
        (recorder) =>
          Effect.gen(function*() {
            const seen = yield* Effect.forkChild(
              recorder.changes.pipe(
                Stream.takeUntil(({ deletedBefore, durable }) => durable === 3000 && deletedBefore > 1),
                Stream.runCollect
              )
            )
            yield* appendMany(recorder, 1, 3000)
            yield* recorder.commit
            const positions = yield* Fiber.join(seen)
            for (let i = 1; i < positions.length; i++) {
              const before = positions[i - 1] ?? { durable: 0, compressed: 0, deletedBefore: 0 }
              const after = positions[i] ?? { appended: 0, durable: 0, compressed: 0, deletedBefore: 0 }
              assert.isAtLeast(after.durable, before.durable)
              assert.isAtLeast(after.compressed, before.compressed)
              assert.isAtLeast(after.deletedBefore, before.deletedBefore)
              assert.isAtMost(after.durable, after.appended)
            }
            const last = yield* recorder.positions
            assert.isAbove(last.compressed, 0)
            assert.isBelow(last.compressed, last.durable)
          })
      )
      const [first] = yield* replayed(directory)
      assert.isAbove(first?.[0] ?? 0, 1)
    }))
})

describe.each(layers)("Recorder of format 2, maintainer in a %s", (_layer, walLayer) => {
  const wal = (options: Parameters<typeof walLayer>[0]) => Layer.provide(walLayer(options), NodeDisk.layer)
  const [, kind] = kinds[0] ?? assert.fail("there is a format 2")

  it.live("records events of a fixed size, written in place", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small, eventSize: 16 }), (recorder) =>
        Effect.gen(function*() {
          for (let id = 1; id <= 3000; id++) {
            let at = recorder.writer.reserveUnsafe(16)
            if (at <= 0) {
              yield* recorder.flush
              at = recorder.writer.reserveUnsafe(16)
              assert.isAbove(at, 0)
            }
            recorder.writer.view.setFloat64(at, id * 1.5, true)
            recorder.writer.view.setFloat64(at + 8, -id, true)
            assert.strictEqual(recorder.writer.publishUnsafe(), id)
          }
        }))
      const values = yield* Replay.events({ directory }).pipe(
        Stream.map(({ bytes, id }) => {
          const view = new DataView(bytes.buffer, bytes.byteOffset)
          return view.getFloat64(0, true) === id * 1.5 && view.getFloat64(8, true) === -id
        }),
        Stream.runCollect,
        Effect.provide(NodeDisk.layer)
      )
      assert.strictEqual(values.length, 3000)
      assert.isTrue(values.every((value) => value))
    }))

  it.live("refuses an event that no block can hold, and goes on", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal({ directory, ...small }), (recorder) =>
        Effect.gen(function*() {
          yield* recorder.append(text(1))
          const error = yield* Effect.flip(recorder.append(new Uint8Array(8189)))
          assert.strictEqual(error.reason._tag, "TooLarge")
          assert.include(error.message, "8189 bytes, at most 8188")
          assert.strictEqual(yield* recorder.append(text(2)), 2)
        }))
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 2))
    }))
})

describe("commit policies", () => {
  const options = { ...small, directory: "/wal" }
  const simulated = (seed: number) =>
    SimulatedDisk.layer({ seed }).pipe(Layer.merge(Layer.succeed(Compressor.Compressor, Compressor.blocking)))

  it.effect("onCommit: a commit is served at once, without time passing", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      yield* recorder.append(text(1))
      assert.strictEqual(yield* recorder.commit, 1)
    }).pipe(Effect.provide(Layer.provide(Wal.layer(options), simulated(1)))))

  it.effect("onTimer: a commit waits for the maintainer's next flush", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      yield* recorder.append(text(1))
      const commit = yield* Effect.forkChild(recorder.commit)
      yield* TestClock.adjust(99)
      assert.isUndefined(commit.pollUnsafe())
      yield* TestClock.adjust(101)
      assert.strictEqual(yield* Fiber.join(commit), 1)
    }).pipe(
      Effect.provide(Layer.provide(Wal.layer({ ...options, commit: "onTimer", flushEvery: 100 }), simulated(2)))
    ))

  it.effect("onRotate: a commit waits for the rotation, and a flush does not", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      yield* recorder.append(text(1))
      const commit = yield* Effect.forkChild(recorder.commit)
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(commit.pollUnsafe())
      yield* recorder.rotate
      assert.strictEqual(yield* Fiber.join(commit), 1)
      yield* recorder.append(text(2))
      assert.strictEqual(yield* recorder.flush, 2)
    }).pipe(Effect.provide(Layer.provide(Wal.layer({ ...options, commit: "onRotate" }), simulated(3)))))

  it.live("one fdatasync serves everybody who came before it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      let syncs = 0
      const counting = withFiles((file, path) => ({
        ...file,
        sync: path.includes(".wal") ? Effect.andThen(Effect.sync(() => syncs++), file.sync) : file.sync
      }))
      yield* recording(Layer.provide(Wal.layer({ directory }), counting), (recorder) =>
        Effect.gen(function*() {
          yield* recorder.appendDurable(text(1))
          syncs = 0
          yield* Effect.all(
            Array.from({ length: 100 }, () => recorder.appendDurable(text(2))),
            { concurrency: "unbounded" }
          )
          assert.isAtMost(syncs, 2)
        }))
    }))
})

describe("backpressure", () => {
  /** A disk that syncs segments only while the gate is open. */
  const gated = Effect.gen(function*() {
    const gate = yield* Latch.make(true)
    const disk = withFiles((file, path) => ({
      ...file,
      sync: path.includes(".wal") ? gate.whenOpen(file.sync) : file.sync
    }))
    return { disk, gate }
  })
  const full = { segmentBytesMax: 1024, slots: 2, eventSize: 64 } as const
  const event = (id: number) => new Uint8Array(64).fill(id)

  it.live("an append waits until a slot is blank again, and loses nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { disk, gate } = yield* gated
      yield* recording(Layer.provide(Wal.layer({ directory, ...full }), disk), (recorder) =>
        Effect.gen(function*() {
          yield* gate.close
          for (let id = 1; id <= 32; id++) yield* recorder.append(event(id))
          const waiting = yield* Effect.forkChild(recorder.append(event(33)))
          yield* Effect.yieldNow
          assert.isUndefined(waiting.pollUnsafe())
          yield* gate.open
          assert.strictEqual(yield* Fiber.join(waiting), 33)
        }))
      assert.strictEqual((yield* replayed(directory)).length, 33)
    }))

  it.live("an append is dropped, when that is the strategy: it fails and is counted, and has no id", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { disk, gate } = yield* gated
      yield* recording(
        Layer.provide(Wal.layer({ directory, ...full, strategy: "dropping" }), disk),
        (recorder) =>
          Effect.gen(function*() {
            const snapshot = Effect.flatMap(Telemetry, ({ snapshot }) => snapshot)
            yield* gate.close
            for (let id = 1; id <= 32; id++) yield* recorder.append(event(id))
            for (
              const append of [
                recorder.append(event(33)),
                recorder.appendDurable(event(33)),
                recorder.appendAll([event(33), event(34)]),
                recorder.appendEach([event(33), event(34)])
              ]
            ) {
              assert.strictEqual((yield* Effect.flip(append)).reason._tag, "Backpressure")
            }
            const { counters: { eventsDropped, eventsRefused } } = yield* snapshot
            assert.deepStrictEqual([eventsDropped, eventsRefused], [5, 0])
            yield* gate.open
            yield* recorder.commitTo(16)
            const id = yield* Effect.retry(recorder.append(event(33)), { while: (error) => error.isRetryable })
            assert.strictEqual(id, 33)
          })
      )
      assert.strictEqual((yield* replayed(directory)).length, 33)
    }))
})

describe("a full disk", () => {
  it.effect("fails commits that are to fail with a word about space, and goes on by itself when there is some", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.SimulatedDisk
      const recorder = yield* Recorder
      yield* recorder.append(text(1))
      yield* recorder.commit
      yield* simulated.setCapacityBytes(0)
      yield* recorder.append(new Uint8Array(4000))
      const error = yield* Effect.flip(recorder.commit)
      assert.strictEqual(error.reason._tag, "DiskFull")
      assert.include(error.message, "disk space")
      assert.isTrue(error.isRetryable)
      const later = yield* Effect.forkChild(Effect.flip(recorder.commit))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(
        (yield* Fiber.join(later)).reason._tag,
        "DiskFull",
        "a commit that begins while the disk is full"
      )
      yield* simulated.setCapacityBytes(1 << 20)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* recorder.commit, 2)
    }).pipe(
      Effect.provide(
        Wal.layer({ ...small, directory: "/wal", onDiskFailure: "fail" }).pipe(
          Layer.provideMerge(SimulatedDisk.layer({ seed: 4 })),
          Layer.merge(Layer.succeed(Compressor.Compressor, Compressor.blocking))
        )
      )
    ))
})

describe("ids", () => {
  it.live("come to an end: appends and rotations fail, typed, and what was appended before is durable", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const wal = Layer.provide(Wal.layer({ directory, ...small }), NodeDisk.layer)
      const event = new Uint8Array(1000)
      yield* recording(wal, (recorder) =>
        Effect.gen(function*() {
          for (let count = 0; count < 8; count++) yield* recorder.append(event)
          // As after as many rotations as there are indices.
          assert.strictEqual(Reflect.get(recorder.writer, "segmentIndex"), 0)
          Reflect.set(recorder.writer, "segmentIndex", segmentIndexMax)
          const attempts: ReadonlyArray<Effect.Effect<unknown, RecorderError>> = [
            recorder.append(event),
            recorder.appendAll([event]),
            recorder.rotate
          ]
          for (const attempt of attempts) {
            const error = yield* Effect.flip(attempt)
            assert.strictEqual(error.reason._tag, "LogExhausted")
            assert.isFalse(error.isRetryable)
            assert.include(error.message, "record into another directory")
          }
          assert.strictEqual(yield* recorder.commit, 8)
          Reflect.set(recorder.writer, "segmentIndex", 0)
        }))
      assert.strictEqual((yield* replayed(directory)).length, 8)
    }))

  it.live("go on although every segment is past a limit", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const limits = { maxSegments: 2, maxCompressedSegments: 4, bytesMax: 0 }
      const wal = Layer.provide(Wal.layer({ directory, ...small, limits }), NodeDisk.layer)
      yield* recording(wal, (recorder) => Effect.andThen(recorder.append(text(1)), recorder.append(text(2))))
      yield* recording(wal, (recorder) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* recorder.append(text(3)), 3)
        }))
    }))
})

/** Every attempt to make a segment's file ends the executor. */
const onBrokenDriver = Wal.layer({ ...small, directory: "/wal", restartsMax: 2 }).pipe(
  Layer.provide(Layer.effect(
    Disk,
    Effect.map(Disk, (disk) => ({
      ...disk,
      open: (path, mode) =>
        path.includes(".wal.tmp") ? Effect.die(new Error("the driver is broken")) : disk.open(path, mode)
    }))
  )),
  Layer.provide(SimulatedDisk.layer({ seed: 5 }))
)

describe("a maintainer that was given up", () => {
  it.effect("fails committers and appenders with a typed error", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      const maintainer = yield* SegmentMaintainer
      yield* recorder.append(text(1))
      const commit = yield* Effect.forkChild(Effect.flip(recorder.commit))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(commit)).reason._tag, "MaintainerDown")
      const down = yield* Effect.flip(maintainer.down)
      assert.strictEqual(down._tag, "MaintainerDown")
      const error = yield* Effect.flip(Effect.forever(recorder.append(new Uint8Array(1000))))
      assert.strictEqual(error.reason._tag, "MaintainerDown")
    }).pipe(Effect.provide(onBrokenDriver)))

  it.effect("fails an append that waits for a slot meanwhile", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      const maintainer = yield* SegmentMaintainer
      let appended = 0
      const appending = yield* Effect.forkChild(Effect.flip(Effect.forever(
        Effect.tap(recorder.append(new Uint8Array(1000)), () => Effect.sync(() => appended += 1))
      )))
      // The maintainer has died once and is about to be restarted; every slot is full.
      yield* Effect.repeat(TestClock.adjust(0), { times: 200 })
      const whenFull = appended
      assert.isAbove(whenFull, 8)
      assert.isUndefined(appending.pollUnsafe())
      assert.isFalse((yield* maintainer.status).isDown)
      yield* TestClock.adjust("1 minute")
      assert.isTrue((yield* maintainer.status).isDown)
      assert.strictEqual((yield* Fiber.join(appending)).reason._tag, "MaintainerDown")
      assert.strictEqual(appended, whenFull)
    }).pipe(Effect.provide(onBrokenDriver)))
})
