import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SegmentQueues from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"

const { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } = SegmentQueues
const all = Effect.all([SegmentsToPersist, SegmentsToFreeze, SegmentsToFree])

describe("SegmentQueues", () => {
  it.effect("are three queues with their capacities, which other threads can attach to", () =>
    Effect.gen(function*() {
      const queues = yield* all
      assert.deepEqual(queues.map((queue) => queue.ring.capacity), [128, 128, 512])
      assert.isTrue(queues.every((queue) => queue.memory.isShared))
      assert.strictEqual(new Set(queues.map((queue) => queue.memory.buffer)).size, 3)
    }).pipe(Effect.provide(SegmentQueues.layer)))

  it.effect("are the same queues for who attaches to their memory", () =>
    Effect.gen(function*() {
      const [persist, freeze, free] = yield* all
      const memory = yield* SegmentQueues.memory
      TaskQueue.offerUnsafe(persist, { segmentIndex: 1, slot: 0, bytes: 1 })
      TaskQueue.offerUnsafe(freeze, { segmentIndex: 2, bytes: 1 })
      TaskQueue.offerUnsafe(free, { segmentIndex: 3, bytes: 1 })
      const seen = yield* Effect.gen(function*() {
        const queues = yield* all
        assert.deepEqual(queues.map((queue) => queue.consumer), [5, 5, 5])
        return yield* Effect.forEach(queues, TaskQueue.take)
      }).pipe(Effect.provide(SegmentQueues.layerAttached(memory, 5)))
      assert.deepEqual(seen.map((task) => task.segmentIndex), [1, 2, 3])
      assert.isTrue(yield* TaskQueue.offer(persist, { segmentIndex: 4, slot: 0, bytes: 1 }))
    }).pipe(Effect.provide(SegmentQueues.layer)))

  it.effect("are shut down when their scope closes, so nobody waits for ever", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(SegmentQueues.layer, scope)
      const [persist] = yield* Effect.provide(all, context)
      const taker = yield* Effect.forkChild(TaskQueue.take(persist), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(taker)))
    }))
})
