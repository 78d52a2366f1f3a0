/** A thread that appends an event of each size, tells why one was refused, and then commits. */
import * as Effect from "effect/Effect"
import { parentPort, workerData } from "node:worker_threads"
import * as ThreadAppender from "../../src/recorder/ThreadAppender.ts"
import type { AppenderMemory } from "../../src/recorder/ThreadAppender.ts"

const data: { readonly memory: AppenderMemory; readonly sizes: ReadonlyArray<number> } = workerData
const appender = ThreadAppender.attach(data.memory)
// Waiting at a doorbell does not keep a thread alive; a listener does.
parentPort?.on("message", () => {})

const told = await Effect.runPromise(
  Effect.forEach(
    [...data.sizes.map((size) => appender.append(new Uint8Array(size).fill(1))), appender.commit],
    (step) => Effect.match(step, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "done" })
  )
)
parentPort?.postMessage(told)
parentPort?.close()
