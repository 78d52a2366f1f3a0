/** Takes the tasks of a queue for an executor: one at a time, each claimed until it is done. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as TaskQueue from "../../shared/TaskQueue.ts"
import * as TaskRing from "../../shared/TaskRing.ts"
import type { Task } from "../../shared/TaskRing.ts"

/**
 * The task that is under way: one that an earlier executor left claimed, one that failed and is tried again, or a new
 * one.
 */
interface Current {
  readonly next: () => Task | undefined
  readonly done: () => void
}

/** With `end` only tasks before that position of the queue are taken. */
export const makeCurrent = Effect.fnUntraced(function*(queue: TaskQueue.Dequeue, end?: () => number) {
  let current: Task | undefined = Option.getOrUndefined(yield* TaskQueue.recover(queue))
  const record = new TaskRing.TaskRecord()
  const self: Current = {
    next: () => {
      if (current === undefined && TaskQueue.pollUnsafe(queue, record, end?.())) current = { ...record }
      return current
    },
    done: () => {
      current = undefined
    }
  }
  return self
})

/** Works on the tasks of a queue one after the other, in a fiber of its own. */
interface Lane {
  /** Starts a task if none is under way and one waits. `true` when it did, or when a task has finished meanwhile. */
  readonly poll: Effect.Effect<boolean, never, Scope.Scope>
  readonly isBusy: () => boolean
  /** Interrupts the task that is under way. It stays claimed. */
  readonly stop: Effect.Effect<void>
}

/** A lane for the executor's loop to poll; `wake` makes it poll again. */
export const makeLane = Effect.fnUntraced(function*(
  queue: TaskQueue.Dequeue,
  work: (task: Task) => Effect.Effect<void>,
  complete: (queue: TaskQueue.Dequeue) => void,
  wake: () => void,
  end?: () => number
) {
  const current = yield* makeCurrent(queue, end)
  let fiber: Fiber.Fiber<void> | undefined
  let isBusy = false
  let hasFinished = false
  let death: Cause.Cause<never> | undefined
  const self: Lane = {
    poll: Effect.gen(function*() {
      if (death !== undefined) return yield* Effect.failCause(death)
      const finished = hasFinished
      hasFinished = false
      if (isBusy) return finished
      const task = current.next()
      if (task === undefined) return finished
      // Set before the fork: the task may be over before `fiber` is assigned.
      isBusy = true
      fiber = yield* Effect.forkScoped(
        work(task).pipe(Effect.onExit((exit) =>
          Effect.sync(() => {
            isBusy = false
            hasFinished = true
            if (Exit.isSuccess(exit)) {
              current.done()
              complete(queue)
            } else if (!Cause.hasInterruptsOnly(exit.cause)) {
              // A defect is the executor's: the next poll fails with it, and the supervisor starts another executor.
              death = exit.cause
            }
            wake()
          })
        ))
      )
      return true
    }),
    isBusy: () => isBusy,
    stop: Effect.suspend(() => fiber === undefined || !isBusy ? Effect.void : Fiber.interrupt(fiber))
  }
  return self
})
