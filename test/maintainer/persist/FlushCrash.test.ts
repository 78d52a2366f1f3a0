/**
 * The power fails in the middle of a flush of several blocks, at any operation, and the device keeps any part of it:
 * the segment opens to what was durable before, or to more. And every flush tells when it was made.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../../src/disk/Disk.ts"
import { SegmentDirectory } from "../../../src/disk/SegmentDirectory.ts"
import { decodeBlockHeader } from "../../../src/format/Block.ts"
import { SegmentVerifier } from "../../../src/format/SegmentVerifier.ts"
import * as SegmentFlusher from "../../../src/maintainer/persist/SegmentFlusher.ts"
import * as Recovery from "../../../src/reading/recovery/Recovery.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import { SegmentWriter } from "../../../src/recorder/SegmentWriter.ts"
import * as Arena from "../../../src/shared/Arena.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import * as Telemetry from "../../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { walIdOfTests } from "../../fixtures/segments.ts"
import { isLong } from "../../samples.ts"
import { sweepStep, swept } from "../../sweep.ts"
import type { Kind } from "../maintaining.ts"
import { format1, format2, kinds } from "../maintaining.ts"

const directory = new SegmentDirectory("/wal")

/** A writer and a flusher on one arena, without a maintainer between them. */
const make = Effect.fnUntraced(function*({ layout }: Kind, flushNanos = 0n) {
  const arena = Arena.makeUnsafe({ slots: 3, slotBytes: 20 * 16_384, layout })
  const origin = { walId: walIdOfTests, closedIndex: -1, closedChain: 0n, durableEventId: 0, flushNanos }
  Arena.setOriginUnsafe(arena, origin)
  const writer = new SegmentWriter({
    arena,
    toPersist: yield* TaskQueue.make({ capacity: 8, consumersMax: 1, isShared: false }),
    firstSegmentIndex: 0,
    firstEventId: 1,
    nowMillis: () => 0,
    nowNanos: () => 0,
    onRotate: () => {}
  })
  const telemetry = (yield* Telemetry.Telemetry).updater(0)
  const flusher = SegmentFlusher.make({ arena, directory, telemetry, onOpened: () => {} })
  return { arena, writer, flusher }
})

const onDisk = Effect.fnUntraced(function*(seed: number) {
  const simulated = yield* SimulatedDisk.make({ seed })
  yield* simulated.disk.makeDirectory(directory.path)
  yield* simulated.disk.syncDirectory("/")
  return simulated
})

/** Three blocks at least; in format 1 the second number leaves whole blocks, of which the last becomes two. */
const lastIds = [700, 5 + 3 * 256]

describe.each(kinds)("a flush of several blocks ($name)", (kind) => {
  const { event, layout: { version } } = kind

  const append = (writer: SegmentWriter, from: number, to: number): void => {
    for (let id = from; id <= to; id++) assert.strictEqual(writer.appendUnsafe(event(id)), id)
    writer.shareUnsafe()
  }

  for (const step of ["flush", "persist"] as const) {
    it.effect(`opens after a power failure at any operation of it (${step})`, () =>
      Effect.gen(function*() {
        let crashes = 0
        for (let seed = 0; seed < 20; seed++) {
          const many = lastIds[seed % 2]!
          for (const operation of swept(1)) {
            const simulated = yield* onDisk(seed * 100 + operation)
            const provided = Effect.provideService(Disk, simulated.disk)
            const { flusher, writer } = yield* make(kind)
            append(writer, 1, 5)
            yield* provided(flusher.flush(0))
            append(writer, 6, many)
            if (step === "persist") writer.rotateUnsafe()
            yield* simulated.crashAt((yield* simulated.operationCount) + operation)
            const work = step === "flush" ? Effect.asVoid(flusher.flush(0)) : Effect.asVoid(flusher.persist(0))
            const exit = yield* Effect.exit(provided(work))
            if (Exit.isSuccess(exit)) break
            crashes += 1
            yield* simulated.crash
            const words = `seed ${seed}, operation ${operation}`
            assert.deepStrictEqual((yield* provided(verify({ directory: directory.path }))).faults, [], words)
            const opened = yield* provided(
              Recovery.open({ directory: directory.path, naming: directory.naming, version })
            )
            assert.isAtLeast(opened.origin.lastEventId, 5, words)
            assert.isAtMost(opened.origin.lastEventId, many, words)
          }
        }
        assert.isAbove(crashes, 15 / sweepStep)
      }).pipe(Effect.provide(Telemetry.layerNoop)))
  }
})

describe.each(kinds)("a batch ($name)", (kind) => {
  const { event, layout: { version } } = kind
  const isFormat1 = version === 1
  // A thousand events fill most of a block.
  const roomy: Kind = isFormat1 ? kind : { ...kind, layout: { ...kind.layout, blockBytesMax: 32 * 1024 } }
  const batchEvents = isFormat1 ? 200 : 1000
  const singles = 30

  it.effect("is whole or absent after a power failure at any operation", () =>
    Effect.gen(function*() {
      let crashes = 0
      const seen = new Set<number>()
      // Two thousand crashes in the long run.
      for (let seed = 0; seed < (isLong ? 200 : 8); seed++) {
        for (let operation = 1;; operation++) {
          const simulated = yield* onDisk(seed * 100 + operation)
          const provided = Effect.provideService(Disk, simulated.disk)
          const { flusher, writer } = yield* make(roomy)
          /** Where the log may end: after any event but inside a batch. */
          const insideBatch = new Set<number>()
          const appendBatch = () => {
            const firstId = writer.lastEventId + 1
            const events = Array.from({ length: batchEvents }, (_, at) => event(firstId + at))
            const lastId = writer.appendAllUnsafe(events)
            assert.strictEqual(lastId, firstId + batchEvents - 1)
            for (let id = firstId; id < lastId; id++) insideBatch.add(id)
          }
          const appendSingles = () => {
            for (let count = 0; count < singles; count++) writer.appendUnsafe(event(writer.lastEventId + 1))
            writer.shareUnsafe()
          }
          appendSingles()
          yield* simulated.crashAt((yield* simulated.operationCount) + operation)
          const work = Effect.gen(function*() {
            for (let round = 0; round < 3; round++) {
              appendBatch()
              appendSingles()
              appendBatch()
              yield* flusher.flush(0)
            }
            writer.rotateUnsafe()
            yield* flusher.persist(0)
          })
          const exit = yield* Effect.exit(provided(work))
          if (Exit.isSuccess(exit)) break
          if (!SimulatedDisk.isPowerOff(exit.cause)) return yield* exit
          crashes += 1
          yield* simulated.crash
          const words = `seed ${seed}, operation ${operation}`
          assert.deepStrictEqual((yield* provided(verify({ directory: directory.path }))).faults, [], words)
          const { origin: { lastEventId } } = yield* provided(
            Recovery.open({ directory: directory.path, naming: directory.naming, version })
          )
          assert.isFalse(insideBatch.has(lastEventId), `${words}: the log ends at ${lastEventId}, inside a batch`)
          seen.add(lastEventId)
        }
      }
      assert.isAbove(crashes, 75)
      // The device has kept some batches of a flush and lost others.
      assert.isAbove(seen.size, 2)
    }).pipe(Effect.provide(Telemetry.layerNoop)))
})

describe("flush times", () => {
  /** First block and time of the flush of each block of the first segment. */
  const flushesIn = (bytes: Uint8Array) => {
    const flushes: Array<readonly [number, bigint]> = []
    new SegmentVerifier().push(bytes, true, ({ offset }) => {
      const { flushFirstBlock, flushNanos } = decodeBlockHeader(2, bytes.subarray(offset, offset + 64))
      flushes.push([flushFirstBlock, flushNanos])
    })
    return flushes
  }
  const appendOne = (writer: SegmentWriter, id: number) => {
    assert.strictEqual(writer.appendUnsafe(format2.event(id)), id)
    writer.shareUnsafe()
  }

  it.effect("are those of the clock, the same in a flush, and later in a later one while the clock is set back", () =>
    Effect.gen(function*() {
      const simulated = yield* onDisk(1)
      const { arena, flusher, writer } = yield* make(format2)
      const flush = Effect.provideService(flusher.flush(0), Disk, simulated.disk)
      yield* TestClock.setTime(5000)
      appendOne(writer, 1)
      yield* flush
      yield* TestClock.setTime(2000)
      for (let id = 2; id <= 60; id++) appendOne(writer, id)
      yield* flush
      yield* TestClock.setTime(6000)
      appendOne(writer, 61)
      yield* flush
      const bytes = (yield* simulated.files).get(directory.hotPath(0))!
      const [first, ...rest] = flushesIn(bytes)
      const last = rest.pop()
      assert.deepStrictEqual(first, [0, 5_000_000_000n])
      assert.isAtLeast(rest.length, 2)
      for (const block of rest) assert.deepStrictEqual(block, [1, 5_000_000_001n])
      assert.deepStrictEqual(last, [rest.length + 1, 6_000_000_000n])
      assert.strictEqual(Arena.flushNanos(arena), 6_000_000_000n)
    }).pipe(Effect.provide(Telemetry.layerNoop)))

  it.effect("continue after the last one of the log when a directory is opened again, and in the closed header", () =>
    Effect.gen(function*() {
      const simulated = yield* onDisk(2)
      const provided = Effect.provideService(Disk, simulated.disk)
      const open = provided(Recovery.open({ directory: directory.path, naming: directory.naming, version: 2 }))
      yield* TestClock.setTime(7000)
      const { flusher, writer } = yield* make(format2)
      appendOne(writer, 1)
      yield* provided(flusher.flush(0))
      yield* provided(flusher.close)
      // It was open, and is closed now.
      assert.strictEqual((yield* open).origin.lastFlushNanos, 7_000_000_000n)
      assert.strictEqual((yield* open).origin.lastFlushNanos, 7_000_000_000n)
      const again = yield* make(format2, 7_000_000_000n)
      yield* TestClock.setTime(1000)
      assert.strictEqual(Arena.nextFlushNanosUnsafe(again.arena, 1_000_000_000n), 7_000_000_001n)
    }).pipe(Effect.provide(Telemetry.layerNoop)))

  it.effect("take nothing from a format that has no room for them", () =>
    Effect.gen(function*() {
      const simulated = yield* onDisk(3)
      const { flusher, writer } = yield* make(format1)
      assert.strictEqual(writer.appendUnsafe(format1.event(1)), 1)
      writer.shareUnsafe()
      yield* TestClock.setTime(5000)
      yield* Effect.provideService(flusher.flush(0), Disk, simulated.disk)
      const bytes = (yield* simulated.files).get(directory.hotPath(0))!
      assert.isTrue(bytes.subarray(64 + 46, 64 + 64).every((byte) => byte === 0))
    }).pipe(Effect.provide(Telemetry.layerNoop)))
})
