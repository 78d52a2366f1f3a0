/** The consumer of the ring suite, in a thread of its own. */
import type { MessagePort } from "node:worker_threads"
import { parentPort, workerData } from "node:worker_threads"
import * as TaskRing from "../../src/shared/TaskRing.ts"

/** `seen` counts what was taken. */
export type RingData =
  | { readonly kind: "ring"; readonly buffer: SharedArrayBuffer; readonly seen: Int32Array }
  | { readonly kind: "port"; readonly port: MessagePort; readonly seen: Int32Array }

const data: RingData = workerData
const parent = parentPort
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parent?.postMessage("ready")

if (data.kind === "port") {
  data.port.on("message", () => Atomics.add(data.seen, 0, 1))
} else {
  const ring = TaskRing.attach(data.buffer, 0)
  const out = new TaskRing.TaskRecord()
  let count = 0
  while (!TaskRing.isShutDownUnsafe(ring)) {
    // The count is published whenever the ring was found empty, so that publishing does not slow the taking.
    while (TaskRing.pollUnsafe(ring, 0, out)) {
      TaskRing.completeUnsafe(ring, 0)
      count += 1
    }
    if (count > 0) {
      Atomics.add(data.seen, 0, count)
      count = 0
    }
  }
}
