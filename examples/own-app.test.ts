/**
 * How to test an application that records: on a simulated disk, under `TestClock`, in milliseconds. The disk loses what was
 * not synced when the power goes, and fills up when it is told to; the same seed gives the same run.
 *
 *     npx vitest run examples/own-app.test.ts
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Recorder } from "../src/index.ts"
import { Wal } from "../src/index.ts"
import { SimulatedDisk } from "../src/testing/index.ts"

// ---------------------------------------------------------------------------------------------------------------------
// the application: a counter that survives, because every step of it is recorded
// ---------------------------------------------------------------------------------------------------------------------

class Steps extends Wal.Service<Steps>()("example/Steps", { event: Schema.Struct({ by: Schema.Int }) }) {}

const directory = "/counter"

class Counter extends Context.Service<Counter, {
  readonly value: () => number
  /** Succeeds when the step is durable; waits while the device fails. */
  readonly add: (by: number) => Effect.Effect<void, Recorder.RecorderError>
}>()("example/Counter") {
  static readonly layer = Layer.effect(
    Counter,
    Effect.gen(function*() {
      const steps = yield* Steps
      let value = yield* Stream.runFold(steps.events(), () => 0, (sum, { event }) => sum + event.by)
      return {
        value: () => value,
        // What was appended is kept until it is durable: so the commit is tried again, never the append.
        add: Effect.fn("Counter.add")(function*(by: number) {
          const id = yield* steps.append({ by })
          yield* Effect.retry(steps.commitTo(id), {
            while: (error) => error.isRetryable,
            schedule: Schedule.spaced("1 second")
          })
          value += by
        })
      }
    })
  )
}

// The maintainer is a fiber here, so that the whole application lives in the test's time.
const App = Counter.layer.pipe(Layer.provide(Steps.layer({ directory, segmentBytesMax: 4096 })))

// ---------------------------------------------------------------------------------------------------------------------
// its tests
// ---------------------------------------------------------------------------------------------------------------------

describe("Counter", () => {
  it.effect("has lost nothing that it said was done when the power goes in the middle of a write", () =>
    Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      let done = 0
      const life = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
        const counter = Context.get(yield* Layer.build(Layer.fresh(App)), Counter)
        yield* disk.crashAt((yield* disk.operationCount) + 50)
        while (true) {
          yield* counter.add(1)
          done += 1
        }
      })))
      yield* disk.awaitPowerOff
      // What is left of the application cannot go on; its maintainer is started again a few times, and given up.
      const ending = yield* Effect.forkChild(Fiber.interrupt(life))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(ending)
      yield* disk.crash

      const counter = Context.get(yield* Layer.build(Layer.fresh(App)), Counter)
      assert.isAbove(done, 10)
      // The step that was under way may be there or not.
      assert.include([done, done + 1], counter.value())
    }).pipe(
      Effect.provide(SimulatedDisk.layer({ seed: 1 })),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))

  it.effect("waits while the device fails, and records the step once", () =>
    Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      yield* Effect.scoped(Effect.gen(function*() {
        const counter = Context.get(yield* Layer.build(Layer.fresh(App)), Counter)
        yield* disk.failAlways("sync", "Io", /\.wal/)
        const adding = yield* Effect.forkChild(counter.add(7))
        yield* TestClock.adjust("1 minute")
        assert.isUndefined(adding.pollUnsafe())

        yield* disk.heal
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(adding)
        assert.strictEqual(counter.value(), 7)
      }))
      assert.strictEqual(Context.get(yield* Layer.build(Layer.fresh(App)), Counter).value(), 7)
    }).pipe(
      Effect.provide(SimulatedDisk.layer({ seed: 2 })),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))

  it.effect("is compressed and forgotten within the limits of its log", () =>
    Effect.gen(function*() {
      const steps = yield* Steps
      yield* steps.appendEach(Array.from({ length: 3000 }, () => ({ by: 1 })))
      yield* steps.commit
      // A drain comes back when everything that was due is done. No clock has to move, and nothing is slept for.
      yield* steps.maintainer.drain
      const { coldSegments, hotSegments } = yield* steps.maintainer.status
      assert.deepStrictEqual([coldSegments, hotSegments <= 2], [4, true])
      const oldest = Option.getOrThrow(yield* Stream.runHead(steps.events()))
      assert.isAbove(oldest.id, 1)
      const deleted = yield* Effect.flip(Stream.runDrain(steps.events({ from: { id: 1 } })))
      assert.deepInclude(deleted, { _tag: "EventsDeleted", firstAvailableId: oldest.id })
    }).pipe(
      Effect.provide(Steps.layer({
        directory,
        segmentBytesMax: 4096,
        limits: { maxSegments: 2, maxCompressedSegments: 4 }
      })),
      Effect.provide(SimulatedDisk.layer({ seed: 3 }))
    ))
})
