/** A thread that appends numbered events and commits now and then. */
import * as Effect from "effect/Effect"
import { parentPort, workerData } from "node:worker_threads"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import type { AppenderMemory } from "../../src/recorder/ThreadAppender.ts"

const data: { readonly memory: AppenderMemory; readonly name: string; readonly events: number } = workerData
const appender = ThreadAppender.attach(data.memory)
// Waiting at a doorbell does not keep a thread alive; a listener does.
parentPort?.on("message", () => {})

await Effect.runPromise(Effect.gen(function*() {
  for (let i = 1; i <= data.events; i++) {
    yield* appender.append(Buffer.from(`${data.name} ${i}`))
    if (i % 1000 === 0) yield* appender.commit
  }
  yield* appender.commit
}))
parentPort?.postMessage("committed")
parentPort?.close()
