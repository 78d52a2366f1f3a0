/** The newest segment of a log is continued where that is right, and a crash at any point of it loses nothing. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import * as MetaStore from "../../src/disk/MetaStore.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { reconcile } from "../../src/maintainer/directory/Reconcile.ts"
import * as SegmentFlusher from "../../src/maintainer/persist/SegmentFlusher.ts"
import * as Recovery from "../../src/reading/recovery/Recovery.ts"
import { verify } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import * as ContinuedSegment from "../../src/recorder/ContinuedSegment.ts"
import { SegmentWriter } from "../../src/recorder/SegmentWriter.ts"
import * as Arena from "../../src/shared/Arena.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { buildWal, cold, hot, put, torn } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"
import { range } from "../fixtures/simulatedWal.ts"
import { kinds, quiet } from "../maintainer/maintaining.ts"
import type { Kind } from "../maintainer/maintaining.ts"
import { sweepStep, swept } from "../sweep.ts"

const directory = new SegmentDirectory("/wal")
const slotBytes = 16 * 16_384

/** Opens the directory as a recorder does, with a flusher of its own in the place of a maintainer. */
const start = Effect.fnUntraced(function*(
  layout: SegmentLayout,
  options: { readonly ageMax?: Duration.Duration } = {}
) {
  const arena = Arena.makeUnsafe({ slots: 3, slotBytes, layout })
  const reconciled = yield* reconcile(directory, "ours")
  const recovered = yield* Recovery.open({
    directory: directory.path,
    naming: directory.naming,
    version: layout.version
  })
  const { origin, report } = recovered
  const continued = yield* ContinuedSegment.load(arena, recovered, {
    directory,
    reconciled,
    ageMax: options.ageMax
  })
  const closedIndex = origin.lastSegmentIndex - (continued === undefined ? 0 : 1)
  Arena.setOriginUnsafe(arena, {
    walId: origin.walId ?? new Uint8Array(16),
    closedIndex,
    closedChain: continued?.begun.chainStart ?? origin.chainedChecksum,
    durableEventId: origin.lastEventId,
    flushNanos: origin.lastFlushNanos
  })
  const writer = new SegmentWriter({
    arena,
    toPersist: yield* TaskQueue.make({ capacity: 8, consumersMax: 1, isShared: false }),
    firstSegmentIndex: closedIndex + 1,
    firstEventId: origin.lastEventId + 1,
    continued,
    nowMillis: () => 0,
    nowNanos: () => 0,
    onRotate: () => {}
  })
  const telemetry = (yield* Telemetry.Telemetry).updater(0)
  const flusher = SegmentFlusher.make({ arena, directory, telemetry, onOpened: () => {} })
  return { arena, writer, flusher, report, isContinued: continued !== undefined }
}, Effect.provide(Telemetry.layerNoop))

const ids = Effect.map(
  Stream.runCollect(Replay.events({ directory: directory.path })),
  (events) => events.map(({ id }) => id)
)
const faults = Effect.map(verify({ directory: directory.path }), (report) => report.faults)

/** Three segments of 10 events; the newest one as the test wants it. */
const wal = ({ layout }: Kind, lastIsOpen = false) => buildWal({ layout, segments: [10, 10, 10], lastIsOpen })

const machine = Effect.fnUntraced(function*(segments: ReadonlyArray<BuiltSegment>, seed = 1) {
  const simulated = yield* SimulatedDisk.make({ seed })
  yield* simulated.disk.makeDirectory(directory.path)
  yield* simulated.disk.syncDirectory("/")
  yield* Effect.provideService(put(directory.path, ...segments.map(hot)), Disk, simulated.disk)
  return simulated
})

describe.each(kinds)("a segment that is continued ($name)", (kind) => {
  const { event, layout } = kind
  const append = (writer: SegmentWriter, from: number, to: number): void => {
    for (let id = from; id <= to; id++) assert.strictEqual(writer.appendUnsafe(event(id)), id)
    writer.shareUnsafe()
  }

  for (const lastIsOpen of [false, true]) {
    for (const step of ["flush", "persist"] as const) {
      const found = lastIsOpen ? "was torn by a crash" : "was closed"
      it.effect(`opens to every durable event after a power failure at any operation of a start (${found}, ${step})`, () =>
        Effect.gen(function*() {
          let crashes = 0
          for (let seed = 0; seed < 2; seed++) {
            for (const operation of swept(1)) {
              const [first, second, last] = wal(kind, lastIsOpen)
              const newest = lastIsOpen ? torn(last!, 3) : last!
              const lastId = lastIsOpen ? 25 : 30
              const simulated = yield* machine([first!, second!, newest], seed * 100 + operation)
              const provided = Effect.provideService(Disk, simulated.disk)
              yield* simulated.crashAt((yield* simulated.operationCount) + operation)
              let durable = lastId
              const life = Effect.gen(function*() {
                const { arena, flusher, isContinued, writer } = yield* start(layout)
                assert.isTrue(isContinued)
                const note = Effect.sync(() => {
                  durable = Arena.durableEventId(arena)
                })
                append(writer, lastId + 1, lastId + 2)
                if (step === "persist") writer.rotateUnsafe()
                else {
                  yield* Effect.ensuring(flusher.flush(0), note)
                  append(writer, lastId + 3, lastId + 4)
                  writer.rotateUnsafe()
                }
                yield* Effect.ensuring(flusher.persist(0), note)
              })
              const exit = yield* Effect.exit(provided(life))
              if (Exit.isSuccess(exit)) break
              assert.isTrue(SimulatedDisk.isPowerOff(exit.cause))
              crashes += 1
              yield* simulated.crash
              const words = `seed ${seed}, operation ${operation}`
              assert.deepStrictEqual(yield* provided(faults), [], words)
              const again = yield* provided(start(layout))
              assert.isAtLeast(again.report.lastEventId, durable, words)
              assert.deepStrictEqual(yield* provided(ids), range(1, again.report.lastEventId), words)
              // And goes on from there.
              append(again.writer, again.report.lastEventId + 1, again.report.lastEventId + 1)
              yield* provided(again.flusher.flush(0))
              assert.deepStrictEqual(yield* provided(ids), range(1, again.report.lastEventId + 1), words)
              assert.deepStrictEqual(yield* provided(faults), [], words)
            }
          }
          assert.isAbove(crashes, 60 / sweepStep)
        }))
    }
  }

  it.effect("keeps its blocks as they are, and their times", () =>
    Effect.gen(function*() {
      const segments = wal(kind)
      const simulated = yield* machine(segments)
      const { flusher, writer } = yield* Effect.provideService(start(layout), Disk, simulated.disk)
      append(writer, 31, 33)
      yield* Effect.provideService(flusher.flush(0), Disk, simulated.disk)
      const content = (yield* simulated.files).get(directory.hotPath(2))!
      const blocks = segments[2]!.bytes.subarray(kind.headerBytes, segments[2]!.blockEnds.at(-1)!.offset)
      assert.deepStrictEqual(
        Buffer.from(content.subarray(kind.headerBytes, kind.headerBytes + blocks.length)),
        Buffer.from(blocks)
      )
    }))

  it.effect("is written whole from memory when its file cannot be read any more", () =>
    Effect.gen(function*() {
      const simulated = yield* machine(wal(kind))
      const provided = Effect.provideService(Disk, simulated.disk)
      const { flusher, writer } = yield* provided(start(layout))
      append(writer, 31, 33)
      yield* simulated.failNext("read", "Io", /\.wal$/)
      assert.strictEqual((yield* Effect.flip(provided(flusher.flush(0)))).reason._tag, "ReadFailed")
      yield* simulated.disk.unlink(directory.hotPath(2))
      assert.isTrue(yield* provided(flusher.flush(0)))
      yield* simulated.crash
      assert.deepStrictEqual(yield* provided(ids), range(1, 33))
      assert.deepStrictEqual(yield* provided(faults), [])
    }))

  it.effect("leaves no file behind and loses nothing when the disk is full at any byte of its copy", () =>
    Effect.gen(function*() {
      for (const room of [0, 100, 400, 5000, 20_000, 40_000]) {
        const simulated = yield* machine(wal(kind))
        const provided = Effect.provideService(Disk, simulated.disk)
        const { flusher, writer } = yield* provided(start(layout))
        append(writer, 31, 33)
        const used = 2 ** 40 - (yield* simulated.disk.freeBytes(directory.path))
        yield* simulated.setCapacityBytes(used + room)
        yield* Effect.exit(provided(flusher.flush(0)))
        yield* simulated.setCapacityBytes(2 ** 40)
        yield* provided(flusher.flush(0))
        yield* provided(flusher.close)
        assert.deepStrictEqual(yield* provided(ids), range(1, 33), `${room} bytes of room`)
        assert.deepStrictEqual(yield* provided(faults), [])
      }
    }))

  const isContinued = (
    segments: ReadonlyArray<BuiltSegment>,
    options: Parameters<typeof start>[1] & { readonly layout?: SegmentLayout } = {},
    before: Effect.Effect<void, unknown, Disk | SimulatedDisk.SimulatedDisk> = Effect.void
  ) =>
    Effect.gen(function*() {
      const simulated = yield* machine(segments)
      return yield* before.pipe(
        Effect.andThen(start(options.layout ?? layout, options)),
        Effect.provideService(SimulatedDisk.SimulatedDisk, simulated),
        Effect.provideService(Disk, simulated.disk)
      )
    })

  it.effect("is closed, hot and at most half full, of the same layout, and the end of the log", () =>
    Effect.gen(function*() {
      const segments = wal(kind)
      assert.isTrue((yield* isContinued(segments)).isContinued)
      assert.isTrue((yield* isContinued(wal(kind, true))).isContinued, "a crash has left it open")
      const full = buildWal({ layout, segments: [10, layout.version === 1 ? 256 * 9 : 6000] })
      assert.isFalse((yield* isContinued(full)).isContinued, "more than half full")
      if (layout.version === 2) {
        const other = { ...layout, blockBytesMax: layout.blockBytesMax + 1 }
        assert.isFalse((yield* isContinued(segments, { layout: other })).isContinued, "other blocks")
      }
      const frozen = yield* Effect.promise(() => cold(segments[2]!, "frame"))
      assert.isFalse((yield* isContinued(segments, {}, put(directory.path, frozen))).isContinued, "freezing")
      const ahead = MetaStore.write(directory.path, { lastSegmentIndex: 3, lastEventId: 40, lastOffset: 0 })
      const lost = yield* isContinued(segments, {}, ahead)
      assert.isFalse(lost.isContinued, "events after it are lost")
      assert.strictEqual(lost.writer.activeSegmentIndex, 4)
    }))

  it.effect("is not continued when its oldest event is due", () =>
    Effect.gen(function*() {
      const segments = wal(kind)
      const createdMillis = Number(segments[2]!.header.createdNanos / 1_000_000n)
      yield* TestClock.setTime(createdMillis + 5000)
      assert.isTrue((yield* isContinued(segments, { ageMax: Duration.millis(5001) })).isContinued)
      assert.isFalse((yield* isContinued(segments, { ageMax: Duration.millis(5000) })).isContinued)
      yield* TestClock.setTime(createdMillis - 5000)
      assert.isTrue((yield* isContinued(segments, { ageMax: Duration.millis(1) })).isContinued, "the clock is behind")
    }))

  it.effect("is not copied while the disk has less room than a full segment takes: another one is begun", () =>
    Effect.gen(function*() {
      const nearlyFull = Effect.gen(function*() {
        const simulated = yield* SimulatedDisk.SimulatedDisk
        const used = 2 ** 40 - (yield* simulated.disk.freeBytes(directory.path))
        yield* simulated.setCapacityBytes(used + 20_000)
      })
      const { arena, flusher, isContinued: is, writer } = yield* isContinued(wal(kind), {}, nearlyFull)
      assert.isFalse(is)
      assert.strictEqual(writer.activeSegmentIndex, 3)
      assert.strictEqual(arena.slots, 3)
      yield* flusher.close.pipe(Effect.provideService(Disk, (yield* SimulatedDisk.make({ seed: 1 })).disk))
    }).pipe(quiet))
})
