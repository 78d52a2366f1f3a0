/**
 * The three queues between whoever writes segments and the maintainer: segments to persist, to freeze and to free. Each is
 * a service whose value is a `TaskQueue`; each lies in shared memory that a worker thread can attach to.
 *
 * When the scope of a queue's layer closes the queue is shut down, so whoever still waits at it, in whatever thread, goes
 * on. Draining comes before that and is the maintainer's.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TaskQueue from "./TaskQueue.ts"

/**
 * How many tasks each queue holds: what the first implementation of this design ran with.
 *
 * @since 0.1.0
 * @category constants
 */
export const capacities = { persist: 128, freeze: 128, free: 512 } as const

/**
 * How many consumers (workers, and restarted ones under the same number) each queue knows.
 *
 * @since 0.1.0
 * @category constants
 */
export const consumersMax = 64

/** Always shared: whether the maintainer is a fiber or a thread is then nobody else's concern. */
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
 * Durable segments that are to be compressed.
 *
 * @since 0.1.0
 * @category services
 */
export class SegmentsToFreeze extends Context.Service<SegmentsToFreeze, TaskQueue.TaskQueue>()(
  "effect-wal/shared/SegmentsToFreeze"
) {}

/**
 * Cold segments that are to be deleted.
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
 * The three queues, for this thread and those that attach to them.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { SegmentQueues, TaskQueue } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   // A writer of one's own offers its finished files; the maintainer takes them from there.
 *   const toPersist = yield* SegmentQueues.SegmentsToPersist
 *   yield* TaskQueue.offer(toPersist, { segmentIndex: 0, slot: -1, bytes: 4096 })
 *   yield* Console.log(TaskQueue.sizeUnsafe(toPersist)) // => 1
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(SegmentQueues.layer)))
 * ```
 */
export const layer: Layer.Layer<SegmentQueues> = Layer.mergeAll(
  Layer.effect(SegmentsToPersist, makeQueue(capacities.persist)),
  Layer.effect(SegmentsToFreeze, makeQueue(capacities.freeze)),
  Layer.effect(SegmentsToFree, makeQueue(capacities.free))
)

/**
 * Where the three queues lie. Can be posted to a worker thread, which then provides `layerAttached`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentQueuesMemory {
  readonly persist: TaskQueue.TaskQueueMemory
  readonly freeze: TaskQueue.TaskQueueMemory
  readonly free: TaskQueue.TaskQueueMemory
}

/**
 * Where the three queues of this context lie.
 *
 * @since 0.1.0
 * @category accessors
 */
export const memory: Effect.Effect<SegmentQueuesMemory, never, SegmentQueues> = Effect.gen(function*() {
  return {
    persist: (yield* SegmentsToPersist).memory,
    freeze: (yield* SegmentsToFreeze).memory,
    free: (yield* SegmentsToFree).memory
  }
})

/**
 * The three queues that another thread has made, as consumer number `consumer`. Closing this layer's scope leaves them as
 * they are.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttached = (memory: SegmentQueuesMemory, consumer: number): Layer.Layer<SegmentQueues> =>
  Layer.mergeAll(
    Layer.effect(SegmentsToPersist, TaskQueue.attach(memory.persist, consumer)),
    Layer.effect(SegmentsToFreeze, TaskQueue.attach(memory.freeze, consumer)),
    Layer.effect(SegmentsToFree, TaskQueue.attach(memory.free, consumer))
  )
