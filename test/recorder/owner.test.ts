/** What happens to the fiber that holds a log open when the log's maintainer has died for good. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { small, temporaryDirectory } from "./fixtures.ts"

class Events extends Wal.Service<Events>()("test/Events") {}

const quiet = Layer.succeed(References.MinimumLogLevel, "None")

/** Its maintainer dies as soon as it makes a file. */
const inFiber = (root: string) =>
  Events.layer({ ...small, directory: join(root, "dying"), restartsMax: 1 }).pipe(
    Layer.provide(Layer.effect(
      Disk,
      Effect.map(Disk, (disk) => ({
        ...disk,
        open: (path, mode) =>
          path.includes(".wal.tmp") ? Effect.die(new Error("the driver is broken")) : disk.open(path, mode)
      }))
    ))
  )

/** Its maintainer's thread dies as it starts. */
const inThread = (root: string) =>
  Events.layerWorker({
    ...small,
    directory: join(root, "dying"),
    restartsMax: 1,
    threadModule: new URL("../maintainer/stillbornThread.ts", import.meta.url)
  })

const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeout(effect, "60 seconds")

describe.each([["fiber", inFiber], ["thread", inThread]] as const)(
  "the owner of a log whose maintainer is down (%s)",
  (layer, dying) => {
    it.live("is interrupted when its program waits for something else", () =>
      Effect.gen(function*() {
        const root = yield* temporaryDirectory
        const program = yield* Effect.forkChild(
          Effect.provide(Effect.never, dying(root)).pipe(Effect.provide([NodeDisk.layer, quiet]))
        )
        const exit = yield* inTime(Fiber.await(program))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      }).pipe(Effect.scoped))

    // What follows does not depend on where the maintainer ran, and takes seconds.
    if (layer === "thread") return

    it.live("is not interrupted when its program ends by the error: it may open the log again", () =>
      Effect.gen(function*() {
        const root = yield* temporaryDirectory
        let openings = 0
        const program = Effect.gen(function*() {
          openings += 1
          const { appendDurable } = yield* Events
          return yield* appendDurable(Buffer.from("hello"))
        })
        const error = yield* Effect.suspend(() => Effect.provide(program, Layer.fresh(dying(root)))).pipe(
          Effect.retry({ times: 2 }),
          Effect.flip,
          Effect.provide([NodeDisk.layer, quiet]),
          inTime
        )
        assert.isTrue(error._tag === "RecorderError" && error.reason._tag === "MaintainerDown")
        assert.strictEqual(openings, 3)
        // Longer than an owner has.
        yield* Effect.sleep("1200 millis")
      }).pipe(Effect.scoped))

    it.live("of a runtime, whose fibers come and go, is told by every commit", () =>
      Effect.gen(function*() {
        const root = yield* temporaryDirectory
        const runtime = ManagedRuntime.make(Layer.provide(dying(root), [NodeDisk.layer, quiet]))
        const commit = Events.use(({ appendDurable }) => Effect.flip(appendDurable(Buffer.from("hello"))))
        for (let calls = 0; calls < 2; calls++) {
          const error = yield* inTime(Effect.promise(() => runtime.runPromise(commit)))
          assert.strictEqual(error.reason._tag, "MaintainerDown")
          if (calls === 0) yield* Effect.sleep("1200 millis")
        }
        yield* Effect.promise(() => runtime.dispose())
      }).pipe(Effect.scoped))
  }
)

describe("the owner of a log whose maintainer is down, by the clock", () => {
  it.effect("has a second to close the log", () =>
    Effect.gen(function*() {
      const launched = yield* Effect.forkChild(
        Layer.launch(inFiber("/")).pipe(Effect.provide([SimulatedDisk.layer({ seed: 1 }), quiet]))
      )
      // Two deaths, 10 ms apart.
      yield* Effect.repeat(TestClock.adjust(1), { times: 500 })
      assert.isUndefined(launched.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.await(launched)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }))
})
