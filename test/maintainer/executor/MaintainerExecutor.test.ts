/**
 * What the loop of an executor does first, and what it leaves when it ends: by the test's clock, on the simulated disk.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { blocking } from "../../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { aloneOn } from "../aloneOn.ts"
import { done, kinds, look, open, quiet, segmentBytesMax, settle, simulated, watch } from "../maintaining.ts"

const directory = "/wal"

describe.each(kinds)("the loop ($name)", (kind) => {
  const { event, format } = kind
  const alone = aloneOn(kind)

  it.effect("wakes at exactly 10, 20, 40 … 1000, 1000 ms while idle, and begins again after work", () =>
    Effect.gen(function*() {
      const { cycles, freeze, maintainer } = yield* alone()
      // A cycle is counted at the end of its sleep.
      const wakeUps: Array<number> = []
      const observe = Effect.fnUntraced(function*(millis: number) {
        const begun = yield* Clock.currentTimeMillis
        let count = yield* cycles
        for (let passed = 1; passed <= millis; passed++) {
          yield* TestClock.adjust(1)
          const now = yield* cycles
          if (now !== count) wakeUps.push(begun + passed)
          count = now
        }
      })
      yield* observe(2400)
      assert.deepStrictEqual(wakeUps.splice(0), [10, 30, 70, 150, 310, 630, 1270, 2270])
      freeze(0)
      yield* settle
      assert.strictEqual((yield* maintainer.status).coldSegments, 1)
      yield* observe(200)
      assert.deepStrictEqual(wakeUps, [2410, 2430, 2470, 2550])
    }).pipe(quiet))

  it.effect("follows a schedule that it is given: only rings end its sleeps", () =>
    Effect.gen(function*() {
      const inputs: Array<boolean> = []
      const schedule = Schedule.fromStep(Effect.succeed((_now: number, worked: boolean) => {
        inputs.push(worked)
        return Effect.succeed<[number, Duration.Duration]>([0, Duration.hours(1)])
      }))
      const layer = Wal.layer({ directory, format, segmentBytesMax, schedule }).pipe(Layer.provide(simulated()))
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        // Files are made ahead, one in a cycle.
        yield* TestClock.adjust("5 hours")
        inputs.length = 0
        yield* TestClock.adjust("59 minutes")
        assert.deepStrictEqual(inputs, [])
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(inputs.splice(0), [false])
        const begun = yield* Clock.currentTimeMillis
        assert.strictEqual(yield* recorder.appendDurable(event(1)), 1)
        assert.strictEqual(yield* Clock.currentTimeMillis, begun)
        yield* settle
        assert.isTrue(inputs[0])
      }).pipe(Effect.provide(layer))
    }).pipe(quiet))

  it.effect("with a schedule that ends is an executor that dies", () =>
    Effect.gen(function*() {
      const schedule = Schedule.recurs(1)
      const layer = Wal.layer({ directory, format, segmentBytesMax, schedule }).pipe(Layer.provide(simulated()))
      yield* Effect.gen(function*() {
        yield* TestClock.adjust("1 second")
        assert.isAbove((yield* (yield* SegmentMaintainer).status).restarts, 0)
      }).pipe(Effect.provide(layer))
    }).pipe(quiet))

  it.effect("takes no schedule in a thread, and nothing else for one", () =>
    Effect.gen(function*() {
      const refusal = <E>(layer: Layer.Layer<Wal.Parts, E>) =>
        Effect.map(Effect.exit(Effect.scoped(Layer.build(layer))), (exit) => {
          assert(Exit.isFailure(exit))
          return String(Cause.squash(exit.cause))
        })
      const schedule = Schedule.spaced("1 second") as never
      assert.include(
        yield* refusal(Wal.layerWorker({ directory, schedule }).pipe(Layer.provide(simulated()))),
        "expected none, since a thread cannot be given code"
      )
      assert.strictEqual(
        yield* refusal(Wal.layer({ directory, schedule: "1 second" as never }).pipe(Layer.provide(simulated()))),
        "WrongOptions: schedule is '1 second', expected a Schedule"
      )
    }).pipe(quiet))

  it.effect("does not sleep while there is something to do", () =>
    Effect.gen(function*() {
      const { freeze, maintainer } = yield* alone()
      yield* TestClock.adjust(60_000)
      const begun = yield* Clock.currentTimeMillis
      freeze(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
      yield* settle
      assert.strictEqual((yield* maintainer.status).coldSegments, 10)
      assert.strictEqual(yield* Clock.currentTimeMillis, begun)
    }).pipe(quiet))

  it.effect("persists while a segment is being frozen, however long that takes", () =>
    Effect.gen(function*() {
      const never: RawCompressor = { ...blocking, compress: () => new Promise(() => {}) }
      const { close, context } = yield* open(
        Wal.layer({
          directory,
          format,
          segmentBytesMax,
          limits: { maxSegments: 8, maxCompressedSegments: 64 },
          drainMax: 1000
        }).pipe(Layer.provideMerge(simulated({}, never)))
      )
      const recorder = Context.get(context, Recorder)
      const maintainer = Context.get(context, SegmentMaintainer)
      const events = yield* watch(maintainer)
      // The 7th closed segment is one too many: its freezing begins and never ends.
      for (let segment = 0; segment < 7; segment++) {
        yield* recorder.append(event(segment + 1))
        yield* recorder.rotate
        yield* settle
      }
      assert.strictEqual((yield* maintainer.status).pending.freeze, 1)
      yield* recorder.append(event(8))
      const committed = yield* Effect.forkChild(recorder.commit)
      yield* settle
      assert.strictEqual(yield* done(committed), 8)
      assert.deepStrictEqual(
        events.filter((event) => event._tag === "Persisted").map((event) => event.segmentIndex),
        [0, 1, 2, 3, 4, 5, 6]
      )
      assert.isFalse(events.some((event) => event._tag === "Frozen"))
      // Nine hot ones would be too many: the next waits, and its event too.
      yield* recorder.rotate
      yield* recorder.append(event(9))
      const waiting = yield* Effect.forkChild(recorder.commit)
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual((yield* maintainer.status).hotSegments, 8)
      yield* maintainer.setLimits({ maxSegments: 16, maxCompressedSegments: 64 })
      yield* settle
      assert.strictEqual(yield* done(waiting), 9)
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* done(closing)
      assert.deepStrictEqual((yield* look(directory).pipe(Effect.provideContext(context))).hot.length, 9)
    }).pipe(quiet))

  it.effect("removes at its end what a freeze that failed could not remove either", () =>
    Effect.gen(function*() {
      const { close, freeze, services } = yield* alone(blocking, { drainMax: 0 })
      const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
      const leftovers = Effect.map(look(directory), (found) => found.leftovers).pipe(Effect.provideContext(services))
      yield* disk.failNext("write", "Io", /lz4\.tmp/)
      // Before the file is made, and after.
      yield* disk.failNext("unlink", "Io", /lz4\.tmp/)
      yield* disk.failNext("unlink", "Io", /lz4\.tmp/)
      freeze(0)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* leftovers, [0])
      yield* close
      assert.deepStrictEqual(yield* leftovers, [])
    }).pipe(Effect.scoped, quiet))

  it.effect("frees before it freezes, so no more is ever cold than allowed, whoever asks for it", () =>
    Effect.gen(function*() {
      const { freeze, maintainer, services } = yield* alone()
      yield* maintainer.setLimits({ maxSegments: 32, maxCompressedSegments: 4 })
      const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
      // Deleting takes its time, and fails twice.
      yield* disk.failNext("unlink", "Io", /lz4$/)
      yield* disk.failNext("unlink", "Io", /lz4$/)
      freeze(0, 1, 2, 3, 4, 5, 6, 7)
      for (let i = 0; i < 100; i++) {
        yield* TestClock.adjust(10)
        const found = yield* look(directory).pipe(Effect.provideContext(services))
        assert.isAtMost(found.cold.length + found.both.length, 4)
      }
      assert.deepStrictEqual((yield* look(directory).pipe(Effect.provideContext(services))).cold, [4, 5, 6, 7])
    }).pipe(Effect.scoped, quiet))
})
