import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { Worker } from "node:worker_threads"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { RecorderError } from "../../src/recorder/RecorderError.ts"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { open, quiet, settle, simulated } from "../maintainer/maintaining.ts"
import { layers, recording, replayed, small, temporaryDirectory } from "./fixtures.ts"

/** What a thread was told that appended events of these sizes, and committed. */
const sending = (memory: ThreadAppender.AppenderMemory, sizes: ReadonlyArray<number>) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const worker = new Worker(new URL("./sizesThread.ts", import.meta.url), { workerData: { memory, sizes } })
    worker.once("message", (told: ReadonlyArray<string>) => resume(Effect.succeed(told)))
    worker.once("error", (error) => resume(Effect.die(error)))
    return Effect.promise(() => worker.terminate())
  }).pipe(Effect.timeoutOrElse({
    duration: "30 seconds",
    orElse: () => Effect.die(new Error("the sender was told nothing"))
  }))

const thread = (memory: ThreadAppender.AppenderMemory, name: string, events: number) =>
  Effect.callback<string>((resume) => {
    const url = new URL("./appenderThread.ts", import.meta.url)
    const worker = new Worker(url, { workerData: { memory, name, events } })
    worker.once("message", (message: string) => resume(Effect.succeed(message)))
    worker.once("error", (error) => resume(Effect.die(error)))
  })

describe("ThreadAppender", () => {
  it.live("records what several threads append, each in its order, and tells each when it is durable", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const events = 5000
      yield* recording(
        Layer.provide(Wal.layer({ directory, ...small }), NodeDisk.layer),
        (recorder) =>
          Effect.scoped(Effect.gen(function*() {
            // A ring much smaller than what goes through it, so the threads wait for room too.
            const a = yield* ThreadAppender.open({ ringBytes: 4096 })
            const b = yield* ThreadAppender.open({ ringBytes: 65_536 })
            const said = yield* Effect.all([thread(a, "a", events), thread(b, "b", events)], { concurrency: 2 })
            assert.deepStrictEqual(said, ["committed", "committed"])
            assert.strictEqual((yield* recorder.positions).durable, 2 * events)
          }))
      )
      const texts = (yield* replayed(directory)).map(([, text]) => text)
      assert.strictEqual(texts.length, 2 * events)
      for (const name of ["a", "b"]) {
        const own = texts.filter((text) => text.startsWith(name))
        assert.deepStrictEqual(own, Array.from({ length: events }, (_, i) => `${name} ${i + 1}`))
      }
    }))

  it.live("refuses an event that its ring could never hold", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(Layer.provide(Wal.layer({ directory, ...small }), NodeDisk.layer), () =>
        Effect.scoped(Effect.gen(function*() {
          const appender = ThreadAppender.attach(yield* ThreadAppender.open({ ringBytes: 4096 }))
          const error = yield* Effect.flip(appender.append(new Uint8Array(3000)))
          assert.strictEqual(error.reason._tag, "TooLarge")
          assert.include(error.message, "raise ringBytes (3000 bytes, at most ")
          yield* appender.append(new Uint8Array(100))
          yield* appender.commit
        })))
      assert.strictEqual((yield* replayed(directory)).length, 1)
    }))

  it.live("still appends what was in the ring when its scope closes", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(Layer.provide(Wal.layer({ directory, ...small }), NodeDisk.layer), () =>
        Effect.scoped(Effect.gen(function*() {
          const appender = ThreadAppender.attach(yield* ThreadAppender.open())
          assert.isTrue(appender.appendUnsafe(Buffer.from("last words")))
        })))
      assert.deepStrictEqual(yield* replayed(directory), [[1, "last words"]])
    }))
})

describe.each(layers)("an event that the recorder cannot take (%s)", (_, layer) => {
  const sent = Effect.fnUntraced(function*(
    options: Partial<Wal.WalOptions>,
    ringBytes: number,
    sizes: ReadonlyArray<number>
  ) {
    const directory = yield* temporaryDirectory
    const told = yield* recording(
      Layer.provide(layer({ directory, ...small, ...options }), NodeDisk.layer),
      () => Effect.scoped(Effect.flatMap(ThreadAppender.open({ ringBytes }), (memory) => sending(memory, sizes)))
    )
    return { told, recorded: (yield* replayed(directory)).map(([, text]) => text.length) }
  })

  it.live("is refused at once when it is larger than a block, and stops no event after it", () =>
    Effect.gen(function*() {
      const { recorded, told } = yield* sent({}, 65_536, [10, 8189, 20, 8188, 30])
      assert.deepStrictEqual(told, ["done", "TooLarge", "done", "done", "done", "done"])
      assert.deepStrictEqual(recorded, [10, 20, 8188, 30])
    }))

  it.live("is refused at once when it has another size than all events have", () =>
    Effect.gen(function*() {
      const { recorded, told } = yield* sent({ eventSize: 16 }, 4096, [16, 15, 17, 16])
      assert.deepStrictEqual(told, ["done", "WrongSize", "WrongSize", "done", "done"])
      assert.deepStrictEqual(recorded, [16, 16])
    }))

  it.live("is none of the size that all events have, however small the ring is asked for", () =>
    Effect.gen(function*() {
      const { recorded, told } = yield* sent({ eventSize: 4000 }, 1, [4000, 4000, 4000, 4000])
      assert.deepStrictEqual(told, ["done", "done", "done", "done", "done"])
      assert.deepStrictEqual(recorded, [4000, 4000, 4000, 4000])
    }))
})

describe("ThreadAppender on a simulated disk", () => {
  const directory = "/wal"

  const start = Effect.fnUntraced(function*(options: Partial<Wal.WalOptions>) {
    const services = yield* Layer.build(Layer.fresh(simulated()))
    const layer = Wal.layer({ directory, segmentBytesMax: 1024, slots: 2, ...options })
    const { close, context } = yield* open(Layer.provide(layer, Layer.succeedContext(services)))
    yield* settle
    return {
      close,
      disk: Context.get(services, SimulatedDisk.SimulatedDisk),
      recorder: Context.get(context, Recorder),
      opened: Effect.map(Effect.provideContext(ThreadAppender.open(), context), ThreadAppender.attach),
      refused: Effect.map(
        Context.get(context, Telemetry).snapshot,
        ({ counters }) => counters.eventsDropped + counters.eventsRefused
      )
    }
  })

  it.effect("an event that is refused after it has come in is taken, reported once, and counted", () =>
    Effect.gen(function*() {
      const { close, disk, opened, recorder, refused } = yield* start({ strategy: "dropping" })
      const appender = yield* opened
      yield* disk.failAlways("write", "Full")
      while (recorder.writer.appendUnsafe(new Uint8Array(100)) > 0) { /* Until every slot is full. */ }
      const before = recorder.writer.lastEventId
      assert.isTrue(appender.appendUnsafe(new Uint8Array(200)))
      assert.isTrue(appender.appendUnsafe(new Uint8Array(300)))
      appender.flushUnsafe()
      yield* settle
      assert.strictEqual(yield* refused, 2)
      yield* disk.heal
      yield* TestClock.adjust(2000)
      yield* appender.append(new Uint8Array(100))
      const commit = yield* Effect.forkChild(Effect.flip(appender.commit))
      yield* settle
      const error = yield* Fiber.join(commit)
      assert.strictEqual(error.reason._tag, "Backpressure")
      assert.include(error.message, "2 events of this appender were refused")
      const again = yield* Effect.forkChild(appender.commit)
      yield* settle
      yield* Fiber.join(again)
      assert.strictEqual(recorder.writer.lastEventId, before + 1)
      assert.strictEqual(yield* refused, 2)
      yield* close
    }).pipe(Effect.scoped, quiet))

  it.effect("a commit that waits does not keep the events after it in the ring", () =>
    Effect.gen(function*() {
      const { close, opened, recorder } = yield* start({ commit: "onRotate" })
      const appender = yield* opened
      yield* appender.append(new Uint8Array(100))
      const commit = yield* Effect.forkChild(appender.commit)
      yield* settle
      assert.isUndefined(commit.pollUnsafe())
      for (let count = 0; count < 20; count++) yield* appender.append(new Uint8Array(100))
      appender.flushUnsafe()
      yield* settle
      assert.strictEqual(recorder.writer.lastEventId, 21)
      yield* Fiber.join(commit)
      yield* close
    }).pipe(Effect.scoped, quiet))

  it.effect("refuses what comes after its scope has closed, and answers the commits that are still open", () =>
    Effect.gen(function*() {
      const { close, opened, recorder } = yield* start({ commit: "onRotate" })
      const scope = yield* Scope.make()
      const appender = yield* Scope.provide(opened, scope)
      yield* appender.append(new Uint8Array(100))
      const commit = yield* Effect.forkChild(appender.commit)
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      yield* Fiber.join(closing)
      yield* Fiber.join(commit)
      assert.strictEqual((yield* Effect.flip(appender.append(new Uint8Array(100)))).reason._tag, "Closed")
      assert.throws(() => appender.appendUnsafe(new Uint8Array(100)), RecorderError)
      assert.strictEqual((yield* Effect.flip(appender.commit)).reason._tag, "Closed")
      assert.strictEqual(recorder.writer.lastEventId, 1)
      yield* close
    }).pipe(Effect.scoped, quiet))
})

describe("the end of an appender", () => {
  /** A recorder whose every event waits for a slot until `makeRoom` was called. */
  const waiting = Effect.gen(function*() {
    const room = yield* Deferred.make<void>()
    const recorded: Array<number> = []
    const fake = {
      writer: { appendUnsafe: () => 0, eventBytesMin: 0, eventBytesMax: 100 },
      append: (event: Uint8Array) =>
        Effect.andThen(Deferred.await(room), Effect.suspend(() => Effect.succeed(recorded.push(event[0]!)))),
      commit: Effect.succeed(0),
      flush: Effect.succeed(0)
    }
    // What an appender does not ask a recorder for is left out.
    const recorder = fake as unknown as Recorder["Service"]
    return { recorder, recorded, makeRoom: Deferred.succeed(room, undefined) }
  })

  it.live.each([3, 4, 5, 7])(
    "records each event once, between whatever operations of its fiber it comes (%s)",
    (operations) =>
      Effect.gen(function*() {
        for (let steps = 0; steps < 60; steps++) {
          const { makeRoom, recorded, recorder } = yield* waiting
          const scope = yield* Scope.make()
          const memory = yield* ThreadAppender.open({ ringBytes: 4096 }).pipe(
            Effect.provideService(Recorder, recorder),
            // A fiber gives way after so many operations, so it can be interrupted there.
            Effect.provideService(Scheduler.MaxOpsBeforeYield, operations),
            Scope.provide(scope)
          )
          const appender = ThreadAppender.attach(memory)
          for (const first of [1, 2, 3]) assert.isTrue(appender.appendUnsafe(new Uint8Array([first])))
          appender.flushUnsafe()
          yield* Effect.repeat(Effect.yieldNow, { times: 50 })
          yield* makeRoom
          yield* Effect.repeat(Effect.yieldNow, { times: steps })
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(recorded, [1, 2, 3], `closed after ${steps} steps`)
        }
      })
  )
})
