/** The ring of tasks: on one thread beside Effect's Queue, across threads beside a MessagePort. */
import { MessageChannel, Worker } from "node:worker_threads"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"
import type { RingData } from "./ring.worker.ts"

const metrics: ReadonlyArray<Metric> = [{ name: "items", unit: "M items/s", better: "more" }]
const measured = (items: number, startedMillis: number) => ({
  measures: { items: items / (performance.now() - startedMillis) / 1000 }
})
/** So many are offered before they are taken. */
const batch = 64
const itemsOf = (quick: boolean): number => quick ? 64_000 : 6_400_000

const ringHere: Contestant = {
  name: "TaskRing",
  note: "offerUnsafe, pollUnsafe and completeUnsafe, 64 at a time",
  open: async ({ quick }) => {
    const TaskRing = await import("../../src/shared/TaskRing.ts")
    const buffer = new SharedArrayBuffer(TaskRing.bytesNeeded(128, 1))
    const ring = TaskRing.makeUnsafe(buffer, 0, { capacity: 128, consumersMax: 1 })
    const out = new TaskRing.TaskRecord()
    return {
      round: async () => {
        let sum = 0
        const started = performance.now()
        for (let at = 0; at < itemsOf(quick); at += batch) {
          for (let i = 0; i < batch; i++) {
            if (!TaskRing.offerUnsafe(ring, at + i, 1, 4096, 1e12)) throw new Error("the ring has room")
          }
          for (let i = 0; i < batch; i++) {
            if (!TaskRing.pollUnsafe(ring, 0, out)) throw new Error("the ring has a task")
            sum += out.bytes
            TaskRing.completeUnsafe(ring, 0)
          }
        }
        if (sum !== itemsOf(quick) * 4096) throw new Error("a task was lost")
        return measured(itemsOf(quick), started)
      },
      close: async () => {}
    }
  }
}

const queueHere: Contestant = {
  name: "TaskQueue",
  note: "the ring with its doorbells: offerUnsafe, pollUnsafe, completeUnsafe, 64 at a time",
  open: async ({ quick }) => {
    const Effect = await import("effect/Effect")
    const TaskQueue = await import("../../src/shared/TaskQueue.ts")
    const { TaskRecord } = await import("../../src/shared/TaskRing.ts")
    const queue = await Effect.runPromise(TaskQueue.make({ capacity: 128, consumersMax: 1, isShared: true }))
    const out = new TaskRecord()
    const task = { segmentIndex: 1, slot: 1, bytes: 4096 }
    return {
      round: async () => {
        const started = performance.now()
        for (let at = 0; at < itemsOf(quick); at += batch) {
          for (let i = 0; i < batch; i++) TaskQueue.offerUnsafe(queue, task)
          for (let i = 0; i < batch; i++) {
            if (!TaskQueue.pollUnsafe(queue, out)) throw new Error("the queue has a task")
            TaskQueue.completeUnsafe(queue)
          }
        }
        return measured(itemsOf(quick), started)
      },
      close: async () => {}
    }
  }
}

const effectQueue: Contestant = {
  name: "Effect's Queue, unsafe calls",
  note: "Queue.offerUnsafe of a task object made for each, and Queue.takeUnsafe, 64 at a time",
  open: async ({ quick }) => {
    const Effect = await import("effect/Effect")
    const Queue = await import("effect/Queue")
    interface Item {
      readonly segmentIndex: number
      readonly bytes: number
    }
    const queue = await Effect.runPromise(Queue.bounded<Item>(128))
    return {
      round: async () => {
        let sum = 0
        const started = performance.now()
        for (let at = 0; at < itemsOf(quick); at += batch) {
          for (let i = 0; i < batch; i++) Queue.offerUnsafe(queue, { segmentIndex: at + i, bytes: 4096 })
          for (let i = 0; i < batch; i++) {
            const exit = Queue.takeUnsafe(queue)
            if (exit === undefined || exit._tag === "Failure") throw new Error("the queue has an item")
            sum += exit.value.bytes
          }
        }
        if (sum !== itemsOf(quick) * 4096) throw new Error("an item was lost")
        return measured(itemsOf(quick), started)
      },
      close: async () => {}
    }
  }
}

const effectQueueSafe: Contestant = {
  name: "Effect's Queue, Effect calls",
  note: "yield* Queue.offer, yield* Queue.take, 64 at a time",
  open: async ({ quick }) => {
    const Effect = await import("effect/Effect")
    const Queue = await import("effect/Queue")
    const queue = await Effect.runPromise(Queue.bounded<number>(128))
    const items = itemsOf(quick) / 10
    return {
      round: async () => {
        const started = performance.now()
        await Effect.runPromise(Effect.gen(function*() {
          for (let at = 0; at < items; at += batch) {
            for (let i = 0; i < batch; i++) yield* Queue.offer(queue, i)
            for (let i = 0; i < batch; i++) yield* Queue.take(queue)
          }
        }))
        return measured(items, started)
      },
      close: async () => {}
    }
  }
}

const ringAcross: Contestant = {
  name: "TaskRing",
  note: "capacity 1,024; this thread offers, a worker polls and completes, both spinning",
  open: async ({ quick }) => {
    const TaskRing = await import("../../src/shared/TaskRing.ts")
    const buffer = new SharedArrayBuffer(TaskRing.bytesNeeded(1024, 1))
    const ring = TaskRing.makeUnsafe(buffer, 0, { capacity: 1024, consumersMax: 1 })
    const seen = new Int32Array(new SharedArrayBuffer(4))
    const workerData: RingData = { kind: "ring", buffer, seen }
    const worker = new Worker(new URL("./ring.worker.ts", import.meta.url), { workerData })
    await new Promise((resolve) => worker.once("message", resolve))
    return {
      round: async () => {
        const items = itemsOf(quick)
        Atomics.store(seen, 0, 0)
        const started = performance.now()
        for (let i = 0; i < items;) {
          if (TaskRing.offerUnsafe(ring, i, 1, 4096, 1e12)) i += 1
        }
        while (Atomics.load(seen, 0) < items);
        return measured(items, started)
      },
      close: async () => {
        TaskRing.shutdownUnsafe(ring)
        await worker.terminate()
      }
    }
  }
}

const messagePort: Contestant = {
  name: "MessagePort",
  note: "postMessage of a task object; what Node offers for objects between threads",
  open: async ({ quick }) => {
    const { port1, port2 } = new MessageChannel()
    const seen = new Int32Array(new SharedArrayBuffer(4))
    const workerData: RingData = { kind: "port", port: port2, seen }
    const worker = new Worker(new URL("./ring.worker.ts", import.meta.url), { workerData, transferList: [port2] })
    await new Promise((resolve) => worker.once("message", resolve))
    return {
      round: async () => {
        const items = itemsOf(quick) / 50
        Atomics.store(seen, 0, 0)
        const started = performance.now()
        for (let i = 0; i < items; i++) {
          port1.postMessage({ segmentIndex: i, slot: 1, bytes: 4096, offeredAtMillis: 1e12 })
        }
        while (Atomics.load(seen, 0) < items) await new Promise((resolve) => setImmediate(resolve))
        return measured(items, started)
      },
      close: async () => {
        port1.close()
        await worker.terminate()
      }
    }
  }
}

export const suite: Suite = {
  name: "ring",
  tables: [
    {
      name: "ring here",
      title: "tasks through a ring on one thread",
      metrics,
      reference: effectQueue.name,
      contestants: [ringHere, queueHere, effectQueue, effectQueueSafe]
    },
    {
      name: "ring across",
      title: "tasks from one thread to another",
      metrics,
      reference: "TaskRing",
      contestants: [ringAcross, messagePort]
    }
  ]
}
