/**
 * The three queues between the writer of segments and the maintainer: segments to persist, to freeze and to free. Each
 * is a service whose value is a `TaskQueue`, in shared memory to which a worker thread can attach.
 *
 * When the scope of a queue's layer closes, the queue is shut down. So fibers that still wait at it, in any thread,
 * stop waiting. The maintainer drains the queues before that.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TaskQueue from "./TaskQueue.ts"

/** The capacity of each queue in tasks: the sizes with which the first implementation of this design ran. */
export const capacities = { persist: 128, freeze: 128, free: 512 } as const

/** The largest number of consumers of each queue. A restarted worker keeps the number of its predecessor. */
const consumersMax = 64

/** Makes a queue that is always shared, so no other code depends on whether the maintainer is a fiber or a thread. */
const makeQueue = (capacity: number) =>
  Effect.acquireRelease(TaskQueue.make({ capacity, consumersMax, isShared: true }), TaskQueue.shutdown)

/**
 * Segments that are full and must become durable.
 *
 * @since 0.1.0
 * @category services
 */
export class SegmentsToPersist extends Context.Service<SegmentsToPersist, TaskQueue.TaskQueue>()(
  "effect-wal/shared/SegmentsToPersist"
) {}

/**
 * Durable segments that must be compressed.
 *
 * @since 0.1.0
 * @category services
 */
export class SegmentsToFreeze extends Context.Service<SegmentsToFreeze, TaskQueue.TaskQueue>()(
  "effect-wal/shared/SegmentsToFreeze"
) {}

/**
 * Cold segments that must be deleted.
 *
 * @since 0.1.0
 * @category services
 */
export class SegmentsToFree extends Context.Service<SegmentsToFree, TaskQueue.TaskQueue>()(
  "effect-wal/shared/SegmentsToFree"
) {}

/**
 * The three services.
 *
 * @since 0.1.0
 * @category services
 */
export type SegmentQueues = SegmentsToPersist | SegmentsToFreeze | SegmentsToFree

/**
 * Makes the three queues, for this thread and those that attach to them. Every place where this layer is built has
 * queues of its own.
 *
 * **Example** (Offering a finished file)
 *
 * ```ts
 * import { Console, Effect, Queue } from "effect"
 * import { SegmentQueues, TaskQueue } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   // Your own writer offers its finished files; the maintainer takes them from the queue.
 *   const toPersist = yield* SegmentQueues.SegmentsToPersist
 *   yield* TaskQueue.offer(toPersist, { segmentIndex: 0, bytes: 4096 })
 *   const dequeue = yield* TaskQueue.toDequeue(toPersist)
 *   yield* Console.log((yield* Queue.take(dequeue)).segmentIndex) // => 0
 * })
 *
 * await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(SegmentQueues.layer)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<SegmentQueues> = Layer.fresh(Layer.mergeAll(
  Layer.effect(SegmentsToPersist, makeQueue(capacities.persist)),
  Layer.effect(SegmentsToFreeze, makeQueue(capacities.freeze)),
  Layer.effect(SegmentsToFree, makeQueue(capacities.free))
))

/** The memory of the three queues. Can be posted to a worker thread, which then provides `layerAttached`. */
export interface SegmentQueuesMemory {
  readonly persist: TaskQueue.TaskQueueMemory
  readonly freeze: TaskQueue.TaskQueueMemory
  readonly free: TaskQueue.TaskQueueMemory
}

/** Gives the memory of the three queues of this context. */
export const memory: Effect.Effect<SegmentQueuesMemory, never, SegmentQueues> = Effect.gen(function*() {
  return {
    persist: (yield* SegmentsToPersist).memory,
    freeze: (yield* SegmentsToFreeze).memory,
    free: (yield* SegmentsToFree).memory
  }
})

/**
 * Attaches to the three queues that another thread has made, as consumer number `consumer`. Closing this layer's scope
 * does not shut them down.
 */
export const layerAttached = (memory: SegmentQueuesMemory, consumer: number): Layer.Layer<SegmentQueues> =>
  Layer.mergeAll(
    Layer.effect(SegmentsToPersist, TaskQueue.attach(memory.persist, consumer)),
    Layer.effect(SegmentsToFreeze, TaskQueue.attach(memory.freeze, consumer)),
    Layer.effect(SegmentsToFree, TaskQueue.attach(memory.free, consumer))
  )
