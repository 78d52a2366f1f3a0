/**
 * Time and chance for a simulated process. Fibers run on a scheduler and by a clock of our own, so a run needs no event
 * loop: ready tasks are worked off one by one, and when there are none the clock jumps to the next sleeper. Which ready
 * task comes next, and where a fiber is preempted, is drawn from a seed, so the same seed gives the same interleaving.
 *
 * A process has threads. One that is killed never runs again: no finalizer, no callback, as when a worker thread is
 * terminated. Dropping the whole world is how a process, or the machine, dies.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scheduler from "effect/Scheduler"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** Fibers that live and die together. */
export interface Thread {
  readonly scheduler: Scheduler.Scheduler
  isDead: boolean
  /** Nothing of it runs for now; it will go on as if nothing had been. */
  isFrozen: boolean
}

interface ReadyTask {
  readonly thread: Thread
  readonly run: () => void
}

interface Sleeper {
  readonly atMillis: number
  readonly wake: () => void
}

/** How a stretch of simulated life ended. */
export type Outcome = "done" | "stopped" | "deadlock" | "too long"

/** A fiber is preempted after this many operations on the average. */
const operationsBetweenYields = 200
/** Of so many tasks that are ready any one may be the next. */
const choiceMax = 4
/** More tasks than this, and the run goes round in circles. */
const tasksMax = 200_000

export class World {
  /** Never goes back. */
  nowMillis: number
  /** By so much the clock on the wall was set forward or back. */
  setMillis = 0
  /** Set it and nothing more runs. */
  isStopped = false
  /** Fibers give way only by themselves, until the one that runs now has done so. */
  isUnbroken = false
  /** Stops by itself when so many tasks have run. */
  stopAfterTasks = Number.POSITIVE_INFINITY
  /** Tasks run so far. */
  taskCount = 0
  readonly clock: Clock.Clock
  readonly main: Thread
  readonly #random: SeededRandom
  readonly #isShuffled: boolean
  #ready: Array<ReadyTask> = []
  readonly #sleepers: Array<Sleeper> = []

  constructor(random: SeededRandom, nowMillis: number, isShuffled: boolean) {
    this.#random = random
    this.#isShuffled = isShuffled
    this.nowMillis = nowMillis
    this.main = this.thread()
    const nanosOf = (millis: number) => BigInt(Math.floor(millis * 1000)) * 1000n
    this.clock = {
      currentTimeMillisUnsafe: () => this.wallMillis,
      currentTimeMillis: Effect.sync(() => this.wallMillis),
      currentTimeNanosUnsafe: () => nanosOf(this.wallMillis),
      currentTimeNanos: Effect.sync(() => nanosOf(this.wallMillis)),
      monotonicTimeNanosUnsafe: () => nanosOf(this.nowMillis),
      monotonicTimeNanos: Effect.sync(() => nanosOf(this.nowMillis)),
      sleep: (duration) => this.#sleep(Duration.toMillis(duration))
    }
  }

  /** Unix time, as everybody in this world takes it to be. */
  get wallMillis(): number {
    return this.nowMillis + this.setMillis
  }

  thread(): Thread {
    const thread: Thread = {
      isDead: false,
      isFrozen: false,
      scheduler: {
        executionMode: "async",
        // A fiber may be resumed by a call and not by a task; one of a dead thread gives way at once, and for ever.
        shouldYield: (fiber) =>
          thread.isDead || thread.isFrozen ||
          fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield ||
          // Not before its first operation, as in Effect's own scheduler: a fiber that is interrupted before it has begun, and
          // yields there, begins all the same.
          (this.#isShuffled && !this.isUnbroken && fiber.currentOpCount > 1 &&
            this.#random.below(operationsBetweenYields) === 0),
        makeDispatcher: () => ({
          scheduleTask: (run) => {
            if (!thread.isDead) this.#ready.push({ thread, run })
          },
          flush: () => {}
        })
      }
    }
    return thread
  }

  /** Runs something on a thread, after what is ready by now. */
  schedule(thread: Thread, run: () => void): void {
    this.#ready.push({ thread, run })
  }

  run(isDone: () => boolean, untilMillis: number): Outcome {
    const endTasks = this.taskCount + tasksMax
    while (true) {
      if (this.isStopped) return "stopped"
      if (isDone()) return "done"
      if (this.taskCount > endTasks) return "too long"
      const task = this.#nextTask()
      this.isUnbroken = false
      if (task !== undefined) {
        this.taskCount += 1
        if (this.taskCount > this.stopAfterTasks) this.isStopped = true
        if (!task.thread.isDead) task.run()
        continue
      }
      const sleeper = this.#sleepers.pop()
      if (sleeper === undefined) return "deadlock"
      if (sleeper.atMillis > untilMillis) return "too long"
      this.nowMillis = Math.max(this.nowMillis, sleeper.atMillis)
      sleeper.wake()
    }
  }

  #nextTask(): ReadyTask | undefined {
    if (this.#ready.some(({ thread }) => thread.isFrozen)) return this.#nextOfThawed()
    const choices = Math.min(choiceMax, this.#ready.length)
    if (!this.#isShuffled || choices < 2) return this.#ready.shift()
    return this.#ready.splice(this.#random.below(choices), 1)[0]
  }

  #nextOfThawed(): ReadyTask | undefined {
    const choices: Array<number> = []
    for (const [at, { thread }] of this.#ready.entries()) {
      if (!thread.isFrozen && choices.length < choiceMax) choices.push(at)
    }
    const at = choices[this.#isShuffled ? this.#random.below(Math.max(1, choices.length)) : 0]
    return at === undefined ? undefined : this.#ready.splice(at, 1)[0]
  }

  /** The one that wakes first stands last; of those that wake at the same time, the one that came first. */
  #sleep(millis: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (!Number.isFinite(millis)) return
      const sleeper: Sleeper = { atMillis: this.nowMillis + millis, wake: () => resume(Effect.void) }
      let position = this.#sleepers.length
      while (position > 0 && (this.#sleepers[position - 1]?.atMillis ?? 0) <= sleeper.atMillis) position -= 1
      this.#sleepers.splice(position, 0, sleeper)
      return Effect.sync(() => {
        const at = this.#sleepers.indexOf(sleeper)
        if (at >= 0) this.#sleepers.splice(at, 1)
      })
    })
  }
}
