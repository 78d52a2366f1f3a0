import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Worker } from "node:worker_threads"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { recording, replayed, small, temporaryDirectory } from "./fixtures.ts"

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
          assert.strictEqual(error.reason, "TooLarge")
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
