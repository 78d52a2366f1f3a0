/**
 * `node --expose-gc openings.js N` opens and closes N recorders, after a tenth as many to begin with, and prints what is
 * left of them as JSON: how many arenas and rings are still there, by how many bytes the heap has grown, and how many
 * files a directory has at most. A process of its own, for what other tests keep would count.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { readdirSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { SegmentArena } from "../../src/shared/SegmentArena.ts"
import { small, temporaryDirectory, text } from "./fixtures.ts"

const arenas: Array<WeakRef<object>> = []
const rings: Array<WeakRef<object>> = []

const once = (directory: string) =>
  Effect.gen(function*() {
    arenas.push(new WeakRef((yield* SegmentArena).buffer))
    rings.push(new WeakRef((yield* ThreadAppender.open()).buffer))
    yield* (yield* Recorder).appendDurable(text(1))
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(Monitor.layer.pipe(Layer.provideMerge(Wal.layer({ ...small, directory })))))
  )

/** Bytes of the heap, after everything was collected that nobody holds. */
const heapBytes = Effect.promise(async () => {
  for (let times = 0; times < 5; times++) {
    await setTimeout(10)
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
})

const left = (references: ReadonlyArray<WeakRef<object>>): number =>
  references.filter((reference) => reference.deref() !== undefined).length

const measured = Effect.gen(function*() {
  const openings = Number(process.argv[2])
  const directories = yield* Effect.replicateEffect(temporaryDirectory, 4)
  // Four logs at a time, for most of an opening is waiting.
  const repeatedly = (times: number) =>
    Effect.forEach(directories, (directory) => Effect.replicateEffect(once(directory), times / directories.length), {
      concurrency: "unbounded",
      discard: true
    })
  yield* repeatedly(openings / 10)
  const before = yield* heapBytes
  yield* repeatedly(openings)
  const heapBytesGrown = (yield* heapBytes) - before
  const filesMax = Math.max(...directories.map((directory) => readdirSync(directory).length))
  return { openings: rings.length, arenas: left(arenas), rings: left(rings), heapBytesGrown, filesMax }
}).pipe(Effect.scoped, Effect.provide(NodeDisk.layer), Effect.provide(Logger.layer([])))

process.stdout.write(`${JSON.stringify(await Effect.runPromise(measured))}\n`)
