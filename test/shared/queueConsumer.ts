/** A worker that takes and completes every task of a queue, and then reports which tasks these were. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { parentPort, workerData } from "node:worker_threads"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"

const taken: Array<number> = []
parentPort?.on("message", () => {}) // keeps the event loop alive: a doorbell does not

const program = Effect.gen(function*() {
  const queue = yield* TaskQueue.attach(workerData, 1)
  while (true) {
    const task = yield* TaskQueue.take(queue)
    taken.push(task.segmentIndex)
    yield* TaskQueue.complete(queue)
  }
}).pipe(Effect.catchIf(Cause.isDone, () => Effect.sync(() => parentPort?.postMessage(taken, []))))

void Effect.runPromise(program)
