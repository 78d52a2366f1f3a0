/** What a process keeps of the recorders that it has opened and closed. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { small, temporaryDirectory, text } from "./fixtures.ts"

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")

/** Bytes in use: of the heap, and of shared and other memory beside it. */
const bytesInUse = Effect.promise(async () => {
  for (let times = 0; times < 5; times++) {
    await setTimeout(10)
    collect()
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return { arrayBuffers, heapUsed }
})

/** Memory goes back to the system in threads of the runtime, some time after a collection: so it is looked at again. */
const looksMax = 100

const mebibyte = 1024 * 1024

describe("a thousand openings and closings", () => {
  it.live(
    "leave nothing behind: the memory of a process stays flat, with a monitor and a thread's ring",
    () =>
      Effect.gen(function*() {
        const directories = yield* Effect.replicateEffect(temporaryDirectory, 4)
        const once = (directory: string) =>
          Effect.gen(function*() {
            const recorder = yield* Recorder
            yield* ThreadAppender.open({ ringBytes: mebibyte })
            yield* recorder.appendDurable(text(1))
          }).pipe(
            Effect.scoped,
            Effect.provide(Layer.fresh(Monitor.layer.pipe(Layer.provideMerge(Wal.layer({ ...small, directory })))))
          )
        // Four logs at a time, for most of an opening is waiting.
        const repeatedly = (times: number) =>
          Effect.forEach(directories, (directory) => Effect.replicateEffect(once(directory), times / 4), {
            concurrency: "unbounded",
            discard: true
          })
        yield* repeatedly(100)
        const before = yield* bytesInUse
        yield* repeatedly(900)
        const grown = Effect.map(bytesInUse, (after) => ({
          arrayBuffers: after.arrayBuffers - before.arrayBuffers,
          heapUsed: after.heapUsed - before.heapUsed
        }))
        const { arrayBuffers, heapUsed } = yield* Effect.repeat(grown, {
          until: (bytes) => bytes.arrayBuffers < 8 * mebibyte && bytes.heapUsed < 8 * mebibyte,
          times: looksMax
        })
        // One arena is 32 KiB and one ring a mebibyte: kept, they would make 900 MiB.
        assert.isBelow(arrayBuffers, 8 * mebibyte)
        assert.isBelow(heapUsed, 8 * mebibyte)
        // Each start would make a file of its own.
        for (const directory of directories) assert.isBelow(readdirSync(directory).length, 16)
      }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)),
    300_000
  )
})
