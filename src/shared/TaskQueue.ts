/**
 * Gives a `TaskRing` the operations and the behaviour of Effect's `Queue`:
 *
 * - An offer to a full queue and a take from an empty one suspend until a doorbell rings; they never spin.
 * - Waiters are served in the order in which they came.
 * - An ended queue drains, and then its takers fail with `Cause.Done`.
 * - A queue that is shut down discards its tasks and interrupts its takers.
 *
 * The product itself offers, polls, completes and recovers. The other operations of Effect's `Queue` (`offerAll`,
 * `take`, `takeAll`, `takeUpTo`, `toStream`, `end`, `awaitShutdown`, `size`, `isFull`) are a promise to applications
 * that fill or empty the queues themselves.
 *
 * The queue's memory can be passed to other threads (`TaskQueueMemory`, `attach`). All its producing fibers run in one
 * thread and share one `Enqueue`. Every thread that consumes has a consumer number of its own and one `Dequeue` for it.
 *
 * Interruption never loses a task. A scheduled step takes a task and resumes the taker at once. An interrupted taker
 * has left the line before, so no task is taken for it. An interrupted offer has either put its task into the ring or
 * not; it never does so later.
 *
 * Claims: `take` and `poll` leave the task that they return claimed. If the thread dies before `complete`, its
 * successor under the same consumer number finds the task by `recover`. A consumer has one claim, that of the task it
 * took last. `takeAll` and `takeUpTo` leave no claim: if the caller dies, the tasks that they returned are lost.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { elapsedMillisUnsafe } from "../internal/elapsed.ts"
import { invariant } from "../internal/invariant.ts"
import * as Doorbell from "./Doorbell.ts"
import * as TaskRing from "./TaskRing.ts"
import * as WaitingLine from "./WaitingLine.ts"

export type { Task } from "./TaskRing.ts"
export { TaskRecord } from "./TaskRing.ts"

/**
 * A task to offer.
 *
 * @since 0.1.0
 * @category models
 */
export interface NewTask {
  readonly segmentIndex: number
  /** The slot of the arena that has the segment. Without one the segment is a file. */
  readonly slot?: number
  /** Is carried along: how many bytes the segment has. */
  readonly bytes: number
}

/** The memory of a queue. Can be posted to a worker thread, which then calls `attach`. */
export interface TaskQueueMemory {
  readonly buffer: SharedArrayBuffer
  readonly byteOffset: number
  /** Whether rings are exchanged with other threads; the same on all sides. */
  readonly isShared: boolean
}

interface PendingOffer {
  readonly tasks: ReadonlyArray<NewTask>
  readonly offeredAtMillis: number
  admitted: number
  readonly resume: (leftover: Array<NewTask>) => void
}

interface Taker {
  readonly tasksMax: number
  readonly keepsClaim: boolean
  readonly resume: (exit: Exit.Exit<Array<TaskRing.Task>, Cause.Done>) => void
}

interface OfferLine extends WaitingLine.WaitingLine<PendingOffer> {
  readonly clock: Clock.Clock
  /** `end` was called. The ring ends after the offers that wait have been admitted. */
  ending: boolean
}

interface Half {
  readonly memory: TaskQueueMemory
  readonly ring: TaskRing.TaskRing
  /** Rings for every task offered, and when the queue ends. */
  readonly notEmpty: Doorbell.Doorbell
  /** Rings for every task taken, and when the queue ends. */
  readonly notFull: Doorbell.Doorbell
}

/**
 * The write half of a queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface Enqueue extends Half {
  /** @internal */
  readonly offers: OfferLine
}

/**
 * The read half of a queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dequeue extends Half {
  /** The consumer number that claims the tasks taken here. */
  readonly consumer: number
  /** @internal */
  readonly takers: WaitingLine.WaitingLine<Taker>
  /** @internal */
  readonly record: TaskRing.TaskRecord
}

/**
 * Both halves of a queue, as one thread sees it; usable as either half.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskQueue extends Enqueue, Dequeue {}

const notFullAt = Doorbell.doorbellBytes
const ringAt = 2 * Doorbell.doorbellBytes

const open = (memory: TaskQueueMemory, ring: TaskRing.TaskRing, consumer: number): Effect.Effect<TaskQueue> =>
  Effect.clockWith((clock) =>
    Effect.sync(() => {
      checkConsumer(ring, consumer)
      const makeDoorbell = memory.isShared ? Doorbell.makeSharedUnsafe : Doorbell.makeUnsafe
      return {
        memory,
        ring,
        notEmpty: makeDoorbell(memory.buffer, memory.byteOffset),
        notFull: makeDoorbell(memory.buffer, memory.byteOffset + notFullAt),
        offers: { ...WaitingLine.make<PendingOffer>(), clock, ending: false },
        consumer,
        takers: WaitingLine.make(),
        record: new TaskRing.TaskRecord()
      }
    })
  )

const checkConsumer = (ring: TaskRing.TaskRing, consumer: number): void =>
  invariant(
    Number.isInteger(consumer) && consumer >= 0 && consumer < ring.consumersMax,
    "a consumer's number is below the ring's consumersMax"
  )

/**
 * Makes an empty queue in memory of its own, with consumer number 0. `capacity` is a power of two. `isShared` decides
 * whether this thread and those that `attach` to `memory` wake each other; a queue that is not shared serves one
 * thread.
 */
export const make = (options: {
  readonly capacity: number
  readonly consumersMax: number
  readonly isShared: boolean
}): Effect.Effect<TaskQueue> =>
  Effect.suspend(() => {
    const buffer = new SharedArrayBuffer(ringAt + TaskRing.bytesNeeded(options.capacity, options.consumersMax))
    const memory = { buffer, byteOffset: 0, isShared: options.isShared }
    return open(memory, TaskRing.makeUnsafe(buffer, ringAt, options), 0)
  })

/**
 * Attaches to the queue that another thread has made, as consumer number `consumer`. The memory must be shared.
 */
export const attach = (memory: TaskQueueMemory, consumer: number): Effect.Effect<TaskQueue> =>
  Effect.suspend(() => {
    invariant(memory.isShared, "only a shared queue can be attached to")
    return open(memory, TaskRing.attach(memory.buffer, memory.byteOffset + ringAt), consumer)
  })

/**
 * Makes another read half of the same queue, for another consumer in the same thread, with its own claim and its own
 * line.
 */
export const withConsumer = (self: Dequeue, consumer: number): Dequeue => {
  checkConsumer(self.ring, consumer)
  return {
    memory: self.memory,
    ring: self.ring,
    notEmpty: self.notEmpty,
    notFull: self.notFull,
    consumer,
    takers: WaitingLine.make(),
    record: new TaskRing.TaskRecord()
  }
}

const ringBoth = (self: Half): void => {
  Doorbell.ringUnsafe(self.notEmpty)
  Doorbell.ringUnsafe(self.notFull)
}

// -----------------------------------------------------------------------------
// offering
// -----------------------------------------------------------------------------

const checkTask = (task: NewTask): void => {
  invariant(task.segmentIndex >>> 0 === task.segmentIndex, "segmentIndex is an unsigned 32-bit integer")
  const { slot = 0 } = task
  invariant((slot | 0) === slot && slot >= 0, "slot is a slot number")
  invariant(Number.isSafeInteger(task.bytes) && task.bytes >= 0, "bytes is a non-negative safe integer")
}

const offeredNow = (self: Enqueue): number => Math.floor(elapsedMillisUnsafe(self.offers.clock))

/** A task in a ring that has no slot. */
const noSlot = -1

const admit = (self: Enqueue, task: NewTask, offeredAtMillis: number): boolean =>
  TaskRing.offerUnsafe(self.ring, task.segmentIndex, task.slot ?? noSlot, task.bytes, offeredAtMillis)

const admitWaiting = (self: Enqueue): void => {
  const waiting = self.offers.waiting
  while (waiting.length > 0) {
    const offer = waiting[0]!
    const task = offer.tasks[offer.admitted]!
    if (admit(self, task, offer.offeredAtMillis)) {
      offer.admitted++
      if (offer.admitted === offer.tasks.length) {
        WaitingLine.leave(self.offers, offer)
        offer.resume([])
      }
      Doorbell.ringUnsafe(self.notEmpty)
    } else if (TaskRing.isEndedUnsafe(self.ring)) {
      WaitingLine.leave(self.offers, offer)
      offer.resume(offer.tasks.slice(offer.admitted))
    } else {
      return
    }
  }
  if (self.offers.ending && TaskRing.endUnsafe(self.ring)) ringBoth(self)
}

const serveOffers = (self: Enqueue): void => WaitingLine.serve(self.offers, self.notFull, () => admitWaiting(self))

/**
 * Puts a task into the queue without waiting and without allocating. Returns `false` if the queue is full, if other
 * offers wait, or if the queue was ended.
 */
export const offerUnsafe = (self: Enqueue, task: NewTask): boolean => {
  if (!offerSilentlyUnsafe(self, task)) return false
  wakeUnsafe(self)
  return true
}

/**
 * Offers as `offerUnsafe` does, but wakes no consumer. A consumer that looks finds the task; one that sleeps is woken
 * by `wakeUnsafe`, which the caller must call later. For a caller that has no time for a system call now.
 */
export const offerSilentlyUnsafe = (self: Enqueue, task: NewTask): boolean => {
  checkTask(task)
  if (self.offers.ending || self.offers.waiting.length > 0) return false
  if (!admit(self, task, offeredNow(self))) return false
  Doorbell.countUnsafe(self.notEmpty)
  return true
}

/** Wakes the consumers that wait for tasks which were offered silently. */
export const wakeUnsafe = (self: Enqueue): void => Doorbell.wakeUnsafe(self.notEmpty)

/**
 * Puts a task into the queue; waits while it is full. Gives `false` if the queue was ended or shut down before the task
 * was admitted.
 *
 * @since 0.1.0
 * @category offering
 */
export const offer: {
  (task: NewTask): (self: Enqueue) => Effect.Effect<boolean>
  (self: Enqueue, task: NewTask): Effect.Effect<boolean>
} = dual(
  2,
  (self: Enqueue, task: NewTask): Effect.Effect<boolean> =>
    Effect.suspend(() =>
      offerUnsafe(self, task) ? Effect.succeed(true) : Effect.map(offerAll(self, [task]), (left) => left.length === 0)
    )
)

/**
 * Puts tasks into the queue, in order; waits while it is full. Gives the tasks that were not admitted because the queue
 * was ended or shut down. After an interruption, the tasks already admitted stay in the queue.
 *
 * @since 0.1.0
 * @category offering
 */
export const offerAll: {
  (tasks: Iterable<NewTask>): (self: Enqueue) => Effect.Effect<Array<NewTask>>
  (self: Enqueue, tasks: Iterable<NewTask>): Effect.Effect<Array<NewTask>>
} = dual(
  2,
  (self: Enqueue, tasks: Iterable<NewTask>): Effect.Effect<Array<NewTask>> =>
    Effect.callback<Array<NewTask>>((resume) => {
      const all = Array.from(tasks)
      all.forEach(checkTask)
      if (all.length === 0 || self.offers.ending) return resume(Effect.succeed(all))
      const pending: PendingOffer = {
        tasks: all,
        offeredAtMillis: offeredNow(self),
        admitted: 0,
        resume: (leftover) => resume(Effect.succeed(leftover))
      }
      self.offers.waiting.push(pending)
      serveOffers(self)
      return Effect.sync(() => {
        WaitingLine.leave(self.offers, pending)
        serveOffers(self)
      })
    })
)

// -----------------------------------------------------------------------------
// taking
// -----------------------------------------------------------------------------

const takeReady = (self: Dequeue, tasksMax: number, keepsClaim: boolean): Array<TaskRing.Task> => {
  const { consumer, record, ring } = self
  const tasks: Array<TaskRing.Task> = []
  const limit = Math.min(tasksMax, ring.capacity)
  while (tasks.length < limit && TaskRing.pollUnsafe(ring, consumer, record)) tasks.push({ ...record })
  if (tasks.length > 0 && !keepsClaim) TaskRing.completeUnsafe(ring, consumer)
  return tasks
}

const isDone = (self: Half): boolean =>
  TaskRing.isShutDownUnsafe(self.ring) || (TaskRing.isEndedUnsafe(self.ring) && TaskRing.isEmptyUnsafe(self.ring))

const doneExit = (self: Half): Exit.Exit<never, Cause.Done> =>
  TaskRing.isShutDownUnsafe(self.ring) ? Exit.interrupt() : Exit.fail(Cause.Done())

// Serves the takers that are in line now; one that joins meanwhile has scheduled its own step. So fibers that wake each
// other cannot monopolize the thread. The taker resumes before the doorbell rings: if a woken producer interrupts it,
// it has already received its task.
const serveWaiting = (self: Dequeue): void => {
  const waiting = self.takers.waiting
  for (let left = waiting.length; left > 0 && waiting.length > 0; left--) {
    const taker = waiting[0]!
    const tasks = takeReady(self, taker.tasksMax, taker.keepsClaim)
    if (tasks.length > 0) {
      WaitingLine.leave(self.takers, taker)
      taker.resume(Exit.succeed(tasks))
      Doorbell.ringUnsafe(self.notFull)
    } else if (isDone(self)) {
      WaitingLine.leave(self.takers, taker)
      taker.resume(doneExit(self))
    } else if (!TaskRing.isEndedUnsafe(self.ring)) {
      return
    }
  }
}

const serveTakers = (self: Dequeue): void => WaitingLine.serve(self.takers, self.notEmpty, () => serveWaiting(self))

const takeWaiting = (
  self: Dequeue,
  tasksMax: number,
  keepsClaim: boolean
): Effect.Effect<Array<TaskRing.Task>, Cause.Done> =>
  Effect.withFiber((fiber) =>
    Effect.callback<Array<TaskRing.Task>, Cause.Done>((resume) => {
      const taker: Taker = { tasksMax, keepsClaim, resume }
      self.takers.waiting.push(taker)
      fiber.currentDispatcher.scheduleTask(() => serveTakers(self), 0)
      return Effect.sync(() => WaitingLine.leave(self.takers, taker))
    })
  )

const takeNow = (self: Dequeue, tasksMax: number, keepsClaim: boolean): Effect.Effect<Array<TaskRing.Task>> =>
  Effect.withFiber((fiber) =>
    Effect.callback<Array<TaskRing.Task>>((resume) => {
      let isWanted = true
      fiber.currentDispatcher.scheduleTask(() => {
        serveTakers(self)
        if (!isWanted) return
        const tasks = self.takers.waiting.length > 0 ? [] : takeReady(self, tasksMax, keepsClaim)
        resume(Effect.succeed(tasks))
        if (tasks.length > 0) Doorbell.ringUnsafe(self.notFull)
      }, 0)
      return Effect.sync(() => {
        isWanted = false
      })
    })
  )

const first = (tasks: ReadonlyArray<TaskRing.Task>): TaskRing.Task => tasks[0]!

/**
 * Takes the oldest task; waits while the queue is empty. The task stays claimed until `complete`. Fails with
 * `Cause.Done` after the queue was ended and drained; interrupts after it was shut down.
 */
export const take = (self: Dequeue): Effect.Effect<TaskRing.Task, Cause.Done> =>
  Effect.map(takeWaiting(self, 1, true), first)

/**
 * Takes the oldest task, if there is one now and no other taker waits. The task stays claimed until `complete`.
 */
export const poll = (self: Dequeue): Effect.Effect<Option.Option<TaskRing.Task>> =>
  Effect.map(takeNow(self, 1, true), (tasks) => tasks.length === 0 ? Option.none() : Option.some(first(tasks)))

/**
 * Takes the oldest task into `out`, without waiting and without allocating. Returns `false` if there is none. The task
 * stays claimed until `completeUnsafe`. Ignores whether other takers wait. With `end`, a position in the ring, only
 * tasks before that position are taken.
 */
export const pollUnsafe = (self: Dequeue, out: TaskRing.TaskRecord, end?: number): boolean => {
  if (!TaskRing.pollUnsafe(self.ring, self.consumer, out, end)) return false
  Doorbell.ringUnsafe(self.notFull)
  return true
}

/**
 * Takes all tasks, at least one: waits while the queue is empty. Leaves no claim. Fails with `Cause.Done` after the
 * queue was ended and drained; interrupts after it was shut down.
 */
export const takeAll = (self: Dequeue): Effect.Effect<Arr.NonEmptyArray<TaskRing.Task>, Cause.Done> =>
  Effect.map(takeWaiting(self, Number.POSITIVE_INFINITY, false), (tasks) => {
    const [oldest, ...others] = tasks
    invariant(oldest !== undefined, "a taker is resumed with at least one task")
    return [oldest, ...others]
  })

/** Takes the tasks that are there now, at most `tasksMax`, possibly none. Leaves no claim. */
export const takeUpTo: {
  (tasksMax: number): (self: Dequeue) => Effect.Effect<Array<TaskRing.Task>>
  (self: Dequeue, tasksMax: number): Effect.Effect<Array<TaskRing.Task>>
} = dual(2, (self: Dequeue, tasksMax: number): Effect.Effect<Array<TaskRing.Task>> => takeNow(self, tasksMax, false))

/**
 * Gives the tasks as a stream, in order, until the queue was ended and is drained. Leaves no claims.
 *
 * @since 0.1.0
 * @category taking
 */
export const toStream = (self: Dequeue): Stream.Stream<TaskRing.Task> => Stream.fromPull(Effect.succeed(takeAll(self)))

// -----------------------------------------------------------------------------
// claims
// -----------------------------------------------------------------------------

/** Completes the task taken last: clears its claim. */
export const completeUnsafe = (self: Dequeue): void => TaskRing.completeUnsafe(self.ring, self.consumer)

/**
 * Completes the task taken last: clears its claim.
 *
 * @since 0.1.0
 * @category claims
 */
export const complete = (self: Dequeue): Effect.Effect<void> => Effect.sync(() => completeUnsafe(self))

/**
 * Finds the task that a predecessor with this consumer number has taken and not completed. Call it before the first
 * take, when the predecessor is certainly dead. The claim stays until `complete`.
 */
export const recover = (self: Dequeue): Effect.Effect<Option.Option<TaskRing.Task>> =>
  Effect.sync(() => {
    if (!TaskRing.claimUnsafe(self.ring, self.consumer, self.record)) return Option.none()
    const task = { ...self.record }
    Doorbell.ringUnsafe(self.notFull)
    return Option.some(task)
  })

// -----------------------------------------------------------------------------
// completion
// -----------------------------------------------------------------------------

/**
 * Ends the queue. New offers are refused, and those that already wait are still admitted. Tasks in the queue can be
 * taken; after that, takers fail with `Cause.Done`. Gives `false` if it was ended or shut down before.
 */
export const end = (self: Enqueue): Effect.Effect<boolean> =>
  Effect.sync(() => {
    if (self.offers.ending || TaskRing.isEndedUnsafe(self.ring)) return false
    self.offers.ending = true
    serveOffers(self)
    return true
  })

/**
 * Shuts the queue down, from either half and any thread: discards its tasks, interrupts takers, and refuses waiting
 * offers. Gives `false` if the queue was done before.
 */
export const shutdown = (self: Enqueue | Dequeue): Effect.Effect<boolean> =>
  Effect.sync(() => {
    if (isDone(self) || !TaskRing.shutdownUnsafe(self.ring)) return false
    ringBoth(self)
    return true
  })

/** Waits until the queue is done: shut down, or ended and drained. */
export const awaitShutdown = (self: Enqueue | Dequeue): Effect.Effect<void> =>
  Effect.suspend(() => {
    const seen = Doorbell.readUnsafe(self.notFull)
    if (isDone(self)) return Effect.void
    return Effect.andThen(Doorbell.wait(self.notFull, seen), awaitShutdown(self))
  })

// -----------------------------------------------------------------------------
// converting
// -----------------------------------------------------------------------------

/** Waits until the queue was ended or shut down. */
const awaitEnd = (self: Half): Effect.Effect<void> =>
  Effect.suspend(() => {
    const seen = Doorbell.readUnsafe(self.notFull)
    if (TaskRing.isEndedUnsafe(self.ring)) return Effect.void
    return Effect.andThen(Doorbell.wait(self.notFull, seen), awaitEnd(self))
  })

/**
 * Gives the write half as an Effect `Enqueue`, for code that knows only `Queue`. What is offered there is offered here,
 * in order, while the scope is open. Offers wait while this queue is full, with room for one more there, and give
 * `false` after it was ended. When the scope closes, a task that was taken is still offered.
 *
 * **Details**
 *
 * Effect's functions work on the fields of its own `Queue`, so nothing else can stand in for one: a fiber carries the
 * tasks over.
 *
 * **Example** (Using Effect's Queue)
 *
 * ```ts
 * import { Console, Effect, Queue } from "effect"
 * import { SegmentQueues, TaskQueue } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   const toFreeze = yield* SegmentQueues.SegmentsToFreeze
 *   const enqueue = yield* TaskQueue.toEnqueue(toFreeze)
 *   const dequeue = yield* TaskQueue.toDequeue(toFreeze)
 *   yield* Queue.offer(enqueue, { segmentIndex: 7, bytes: 4096 })
 *   const { segmentIndex } = yield* Queue.take(dequeue)
 *   yield* Console.log(segmentIndex) // => 7
 * })
 *
 * await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(SegmentQueues.layer)))
 * ```
 *
 * @since 0.1.0
 * @category converting
 */
export const toEnqueue = (self: Enqueue): Effect.Effect<Queue.Enqueue<NewTask>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const queue = yield* Effect.acquireRelease(Queue.bounded<NewTask>(1), Queue.shutdown)
    /** A task leaves the one queue when the other has it: an interruption in between would lose it. */
    const carry = (task: NewTask) => Effect.map(offer(self, task), () => Queue.takeUnsafe(queue))
    const carryLeft = Effect.suspend(() =>
      Queue.sizeUnsafe(queue) > 0 ? Effect.flatMap(Queue.peek(queue), carry) : Effect.void
    )
    yield* Effect.addFinalizer(() => carryLeft)
    const carryOne = Effect.uninterruptibleMask((restore) => Effect.flatMap(restore(Queue.peek(queue)), carry))
    yield* Effect.forkScoped(Effect.forever(carryOne))
    yield* Effect.forkScoped(Effect.andThen(awaitEnd(self), Queue.shutdown(queue)))
    return queue
  })

/**
 * Gives the read half as an Effect `Dequeue`, for code that knows only `Queue`. A task is complete when it was taken
 * there: it leaves no claim. While nothing is taken there, one task is claimed here, and when the scope closes it stays
 * claimed: `recover` finds it, and so does the next `toDequeue` of this consumer. Ends with `Cause.Done` after this
 * queue was ended and drained; interrupts after it was shut down. A fiber carries the tasks, see {@link toEnqueue}.
 * For a queue that the application empties itself: a maintainer takes from its queues on its own.
 *
 * @since 0.1.0
 * @category converting
 */
export const toDequeue = (self: Dequeue): Effect.Effect<Queue.Dequeue<TaskRing.Task, Cause.Done>, never, Scope.Scope> =>
  Effect.gen(function*() {
    // An offer to a queue without room of its own waits for a taker.
    const queue = yield* Queue.bounded<TaskRing.Task, Cause.Done>(0)
    /** The scope closes, and a task has no taker. */
    let isLeft = false
    const claimed = yield* recover(self)
    /** A taker that is interrupted as it is served leaves the task behind; then it is offered to the next one. */
    const handOver = (task: TaskRing.Task): Effect.Effect<void> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          // Not to be interrupted, or nothing tells whether the task was taken: the end of the scope gives `false`.
          const isTaken = yield* Queue.offer(queue, task)
          yield* Effect.yieldNow
          if (!isTaken || isLeft) return yield* restore(Effect.never)
          const isBack = Queue.sizeUnsafe(queue) > 0 && Queue.takeUnsafe(queue) !== undefined
          return yield* isBack ? handOver(task) : complete(self)
        })
      )
    const carry = Effect.andThen(
      Option.isSome(claimed) ? handOver(claimed.value) : Effect.void,
      Effect.forever(Effect.flatMap(take(self), handOver))
    )
    yield* Effect.forkScoped(Queue.into(carry, queue))
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isLeft = Queue.sizeUnsafe(queue) > 0
        return Queue.shutdown(queue)
      })
    )
    return queue
  })

// -----------------------------------------------------------------------------
// inspecting
// -----------------------------------------------------------------------------

/** Counts the tasks that can be taken; 0 after the queue was shut down. Waiting offers are not counted. */
export const sizeUnsafe = (self: Enqueue | Dequeue): number =>
  TaskRing.isShutDownUnsafe(self.ring) ? 0 : TaskRing.sizeUnsafe(self.ring)

/**
 * Counts the tasks that can be taken; 0 after the queue was shut down. Waiting offers are not counted.
 *
 * @since 0.1.0
 * @category inspecting
 */
export const size = (self: Enqueue | Dequeue): Effect.Effect<number> => Effect.sync(() => sizeUnsafe(self))

/** Tells whether an offer would have to wait. */
export const isFull = (self: Enqueue | Dequeue): Effect.Effect<boolean> =>
  Effect.sync(() => !TaskRing.isShutDownUnsafe(self.ring) && TaskRing.isFullUnsafe(self.ring))
