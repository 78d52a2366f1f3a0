/**
 * An application that is looked at while it records, and whose directory a second recorder wants. `monitored.ts
 * DIRECTORY`
 */
import { Monitor, NodeDisk, Wal } from "effect-wal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

class Words extends Wal.Service<Words>()("consumer/Words") {}

const directory = process.argv[2] ?? "./log"

const program = Effect.gen(function*() {
  yield* Words.use(({ appendDurable }) => appendDurable(Buffer.from("hello")))
  const report = yield* Monitor.read(directory)
  const second = yield* Effect.flip(Effect.provide(Words, Layer.fresh(Words.layer({ directory }))))
  return { durable: report?.positions.durable, second: second._tag === "DiskError" ? second.reason._tag : second._tag }
})

const WordsLive = Monitor.layer.pipe(Layer.provide(Words.parts), Layer.provideMerge(Words.layerWorker({ directory })))

console.log(
  JSON.stringify(await Effect.runPromise(program.pipe(Effect.provide(WordsLive), Effect.provide(NodeDisk.layer))))
)
