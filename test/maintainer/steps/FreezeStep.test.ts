/** The order in which a freeze changes the disk, and what a failure, an interruption or a crash in between leaves. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { compressSync, uncompressSync } from "lz4-napi"
import { randomBytes } from "node:crypto"
import { Disk } from "../../../src/disk/Disk.ts"
import { blockFormContentBytesMax } from "../../../src/format/Limits.ts"
import { blocking } from "../../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../../src/maintainer/Compressor.ts"
import { free } from "../../../src/maintainer/steps/FreeStep.ts"
import { anyBytes, SegmentProof } from "../../../src/maintainer/steps/SegmentProof.ts"
import { StepError } from "../../../src/maintainer/steps/StepError.ts"
import type { StepReason } from "../../../src/maintainer/steps/StepReason.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { buildSegment, buildWal } from "../../fixtures/segments.ts"
import { bytesOf, coldPath, done, hotPath, kinds, look, put, recorded } from "../maintaining.ts"
import {
  besideCommits,
  changes,
  directory,
  freezing,
  lastChanges,
  putDurably,
  segments,
  stepLayer,
  threeSegments
} from "../stepping.ts"

describe.each(kinds)("steps on a directory of $name", (kind) => {
  const wal = threeSegments(kind)
  const first = wal[0]!
  const putSegments = putDurably(wal)

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
          "rename FS.00000000.wal → FS.00000000.wal.lz4.tmp",
          "syncDirectory .",
          "unlink FS.00000000.wal.lz4.tmp"
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

    it.effect("makes a frame of a segment that is too long for the block form, and finds it again when it is done", () =>
      Effect.gen(function*() {
        for (const longer of [-1, 0, 1]) {
          yield* Effect.gen(function*() {
            yield* putSegments
            const disk = yield* Disk
            const claiming = Disk.of({
              ...disk,
              stat: (path) =>
                Effect.map(
                  disk.stat(path),
                  (stat) =>
                    path === hotPath(directory, 0) ? { ...stat, bytes: blockFormContentBytesMax + longer } : stat
                )
            })
            const made = Effect.provideService(freezing(0, "block"), Disk, claiming)
            const once = yield* made
            const names = (yield* disk.list(directory)).map(({ name }) => name)
            assert.deepStrictEqual(
              names.filter((name) => name.startsWith("FS.00000000")),
              [`FS.00000000.wal.${longer > 0 ? "lz4" : "lz4b"}`]
            )
            assert.deepStrictEqual(yield* made, once)
            assert.strictEqual((yield* recorded(directory, kind)).length, 180)
          }).pipe(Effect.provide(Layer.fresh(stepLayer())))
        }
      }))

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
            yield* disk.setFaults({ slowRate: 1, slowMax: 40 })
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

    const throwing = () => {
      throw new Error("no memory")
    }
    const flipped = (bytes: Uint8Array) => {
      const out = Uint8Array.from(bytes)
      out[out.length - 1] = out[out.length - 1]! ^ 1
      return out
    }
    const shorter = (bytes: Uint8Array) => bytes.subarray(1)
    const rulings: ReadonlyArray<readonly [string, RawCompressor, StepReason["_tag"]]> = [
      ["throws", { ...blocking, compress: throwing }, "CompressFailed"],
      ["rejects", { ...blocking, compress: () => Promise.reject(new Error("no memory")) }, "CompressFailed"],
      [
        "compresses other bytes",
        { ...blocking, compress: (bytes) => blocking.compress(flipped(bytes)) },
        "VerifyFailed"
      ],
      [
        "compresses fewer bytes",
        { ...blocking, compress: (bytes) => blocking.compress(shorter(bytes)) },
        "VerifyFailed"
      ],
      ["gives what no reader can decode", {
        ...blocking,
        compress: (bytes) => compressSync(Buffer.from(bytes)).fill(255, 4)
      }, "VerifyFailed"]
    ]
    // While commits come, the compressing thread decodes.
    const aside: ReadonlyArray<readonly [string, RawCompressor, StepReason["_tag"]]> = [
      [
        "gives back other bytes",
        { ...blocking, uncompress: (bytes) => flipped(uncompressSync(bytes)) },
        "VerifyFailed"
      ],
      [
        "gives back fewer bytes",
        { ...blocking, uncompress: (bytes) => shorter(uncompressSync(bytes)) },
        "VerifyFailed"
      ],
      ["does not decode", { ...blocking, uncompress: throwing }, "VerifyFailed"]
    ]
    const keepsOriginal = (frozen: ReturnType<typeof freezing>, reason: StepReason["_tag"]) =>
      Effect.gen(function*() {
        yield* putSegments
        const error = yield* Effect.flip(frozen)
        assert.instanceOf(error, StepError)
        // What decodes to other bytes is no segment either; whichever check comes first, the step reports it.
        assert.include([reason, "Corrupt"], error.reason._tag)
        assert.strictEqual(error.segmentIndex, 0)
        const found = yield* look(directory)
        assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[0, 1, 2], [], []])
        assert.deepStrictEqual(yield* bytesOf(hotPath(directory, 0)), first.bytes)
      })

    for (const compression of ["frame", "block"] as const) {
      for (const [name, compressor, reason] of rulings) {
        it.effect(
          `keeps the original when the compressor ${name} (${compression})`,
          () => keepsOriginal(freezing(0, compression), reason).pipe(Effect.provide(stepLayer(compressor)))
        )
      }
    }

    for (const [name, compressor, reason] of aside) {
      it.effect(
        `keeps the original when the compressor, while commits come, ${name}`,
        () => keepsOriginal(freezing(0, "frame", besideCommits()), reason).pipe(Effect.provide(stepLayer(compressor)))
      )
    }

    it.effect.each(["frame", "block"] as const)(
      "keeps the original when what it has written is a whole segment, but another one (%s)",
      (compression) =>
        Effect.gen(function*() {
          // Made at another time, so it has as many bytes, and every checksum of it holds.
          const commits = Array.from({ length: 12 }, (_, i) => first.events.slice(5 * i, 5 * i + 5))
          const other = buildSegment({ layout: kind.layout, commits, createdNanos: 1n })
          const swapping: RawCompressor = { ...blocking, compress: () => blocking.compress(other.bytes) }
          yield* Effect.gen(function*() {
            yield* putSegments
            assert.strictEqual(other.bytes.length, first.bytes.length)
            const error = yield* Effect.flip(freezing(0, compression))
            assert.strictEqual(error.reason._tag, "VerifyFailed")
            const found = yield* look(directory)
            assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[0, 1, 2], [], []])
            assert.deepStrictEqual(yield* bytesOf(hotPath(directory, 0)), first.bytes)
          }).pipe(Effect.provide(Layer.fresh(stepLayer(swapping))))
        })
    )

    /** Places in a frame that a disk may spoil while it is being written, from the first byte to the last. */
    const spoilt = ["the magic", "the header", "a block", "the end mark", "the checksum"] as const
    it.effect.each(spoilt)(
      "keeps the original when the disk has spoilt %s of the frame",
      (place) =>
        Effect.gen(function*() {
          yield* putSegments
          const whole = yield* freezing(0)
          const at = {
            "the magic": 0,
            "the header": 8,
            "a block": 40,
            "the end mark": whole.coldBytes - 8,
            "the checksum": whole.coldBytes - 1
          }[place]
          yield* put(hotPath(directory, 0), first.bytes)
          yield* Disk.use((disk) => disk.unlink(coldPath(directory, 0)))
          const disk = yield* Disk
          const spoiling = Disk.of({
            ...disk,
            open: (path, mode) =>
              Effect.map(disk.open(path, mode), (file) => ({
                ...file,
                read: (target, offset) =>
                  Effect.map(file.read(target, offset), (count) => {
                    if (path.endsWith(".tmp") && offset <= at && at < offset + count) target[at - offset]! ^= 1
                    return count
                  })
              }))
          })
          const error = yield* Effect.flip(Effect.provideService(freezing(0), Disk, spoiling))
          assert.strictEqual(error.reason._tag, "VerifyFailed")
          const found = yield* look(directory)
          assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[0, 1, 2], [], []])
        }).pipe(Effect.provide(stepLayer()))
    )

    it.effect("keeps the original at every failing operation, names it, and succeeds afterwards", () =>
      Effect.gen(function*() {
        const expected = {
          open: "ReadFailed",
          read: "ReadFailed",
          write: "WriteFailed",
          sync: "SyncFailed",
          rename: "NameFailed",
          syncDirectory: "NameFailed",
          stat: "ReadFailed",
          unlink: "NameFailed"
        } as const
        for (const operation of Object.keys(expected) as Array<keyof typeof expected>) {
          yield* Effect.gen(function*() {
            const disk = yield* SimulatedDisk.SimulatedDisk
            yield* putSegments
            yield* disk.failNext(operation, "Io", operation === "unlink" ? /lz4b$/ : /./)
            const error = yield* Effect.flip(freezing(0))
            assert.instanceOf(error, StepError)
            assert.strictEqual(error.reason._tag, expected[operation])
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
        assert.strictEqual(error.reason._tag, "DiskFull")
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
        assert.strictEqual(error.reason._tag, "SyncFailed")
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
        assert.strictEqual((yield* Effect.flip(freezing(0))).reason._tag, "Corrupt")
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
        assert.strictEqual((yield* Effect.flip(freezing(0))).reason._tag, "VerifyFailed")
        assert.deepStrictEqual((yield* look(directory)).both, [0])
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
