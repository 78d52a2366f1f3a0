/**
 * A consumer in a worker thread: recovers the claim of its predecessor, then polls, accounts for and completes tasks until
 * the ring has ended and is empty.
 */
import { workerData } from "node:worker_threads"
import * as TaskRing from "../../src/shared/TaskRing.ts"
import { type ConsumerData, countTask } from "./ringAccounts.ts"

const data: ConsumerData = workerData
const ring = TaskRing.attach(data.buffer, 0)
const out = new TaskRing.TaskRecord()

const account = () => {
  countTask(data, out)
  TaskRing.completeUnsafe(ring, data.consumer)
}

const work = (): void => {
  if (TaskRing.claimUnsafe(ring, data.consumer, out)) account()
  const pause = new Int32Array(new SharedArrayBuffer(4))
  let idle = 0
  while (true) {
    const isEnded = TaskRing.isEndedUnsafe(ring)
    if (TaskRing.pollUnsafe(ring, data.consumer, out)) {
      idle = 0
      account()
    } else if (isEnded) {
      return
    } else if (++idle > 100) {
      Atomics.wait(pause, 0, 0, 0.05)
    }
  }
}

work()
