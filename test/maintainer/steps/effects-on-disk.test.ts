/** The order in which the steps change the disk, and what a failure, an interruption or a crash in between leaves. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { uncompressSync } from "lz4-napi"
import { randomBytes } from "node:crypto"
import { Disk, openScoped, writeFully } from "../../../src/disk/Disk.ts"
import { SegmentDirectory } from "../../../src/disk/SegmentDirectory.ts"
import type { Compression } from "../../../src/format/SegmentName.ts"
import { blocking } from "../../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import { free } from "../../../src/maintainer/steps/FreeStep.ts"
import { freeze } from "../../../src/maintainer/steps/FreezeStep.ts"
import { anyBytes, SegmentProof } from "../../../src/maintainer/steps/SegmentProof.ts"
import { StepError } from "../../../src/maintainer/steps/StepError.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/Wal.ts"
import { SegmentsToPersist } from "../../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import { Telemetry } from "../../../src/telemetry/Telemetry.ts"
import * as TelemetryLayer from "../../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildSegment, buildWal } from "../../fixtures/segments.ts"
import {
  bytesOf,
  coldPath,
  done,
  foundation,
  hotPath,
  kinds,
  look,
  named,
  open,
  put,
  quiet,
  recorded,
  settle,
  simulated
} from "../maintaining.ts"

const directory = "/wal"

/** The changes to the disk in their order, as `operation name`; reads are left out, and so are the lock and meta files. */
const changes = Effect.gen(function*() {
  const log = yield* SimulatedDisk.SimulatedDisk.use((simulated) => simulated.log)
  return log.flatMap((line) => {
    const [, operation, path, detail] = /^#\d+ (\w+) (\S+?)(?: (\S+))?: /.exec(line) ?? []
    if (operation === undefined || path === undefined || /wal_meta|wal\.lock|wal\.reserve/.test(line)) return []
    const name = path === directory ? "." : path.slice(directory.length + 1)
    if (operation === "rename") return [`rename ${name} → ${detail?.slice(directory.length + 1)}`]
    return ["write", "sync", "truncate", "unlink", "syncDirectory"].includes(operation) ? [`${operation} ${name}`] : []
  })
})

const lastChanges = (before: number) => Effect.map(changes, (lines) => lines.slice(before))

const segments = new SegmentDirectory(directory)
const pressure = { commitsAsked: () => 0, isAwaited: () => false }
const freezing = (segmentIndex: number, compression: Compression = "frame") =>
  Effect.flatMap(
    Telemetry,
    (telemetry) =>
      freeze(
        { directory: segments, compression, telemetry: telemetry.updater(0), pressure, leftBehind: new Set() },
        segmentIndex
      )
  )

const stepLayer = (compressor: RawCompressor = blocking, disk: Partial<SimulatedDisk.Options> = {}) =>
  Layer.merge(simulated(disk, compressor), TelemetryLayer.layer({ writersMax: 1 }))

describe.each(kinds)("persist ($name)", (kind) => {
  const { event } = kind

  const run = (
    body: (recorder: Recorder["Service"]) => Effect.Effect<unknown, unknown, Disk | SimulatedDisk.SimulatedDisk>
  ) =>
    Effect.gen(function*() {
      const { close, context } = yield* open(
        Wal.layer({ directory, format: kind.format, segmentBytesMax: 4096, flushEveryMillis: 0 })
      )
      const recorder = Context.get(context, Recorder)
      yield* TestClock.adjust(0)
      yield* body(recorder)
      yield* close
    }).pipe(quiet, Effect.provide(simulated()))

  it.effect("writes, syncs, names and syncs the directory before a slot is blank again", () =>
    run((recorder) =>
      Effect.gen(function*() {
        const before = (yield* changes).length
        yield* recorder.append(event(1))
        yield* recorder.rotate
        yield* TestClock.adjust(0)
        assert.deepStrictEqual((yield* lastChanges(before)).slice(0, 7), [
          "unlink FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "write FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          "rename FS.00000000.wal.tmp → FS.00000000.wal",
          "syncDirectory ."
        ])
      })
    ))

  it.effect("syncs the last blocks before the header says that they are the last", () =>
    run((recorder) =>
      Effect.gen(function*() {
        yield* recorder.appendDurable(event(1))
        const before = (yield* changes).length
        yield* recorder.append(event(2))
        yield* recorder.rotate
        yield* TestClock.adjust(0)
        // The open file keeps the name under which it was opened.
        assert.deepStrictEqual((yield* lastChanges(before)).slice(0, 6), [
          "write FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          // What the closed header says, then its checksum.
          "write FS.00000000.wal.tmp",
          "write FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp"
        ])
      })
    ))

  it.effect("writes the whole segment to a fresh file after a failed fdatasync, and never syncs the old one again", () =>
    run((recorder) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* recorder.appendDurable(event(1))
        const old = (yield* Disk.use((disk) => disk.stat(hotPath(directory, 0)))).identity
        yield* recorder.append(event(2))
        yield* disk.failNext("sync", "Io", /FS\.00000000/)
        const before = (yield* changes).length
        const committed = yield* Effect.forkChild(recorder.commit)
        yield* TestClock.adjust(2000)
        assert.strictEqual(yield* done(committed), 2)
        assert.deepStrictEqual((yield* lastChanges(before)).filter((line) => line.includes("FS.00000000")), [
          "write FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          "unlink FS.00000000.wal.tmp",
          "truncate FS.00000000.wal.tmp",
          "write FS.00000000.wal.tmp",
          "sync FS.00000000.wal.tmp",
          "rename FS.00000000.wal.tmp → FS.00000000.wal"
        ])
        const now = (yield* Disk.use((disk) => disk.stat(hotPath(directory, 0)))).identity
        assert.notStrictEqual(now, old)
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, 2, kind))
      })
    ))

  it.effect("begins again from the first byte, however often the disk refuses", () =>
    run((recorder) =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* recorder.append(event(1))
        for (const operation of ["write", "sync", "rename", "syncDirectory", "truncate", "open"] as const) {
          yield* disk.failNext(operation, "Io")
        }
        yield* recorder.rotate
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* recorder.commit, 1)
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, 1, kind))
      })
    ))
})

describe("persisting an application's own file", () => {
  it.effect("syncs the file, then its name", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.merge(foundation, simulated()))
      yield* Effect.gen(function*() {
        yield* Disk.use((disk) => disk.makeDirectory(directory))
        yield* Effect.scoped(Effect.flatMap(
          openScoped(hotPath(directory, 0), "create"),
          (file) => writeFully(file, [Buffer.from("not synced")], 0)
        ))
        const { close } = yield* open(SegmentMaintainer.layerAlone({ directory }))
        yield* settle
        const before = (yield* changes).length
        const toPersist = Context.get(services, SegmentsToPersist)
        assert.isTrue(TaskQueue.offerUnsafe(toPersist, { segmentIndex: 0, slot: -1, bytes: 10 }))
        yield* settle
        assert.deepStrictEqual(yield* lastChanges(before), ["sync FS.00000000.wal", "syncDirectory ."])
        yield* close
      }).pipe(Effect.provideContext(services))
    }).pipe(Effect.scoped, quiet))
})

describe.each(kinds)("steps on a directory of $name", (kind) => {
  const wal = buildWal({ layout: kind.layout, segments: [60, 60, 60] })
  const first = wal[0]!

  const putSegments = Effect.gen(function*() {
    const disk = yield* Disk
    yield* disk.makeDirectory(directory)
    for (const { bytes, segmentIndex } of wal) yield* put(hotPath(directory, segmentIndex), bytes)
    yield* disk.syncDirectory(directory)
    yield* disk.syncDirectory("/")
  })

  describe("freeze", () => {
    it.effect("syncs the compressed form before it has its name, and its name before the original goes", () =>
      Effect.gen(function*() {
        yield* putSegments
        const before = (yield* changes).length
        const frozen = yield* freezing(0)
        assert.deepStrictEqual((yield* lastChanges(before)).filter((line, index, all) => line !== all[index - 1]), [
          "sync FS.00000000.wal",
          "unlink FS.00000000.wal.lz4.tmp",
          "write FS.00000000.wal.lz4.tmp",
          "sync FS.00000000.wal.lz4.tmp",
          "unlink FS.00000000.wal.lz4b",
          "rename FS.00000000.wal.lz4.tmp → FS.00000000.wal.lz4",
          "syncDirectory .",
          "unlink FS.00000000.wal",
          "syncDirectory ."
        ])
        assert.strictEqual(frozen.hotBytes, first.bytes.length)
        assert.strictEqual(frozen.coldBytes, (yield* bytesOf(coldPath(directory, 0))).length)
        assert.deepStrictEqual([frozen.facts.firstEventId, frozen.facts.lastEventId], [1, 60])
        assert.deepStrictEqual((yield* recorded(directory, kind)).length, 180)
      }).pipe(Effect.provide(stepLayer())))

    it.effect.each(["frame", "block"] as const)(
      "may be done again when it is done (%s)",
      (compression) =>
        Effect.gen(function*() {
          yield* putSegments
          const once = yield* freezing(0, compression)
          assert.deepStrictEqual(yield* freezing(0, compression), once)
          yield* put(hotPath(directory, 0), first.bytes)
          assert.deepStrictEqual(yield* freezing(0, compression), once)
          const found = yield* look(directory)
          assert.deepStrictEqual([found.hot, found.cold], [[1, 2], [0]])
          assert.strictEqual((yield* recorded(directory, kind)).length, 180)
        }).pipe(Effect.provide(stepLayer()))
    )

    it.effect.each([["frame", "block"], ["block", "frame"]] as const)(
      "leaves nothing of a freeze to %s that died before the original went, when it is done again to %s",
      ([left, wanted]) =>
        Effect.gen(function*() {
          yield* putSegments
          yield* freezing(0, left)
          yield* put(hotPath(directory, 0), first.bytes)
          yield* freezing(0, wanted)
          const names = (yield* Disk.use((disk) => disk.list(directory))).map(({ name }) => name)
          assert.deepStrictEqual(
            names.filter((name) => name.startsWith("FS.00000000")),
            [`FS.00000000.wal.${wanted === "frame" ? "lz4" : "lz4b"}`]
          )
        }).pipe(Effect.provide(stepLayer()))
    )

    it.effect("makes a block file of its own ending when blocks are asked for", () =>
      Effect.gen(function*() {
        yield* putSegments
        yield* freezing(0, "block")
        const bytes = yield* bytesOf(`${directory}/FS.00000000.wal.lz4b`)
        assert.strictEqual(bytes.readUInt32LE(0), first.bytes.length)
        assert.deepStrictEqual(uncompressSync(bytes), first.bytes)
      }).pipe(Effect.provide(stepLayer())))

    it.effect("interrupted during the compression leaves the .wal and no .tmp", () =>
      Effect.gen(function*() {
        const stuck: RawCompressor = { ...blocking, compress: () => new Promise(() => {}) }
        yield* Effect.gen(function*() {
          yield* putSegments
          const fiber = yield* Effect.forkChild(freezing(0))
          yield* TestClock.adjust(0)
          assert.deepStrictEqual((yield* look(directory)).leftovers, [0])
          yield* Fiber.interrupt(fiber)
          const found = yield* look(directory)
          assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[0, 1, 2], [], []])
          assert.deepStrictEqual(yield* bytesOf(hotPath(directory, 0)), first.bytes)
        }).pipe(Effect.provide(Layer.fresh(stepLayer(stuck))))
      }))

    it.effect("interrupted while any operation is slow leaves one whole form and no .tmp", () =>
      Effect.gen(function*() {
        let interrupted = 0
        for (let millis = 1; millis < 400; millis += 20) {
          yield* Effect.gen(function*() {
            const disk = yield* SimulatedDisk.SimulatedDisk
            yield* putSegments
            yield* disk.setFaults({ slowRate: 1, slowMillisMax: 40 })
            const fiber = yield* Effect.forkChild(freezing(0))
            yield* TestClock.adjust(millis)
            const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber))
            yield* disk.setFaults({})
            yield* TestClock.adjust(1000)
            yield* done(stopping)
            const exit = yield* Fiber.await(fiber)
            if (Exit.isFailure(exit)) interrupted += 1
            const found = yield* look(directory)
            assert.deepStrictEqual(found.leftovers, [], `after ${millis} ms`)
            assert.isTrue(found.hot.includes(0) || Exit.isSuccess(exit) || found.cold.includes(0))
            assert.strictEqual((yield* recorded(directory, kind)).length, 180)
          }).pipe(Effect.provide(Layer.fresh(stepLayer(blocking, { seed: millis }))))
        }
        assert.isAbove(interrupted, 5)
      }))

    const rulings: ReadonlyArray<readonly [string, RawCompressor, StepError["reason"]]> = [
      ["throws", {
        ...blocking,
        compress: () => {
          throw new Error("no memory")
        }
      }, "CompressFailed"],
      ["rejects", { ...blocking, compress: () => Promise.reject(new Error("no memory")) }, "CompressFailed"],
      ["gives back other bytes", { ...blocking, uncompress: (bytes) => flipped(bytes) }, "VerifyFailed"],
      ["gives back fewer bytes", { ...blocking, uncompress: (bytes) => shorter(bytes) }, "VerifyFailed"],
      ["cannot read its own output", {
        ...blocking,
        uncompress: () => {
          throw new Error("bad")
        }
      }, "VerifyFailed"]
    ]
    const content = (bytes: Uint8Array): Uint8Array => Uint8Array.from(uncompressSync(bytes))
    const flipped = (bytes: Uint8Array) => {
      const out = content(bytes)
      out[out.length - 1] = out[out.length - 1]! ^ 1
      return out
    }
    const shorter = (bytes: Uint8Array) => content(bytes).subarray(1)

    for (const compression of ["frame", "block"] as const) {
      for (const [name, compressor, reason] of rulings) {
        it.effect(`keeps the original when the compressor ${name} (${compression})`, () =>
          Effect.gen(function*() {
            yield* putSegments
            const error = yield* Effect.flip(freezing(0, compression))
            assert.instanceOf(error, StepError)
            // What decodes to other bytes is no segment either; whichever check comes first, the step says so.
            assert.include([reason, "Corrupt"], error.reason)
            assert.strictEqual(error.segmentIndex, 0)
            const found = yield* look(directory)
            assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[0, 1, 2], [], []])
            assert.deepStrictEqual(yield* bytesOf(hotPath(directory, 0)), first.bytes)
          }).pipe(Effect.provide(stepLayer(compressor))))
      }
    }

    it.effect.each(["frame", "block"] as const)(
      "keeps the original when what it reads back is a whole segment, but another one (%s)",
      (compression) =>
        Effect.gen(function*() {
          // Made at another time, so it has as many bytes, and every checksum of it holds.
          const commits = Array.from({ length: 12 }, (_, i) => first.events.slice(5 * i, 5 * i + 5))
          const other = buildSegment({ layout: kind.layout, commits, createdNanos: 1n })
          const swapping: RawCompressor = { ...blocking, uncompress: () => Uint8Array.from(other.bytes) }
          yield* Effect.gen(function*() {
            yield* putSegments
            assert.strictEqual(other.bytes.length, first.bytes.length)
            const error = yield* Effect.flip(freezing(0, compression))
            assert.strictEqual(error.reason, "VerifyFailed")
            const found = yield* look(directory)
            assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[0, 1, 2], [], []])
            assert.deepStrictEqual(yield* bytesOf(hotPath(directory, 0)), first.bytes)
          }).pipe(Effect.provide(Layer.fresh(stepLayer(swapping))))
        })
    )

    it.effect("keeps the original at every failing operation, names it, and succeeds afterwards", () =>
      Effect.gen(function*() {
        const expected = {
          open: "ReadFailed|WriteFailed",
          read: "ReadFailed",
          write: "WriteFailed",
          sync: "SyncFailed",
          rename: "WriteFailed",
          syncDirectory: "SyncFailed",
          stat: "WriteFailed",
          unlink: "WriteFailed"
        } as const
        for (const operation of Object.keys(expected) as Array<keyof typeof expected>) {
          yield* Effect.gen(function*() {
            const disk = yield* SimulatedDisk.SimulatedDisk
            yield* putSegments
            yield* disk.failNext(operation, "Io", operation === "unlink" ? /wal$/ : /./)
            const error = yield* Effect.flip(freezing(0))
            assert.instanceOf(error, StepError)
            assert.include(expected[operation], error.reason)
            assert.isTrue(error.isRetryable)
            assert.isTrue((yield* look(directory)).hot.includes(0), operation)
            yield* freezing(0)
            const found = yield* look(directory)
            assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[1, 2], [0], []], operation)
            assert.strictEqual((yield* recorded(directory, kind)).length, 180)
          }).pipe(Effect.provide(Layer.fresh(stepLayer())))
        }
      }))

    it.effect("says DiskFull, not retried by hand, when the compressed form does not fit", () =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* putSegments
        yield* disk.setCapacityBytes(0)
        const error = yield* Effect.flip(freezing(0))
        assert.strictEqual(error.reason, "DiskFull")
        assert.isTrue(error.isRetryable)
        assert.deepStrictEqual((yield* look(directory)).leftovers, [])
      }).pipe(Effect.provide(stepLayer())))

    it.effect("fails by a sync that failed while it was still compressing, although a later one says ok", () =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* Disk.use((disk) => disk.makeDirectory(directory))
        // What LZ4 cannot compress, so that more is written than is left unsynced.
        const bytes = randomBytes(2 * 1024 * 1024)
        yield* put(hotPath(directory, 0), bytes)
        const syncsOf = Effect.map(changes, (lines) => lines.filter((line) => line === "sync FS.00000000.wal.lz4.tmp"))
        yield* disk.failNext("sync", "Io", /lz4\.tmp/)
        const error = yield* Effect.flip(freezing(0))
        assert.strictEqual(error.reason, "SyncFailed")
        assert.strictEqual((yield* syncsOf).length, 1)
        assert.deepStrictEqual((yield* look(directory)).leftovers, [])
        assert.isTrue(bytes.equals(yield* bytesOf(hotPath(directory, 0))))
        yield* freezing(0)
        assert.strictEqual((yield* syncsOf).length, 3)
        assert.deepStrictEqual((yield* look(directory)).cold, [0])
      }).pipe(Effect.provideService(SegmentProof, anyBytes), Effect.provide(stepLayer())))

    it.effect("deletes neither form when both are bad", () =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* putSegments
        yield* freezing(0)
        yield* put(hotPath(directory, 0), first.bytes)
        yield* disk.rotBits(hotPath(directory, 0), 1)
        yield* disk.rotBits(coldPath(directory, 0), 1)
        const bad = yield* bytesOf(coldPath(directory, 0))
        assert.strictEqual((yield* Effect.flip(freezing(0))).reason, "Corrupt")
        assert.deepStrictEqual(yield* bytesOf(coldPath(directory, 0)), bad)
        assert.deepStrictEqual((yield* look(directory)).both, [0])
      }).pipe(Effect.provide(stepLayer())))

    it.effect("makes a bad cold form anew when the .wal is whole", () =>
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* putSegments
        yield* freezing(0)
        yield* put(hotPath(directory, 0), first.bytes)
        yield* disk.rotBits(coldPath(directory, 0), 3)
        yield* freezing(0)
        assert.deepStrictEqual((yield* look(directory)).cold, [0])
        assert.strictEqual((yield* recorded(directory, kind)).length, 180)
      }).pipe(Effect.provide(stepLayer())))

    it.effect("keeps the .wal when the cold form beside it is whole but another segment's", () =>
      Effect.gen(function*() {
        yield* putSegments
        yield* freezing(0)
        const other = buildWal({ layout: kind.layout, segments: [50] })[0]!
        yield* put(hotPath(directory, 0), other.bytes)
        assert.strictEqual((yield* Effect.flip(freezing(0))).reason, "VerifyFailed")
        assert.deepStrictEqual((yield* look(directory)).both, [0])
      }).pipe(Effect.provide(stepLayer())))
  })

  describe("free", () => {
    it.effect("unlinks, then syncs the directory, and counts a missing file as done", () =>
      Effect.gen(function*() {
        yield* putSegments
        yield* freezing(0)
        const before = (yield* changes).length
        yield* free(segments, 0)
        assert.deepStrictEqual(yield* lastChanges(before), [
          "unlink FS.00000000.wal.lz4",
          "unlink FS.00000000.wal.lz4b",
          "syncDirectory ."
        ])
        yield* free(segments, 0)
        assert.deepStrictEqual((yield* look(directory)).cold, [])
      }).pipe(Effect.provide(stepLayer())))

    it.effect("never deletes a hot segment", () =>
      Effect.gen(function*() {
        yield* putSegments
        const error = yield* Effect.flip(free(segments, 1))
        assert.deepStrictEqual([error.step, error.reason, error.isRetryable], ["free", "NotFound", false])
        assert.deepStrictEqual((yield* look(directory)).hot, [0, 1, 2])
      }).pipe(Effect.provide(stepLayer())))
  })

  describe("a crash", () => {
    /** Freezes 0, frees it, freezes 1: then the power goes off at an operation. */
    it.effect("at any operation of freezing and freeing loses nothing, and the steps done again finish", () =>
      Effect.gen(function*() {
        const progress = { isOver: false }
        let crashes = 0
        for (let operation = 1; !progress.isOver; operation++) {
          yield* Effect.gen(function*() {
            const disk = yield* SimulatedDisk.SimulatedDisk
            yield* putSegments
            const begun = yield* disk.operationCount
            yield* disk.crashAt(begun + operation)
            const steps = Effect.gen(function*() {
              yield* freezing(0)
              yield* freezing(1, "block")
              yield* free(segments, 0)
            })
            const exit = yield* Effect.exit(steps)
            if (Exit.isSuccess(exit)) {
              progress.isOver = true
              return
            }
            crashes += 1
            yield* disk.crash
            const after = yield* look(directory)
            assert.deepStrictEqual([...after.hot, ...after.cold].sort().slice(-2), [1, 2])
            const left = yield* recorded(directory, kind)
            assert.isTrue(
              left.length === 180 || left.length === 120,
              `${left.length} events after operation ${operation}`
            )
            if (after.hot.includes(0) || after.cold.includes(0)) yield* freezing(0)
            yield* freezing(1, "block")
            yield* free(segments, 0)
            const found = yield* look(directory)
            assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[2], [1], []])
            assert.strictEqual((yield* recorded(directory, kind)).length, 120)
          }).pipe(Effect.provide(Layer.fresh(stepLayer(blocking, { seed: operation }))))
        }
        assert.isAbove(crashes, 30)
      }))
  })
})
