import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Worker } from "node:worker_threads"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"

import * as TaskRing from "../../src/shared/TaskRing.ts"

const task = (segmentIndex: number): TaskQueue.NewTask => ({ segmentIndex, bytes: segmentIndex * 10 })
const tasks = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => task(from + index))
const indices = (taken: Iterable<{ readonly segmentIndex: number }>) => Array.from(taken, (one) => one.segmentIndex)

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })
// Runs every step that is scheduled now, and those that they schedule.
const settle = TestClock.adjust(0)
const isWaiting = (fiber: Fiber.Fiber<unknown, unknown>) => fiber.pollUnsafe() === undefined
const isDoneExit = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) && exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && Cause.isDone(reason.error))
const noListeners = (queue: TaskQueue.TaskQueue) => {
  assert.strictEqual(queue.notEmpty.waiters.size, 0)
  assert.strictEqual(queue.notFull.waiters.size, 0)
}

for (const isShared of [false, true]) {
  const make = (capacity: number) => TaskQueue.make({ capacity, consumersMax: 2, isShared })

  describe(`TaskQueue with ${isShared ? "shared" : "local"} doorbells`, () => {
    it.effect("gives tasks back in order, stamped with the time of the offer", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        yield* TestClock.adjust(5)
        assert.isTrue(yield* TaskQueue.offer(queue, task(1)))
        yield* TestClock.adjust(5)
        assert.isTrue(TaskQueue.offerUnsafe(queue, { segmentIndex: 2, slot: 3, bytes: 2 ** 53 - 1 }))
        assert.strictEqual(yield* TaskQueue.size(queue), 2)
        const first: TaskRing.Task = { segmentIndex: 1, slot: -1, bytes: 10, offeredAtMillis: 5 }
        assert.deepEqual(yield* TaskQueue.take(queue), first)
        assert.deepEqual(
          yield* TaskQueue.poll(queue),
          Option.some({ segmentIndex: 2, slot: 3, bytes: 2 ** 53 - 1, offeredAtMillis: 10 })
        )
        assert.deepEqual(yield* TaskQueue.poll(queue), Option.none())
      }))

    it.effect("refuses a task that is no task", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        assert.throws(() => TaskQueue.offerUnsafe(queue, { ...task(1), segmentIndex: -1 }), /segmentIndex/)
        assert.throws(() => TaskQueue.offerUnsafe(queue, { ...task(1), slot: -1 }), /slot/)
        assert.throws(() => TaskQueue.offerUnsafe(queue, { ...task(1), bytes: 2 ** 53 }), /bytes/)
      }))

    it.effect("takers wait and are served in the order in which they came", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        const takers = yield* Effect.forEach([1, 2, 3], () => fork(TaskQueue.take(queue)))
        yield* settle
        assert.isTrue(takers.every(isWaiting))
        yield* TaskQueue.offerAll(queue, tasks(1, 2))
        yield* settle
        assert.isTrue(isWaiting(takers[2]!))
        TaskQueue.offerUnsafe(queue, task(3))
        const taken = yield* Effect.forEach(takers, Fiber.join)
        assert.deepEqual(indices(taken), [1, 2, 3])
        noListeners(queue)
      }))

    it.effect("offers wait while it is full and are admitted in the order in which they came", () =>
      Effect.gen(function*() {
        const queue = yield* make(2)
        assert.deepEqual(yield* TaskQueue.offerAll(queue, tasks(1, 2)), [])
        assert.isTrue(yield* TaskQueue.isFull(queue))
        assert.isFalse(TaskQueue.offerUnsafe(queue, task(99)))
        const third = yield* fork(TaskQueue.offer(queue, task(3)))
        const more = yield* fork(TaskQueue.offerAll(queue, tasks(4, 6)))
        const seventh = yield* fork(TaskQueue.offer(queue, task(7)))
        yield* settle
        assert.isTrue(isWaiting(third))
        assert.strictEqual(yield* TaskQueue.size(queue), 2)
        const taken: Array<TaskRing.Task> = []
        taken.push(yield* TaskQueue.take(queue))
        assert.isTrue(yield* Fiber.join(third))
        assert.isTrue(isWaiting(more))
        while (taken.length < 7) taken.push(yield* TaskQueue.take(queue))
        assert.deepEqual(indices(taken), [1, 2, 3, 4, 5, 6, 7])
        assert.deepEqual(yield* Fiber.join(more), [])
        assert.isTrue(yield* Fiber.join(seventh))
        noListeners(queue)
      }))

    it.effect("nobody overtakes an offer in line, not even when another thread has just made room", () =>
      Effect.gen(function*() {
        const queue = yield* make(1)
        yield* TaskQueue.offer(queue, task(1))
        const waiting = yield* fork(TaskQueue.offer(queue, task(2)))
        assert.isTrue(TaskRing.pollUnsafe(queue.ring, 1, new TaskRing.TaskRecord())) // the waiter does not know it yet
        assert.isFalse(TaskQueue.offerUnsafe(queue, task(99)))
        const late = yield* fork(TaskQueue.offer(queue, task(3)))
        assert.isTrue(yield* Fiber.join(waiting))
        assert.isTrue(isWaiting(late))
        assert.deepEqual(indices(yield* TaskQueue.takeAll(queue)), [2])
        assert.deepEqual(indices(yield* TaskQueue.takeAll(queue)), [3])
      }))

    it.effect("takeAll waits for one task and takes all; takeUpTo never waits; neither leaves a claim", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        assert.deepEqual(yield* TaskQueue.takeUpTo(queue, 3), [])
        const all = yield* fork(TaskQueue.takeAll(queue))
        yield* settle
        assert.isTrue(isWaiting(all))
        yield* TaskQueue.offer(queue, task(1))
        assert.deepEqual(indices(yield* Fiber.join(all)), [1])
        yield* TaskQueue.offerAll(queue, tasks(2, 5))
        assert.deepEqual(indices(yield* TaskQueue.takeUpTo(queue, 3)), [2, 3, 4])
        assert.deepEqual(yield* TaskQueue.recover(queue), Option.none())
        yield* TaskQueue.offer(queue, task(6))
        assert.deepEqual(indices(yield* TaskQueue.takeAll(queue)), [5, 6])
        assert.deepEqual(yield* TaskQueue.recover(queue), Option.none())
      }))

    it.effect("take and poll leave a claim until complete, one for each consumer", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        const other = TaskQueue.withConsumer(queue, 1)
        yield* TaskQueue.offerAll(queue, tasks(1, 3))
        const first = yield* TaskQueue.take(queue)
        const second = yield* TaskQueue.poll(other)
        assert.deepEqual(yield* TaskQueue.recover(queue), Option.some(first))
        assert.deepEqual(yield* TaskQueue.recover(other), second)
        yield* TaskQueue.complete(queue)
        assert.deepEqual(yield* TaskQueue.recover(queue), Option.none())
        assert.deepEqual(yield* TaskQueue.recover(other), second)
        assert.throws(() => TaskQueue.withConsumer(queue, 2), /consumersMax/)
      }))

    it.effect("ended, it drains, refuses offers, and then fails with Done", () =>
      Effect.gen(function*() {
        const queue = yield* make(2)
        const done = yield* fork(TaskQueue.awaitShutdown(queue))
        yield* TaskQueue.offerAll(queue, tasks(1, 2))
        const waiting = yield* fork(TaskQueue.offer(queue, task(3)))
        assert.isTrue(yield* TaskQueue.end(queue))
        assert.isFalse(yield* TaskQueue.end(queue))
        assert.isFalse(yield* TaskQueue.offer(queue, task(4)))
        assert.deepEqual(yield* TaskQueue.offerAll(queue, tasks(5, 6)), tasks(5, 6))
        assert.isTrue(isWaiting(done))
        const taken = [yield* TaskQueue.take(queue), yield* TaskQueue.take(queue), yield* TaskQueue.take(queue)]
        assert.deepEqual(indices(taken), [1, 2, 3], "an offer that waited before the end is admitted")
        assert.isTrue(yield* Fiber.join(waiting))
        yield* Fiber.join(done)
        assert.isTrue(isDoneExit(yield* Effect.exit(TaskQueue.take(queue))))
        assert.isTrue(isDoneExit(yield* Effect.exit(TaskQueue.takeAll(queue))))
        assert.deepEqual(yield* TaskQueue.poll(queue), Option.none())
        noListeners(queue)
      }))

    it.effect("ended while takers wait, it lets them go with Done", () =>
      Effect.gen(function*() {
        const queue = yield* make(2)
        const takers = yield* Effect.forEach([1, 2], () => fork(TaskQueue.take(queue)))
        yield* settle
        yield* TaskQueue.end(queue)
        for (const taker of takers) assert.isTrue(isDoneExit(yield* Fiber.await(taker)))
        noListeners(queue)
      }))

    it.effect("shut down, it discards its tasks, interrupts takers and refuses offers", () =>
      Effect.gen(function*() {
        const full = yield* make(2)
        yield* TaskQueue.offerAll(full, tasks(1, 2))
        const offers = yield* fork(TaskQueue.offerAll(full, tasks(3, 4)))
        const empty = yield* make(2)
        const taker = yield* fork(TaskQueue.take(empty))
        yield* settle
        assert.isTrue(yield* TaskQueue.shutdown(full))
        assert.deepEqual(yield* Fiber.join(offers), tasks(3, 4))
        assert.isTrue(yield* TaskQueue.shutdown(empty))
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(taker)))
        for (const queue of [full, empty]) {
          assert.isFalse(yield* TaskQueue.shutdown(queue))
          yield* TaskQueue.awaitShutdown(queue)
          assert.strictEqual(yield* TaskQueue.size(queue), 0)
          assert.isFalse(yield* TaskQueue.isFull(queue))
          assert.isFalse(yield* TaskQueue.offer(queue, task(9)))
          const late = yield* fork(TaskQueue.take(queue))
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(late)))
          noListeners(queue)
        }
      }))

    it.effect("an interrupted taker takes nothing, an interrupted offer offers nothing, and nobody listens for them", () =>
      Effect.gen(function*() {
        const queue = yield* make(1)
        const taker = yield* fork(TaskQueue.take(queue))
        yield* settle
        yield* Fiber.interrupt(taker)
        noListeners(queue)
        yield* TaskQueue.offer(queue, task(1))
        const offers = yield* fork(TaskQueue.offer(queue, task(2)))
        yield* settle
        yield* Fiber.interrupt(offers)
        noListeners(queue)
        assert.deepEqual(indices(yield* TaskQueue.takeAll(queue)), [1])
        assert.strictEqual(yield* TaskQueue.size(queue), 0)
      }))

    it.effect("loses no task to a taker that is interrupted at any step of the scheduler", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        for (let steps = 0; steps < 8; steps++) {
          const ways: ReadonlyArray<Effect.Effect<unknown, Cause.Done>> = [
            TaskQueue.take(queue),
            TaskQueue.takeAll(queue),
            TaskQueue.poll(queue)
          ]
          for (const take of ways) {
            const handedOver: Array<unknown> = []
            const taker = yield* fork(Effect.map(take, (taken) => {
              if (!Option.isOption(taken) || Option.isSome(taken)) handedOver.push(taken)
            }))
            yield* TaskQueue.offer(queue, task(steps))
            for (let step = 0; step < steps; step++) yield* Effect.yieldNow
            yield* Fiber.interrupt(taker)
            const left = yield* TaskQueue.takeUpTo(queue, 4)
            assert.strictEqual(handedOver.length + left.length, 1)
          }
        }
      }))

    it.effect("loses no task when the producer that a take lets go interrupts the taker", () =>
      Effect.gen(function*() {
        const queue = yield* make(1)
        yield* TaskQueue.offer(queue, task(1))
        const taken: Array<TaskRing.Task> = []
        const taker: Fiber.Fiber<void, Cause.Done> = yield* Effect.forkChild(
          Effect.flatMap(TaskQueue.take(queue), (one) => Effect.sync(() => void taken.push(one)))
        )
        yield* fork(Effect.andThen(TaskQueue.offer(queue, task(2)), Fiber.interrupt(taker)))
        yield* Fiber.await(taker)
        assert.deepEqual(indices(taken), [1])
        assert.deepEqual(indices(yield* TaskQueue.takeAll(queue)), [2])
      }))

    it.effect("is Effect queues, too: in one, out of the other, in order, through a full ring", () =>
      Effect.gen(function*() {
        const queue = yield* make(2)
        const enqueue = yield* TaskQueue.toEnqueue(queue)
        const dequeue = yield* TaskQueue.toDequeue(queue)
        const offered = yield* fork(Queue.offerAll(enqueue, tasks(1, 20)))
        for (let step = 0; step < 20; step++) yield* settle
        assert.isTrue(isWaiting(offered), "an offer waits while the ring is full")
        assert.isTrue(yield* TaskQueue.isFull(queue))
        const taken: Array<number> = []
        for (let left = 20; left > 0; left--) taken.push((yield* Queue.take(dequeue)).segmentIndex)
        assert.deepStrictEqual(taken, indices(tasks(1, 20)))
        assert.deepStrictEqual(yield* Fiber.join(offered), [])
        yield* settle
        assert.strictEqual(TaskRing.unfinishedUnsafe(queue.ring), 0)
        yield* TaskQueue.shutdown(queue)
      }).pipe(Effect.scoped))

    it.effect("as a Dequeue loses no task to a scope that closes, nor to a taker that is interrupted", () =>
      Effect.gen(function*() {
        const queue = yield* make(64)
        yield* TaskQueue.offerAll(queue, tasks(1, 60))
        const taken: Array<number> = []
        // A taker that waits is interrupted after some steps; then the scope closes, with a task on its way or not.
        for (let steps = 0; steps < 40; steps++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const dequeue = yield* TaskQueue.toDequeue(queue)
            const take = Effect.map(Queue.take(dequeue), ({ segmentIndex }) => taken.push(segmentIndex))
            const taker = yield* fork(take)
            for (let step = 0; step < steps; step++) yield* Effect.yieldNow
            yield* Fiber.interrupt(taker)
            if (steps % 2 === 0) yield* settle
          }))
        }
        const rest = yield* TaskQueue.recover(queue)
        if (Option.isSome(rest)) taken.push(rest.value.segmentIndex)
        yield* TaskQueue.complete(queue)
        taken.push(...indices(yield* TaskQueue.takeUpTo(queue, 64)))
        assert.deepStrictEqual(taken, indices(tasks(1, 60)))
        yield* settle
        noListeners(queue)
      }))

    it.effect("as a Dequeue loses no task to a taker that is interrupted while it is served", () =>
      Effect.gen(function*() {
        for (let steps = 0; steps < 30; steps++) {
          const queue = yield* make(4)
          yield* Effect.scoped(Effect.gen(function*() {
            const dequeue = yield* TaskQueue.toDequeue(queue)
            const taken: Array<number> = []
            const taker = yield* fork(Effect.map(Queue.take(dequeue), (one) => taken.push(one.segmentIndex)))
            yield* settle
            assert.isTrue(TaskQueue.offerUnsafe(queue, task(1)))
            for (let step = 0; step < steps; step++) yield* Effect.yieldNow
            yield* Fiber.interrupt(taker)
            assert.isTrue(TaskQueue.offerUnsafe(queue, task(2)))
            yield* settle
            if (taken.length === 0) taken.push((yield* Queue.take(dequeue)).segmentIndex)
            taken.push((yield* Queue.take(dequeue)).segmentIndex)
            assert.deepStrictEqual(taken, [1, 2])
          }))
          yield* settle
          assert.strictEqual(TaskRing.unfinishedUnsafe(queue.ring), 0)
        }
      }))

    it.effect("ended, its Dequeue drains and is done; shut down, it interrupts; its Enqueue refuses", () =>
      Effect.gen(function*() {
        const ended = yield* make(4)
        const enqueue = yield* TaskQueue.toEnqueue(ended)
        const dequeue = yield* TaskQueue.toDequeue(ended)
        yield* TaskQueue.offerAll(ended, tasks(1, 3))
        yield* TaskQueue.end(ended)
        yield* settle
        assert.isFalse(yield* Queue.offer(enqueue, task(4)))
        assert.deepStrictEqual(indices(yield* Queue.collect(dequeue)), [1, 2, 3])
        const shut = yield* make(4)
        const refusing = yield* TaskQueue.toEnqueue(shut)
        const taker = yield* fork(Effect.flatMap(TaskQueue.toDequeue(shut), Queue.take).pipe(Effect.scoped))
        yield* settle
        yield* TaskQueue.shutdown(shut)
        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(taker)))
        assert.isFalse(yield* Queue.offer(refusing, task(1)))
      }).pipe(Effect.scoped))

    it.effect("as an Enqueue still offers what it has taken over when its scope closes", () =>
      Effect.gen(function*() {
        const queue = yield* make(2)
        yield* Effect.scoped(Effect.gen(function*() {
          const enqueue = yield* TaskQueue.toEnqueue(queue)
          assert.isTrue(yield* Queue.offer(enqueue, task(1)))
          assert.isTrue(yield* Queue.offer(enqueue, task(2)))
        }))
        assert.deepStrictEqual(indices(yield* TaskQueue.takeUpTo(queue, 2)), [1, 2])
        noListeners(queue)
      }))

    it.effect("streams its tasks until it is ended and drained", () =>
      Effect.gen(function*() {
        const queue = yield* make(4)
        const collected = yield* fork(Stream.runCollect(TaskQueue.toStream(queue)))
        yield* TaskQueue.offerAll(queue, tasks(1, 50))
        yield* TaskQueue.end(queue)
        assert.deepEqual(indices(yield* Fiber.join(collected)), indices(tasks(1, 50)))
      }))
  })
}

describe("TaskQueue between threads", () => {
  it.live("a worker that attaches takes what is offered here; both sides suspend", () =>
    Effect.gen(function*() {
      const queue = yield* TaskQueue.make({ capacity: 4, consumersMax: 2, isShared: true })
      const worker = new Worker(new URL("./queueConsumer.ts", import.meta.url), { workerData: queue.memory })
      const answer = yield* Effect.forkChild(
        Effect.callback<Array<number>>((resume) => {
          worker.once("message", (message) => resume(Effect.succeed(message)))
          worker.once("error", (error) => resume(Effect.die(error)))
        }),
        { startImmediately: true }
      )
      assert.deepEqual(yield* TaskQueue.offerAll(queue, tasks(1, 5000)), [])
      yield* TaskQueue.end(queue)
      yield* TaskQueue.awaitShutdown(queue)
      assert.deepEqual(yield* Fiber.join(answer), indices(tasks(1, 5000)))
      yield* Effect.promise(() => worker.terminate())
    }))

  it.effect("a queue that is not shared cannot be attached to", () =>
    Effect.gen(function*() {
      const queue = yield* TaskQueue.make({ capacity: 4, consumersMax: 2, isShared: false })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(TaskQueue.attach(queue.memory, 1))))
    }))
})
