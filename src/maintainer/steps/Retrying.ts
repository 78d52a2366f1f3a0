/**
 * When what failed is tried again. Every retry of the maintainer follows one schedule, `retrying`: a step that fails
 * for a second time in a row waits twice as long, up to a second. So a full disk or a failing device costs one attempt
 * a second, for as long as it lasts. An attempt comes earlier when room is made on the disk.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { elapsedMillis } from "../../internal/elapsed.ts"
import * as Doorbell from "../../shared/Doorbell.ts"

const retryMillis = { min: 10, max: 1000 } as const

/** Waits 10 ms after the first failure, and twice as long after each further one, up to a second. It never ends. */
const retrying: Schedule.Schedule<Duration.Duration> = Schedule.fromStep(Effect.sync(() => {
  let next: number = retryMillis.min
  return () => {
    const wait = Duration.millis(next)
    next = Math.min(next * 2, retryMillis.max)
    return Effect.succeed<[Duration.Duration, Duration.Duration]>([wait, wait])
  }
}))

/** Follows the schedule for one thing that fails and is tried again. */
interface Backoff {
  /** It has failed: how long to wait before it is tried again, in milliseconds. */
  readonly failed: Effect.Effect<number>
  /** It has succeeded: the next failure is the first again. */
  readonly succeeded: () => void
}

/** A backoff before the first failure. */
export const makeBackoff = (): Backoff => {
  let step: Effect.Success<ReturnType<typeof start>> | undefined
  return {
    failed: Effect.gen(function*() {
      step ??= yield* start()
      const [, wait] = yield* step(yield* elapsedMillis, undefined).pipe(Pull.catchDone(() => Effect.never))
      return Duration.toMillis(wait)
    }),
    succeeded: () => {
      step = undefined
    }
  }
}

const start = () => Schedule.toStep(retrying)

/** Lets something that a loop does be tried again only when its time has come. */
interface RetryGate {
  /** Whether it may be tried now: it has not failed, its time has come, or room was made since it failed. */
  readonly mayTry: Effect.Effect<boolean>
  readonly failed: Effect.Effect<void>
  readonly succeeded: () => void
  /** The elapsed time of the next attempt; `undefined` when it has not failed. */
  readonly nextElapsed: () => number | undefined
}

/** An open gate. `room` is rung when room is made on the disk. */
export const makeGate = (room: Doorbell.Doorbell): RetryGate => {
  const backoff = makeBackoff()
  let waiting: { readonly untilElapsed: number; readonly roomSeen: number } | undefined
  return {
    mayTry: Effect.map(
      elapsedMillis,
      (now) => waiting === undefined || now >= waiting.untilElapsed || Doorbell.readUnsafe(room) !== waiting.roomSeen
    ),
    failed: Effect.gen(function*() {
      const wait = yield* backoff.failed
      waiting = { untilElapsed: (yield* elapsedMillis) + wait, roomSeen: Doorbell.readUnsafe(room) }
    }),
    succeeded: () => {
      if (waiting === undefined) return
      waiting = undefined
      backoff.succeeded()
    },
    nextElapsed: () => waiting?.untilElapsed
  }
}

/** Tries a step up to `attempts` times, for as long as its error is one that may pass. */
export const retryStep = <A, E extends { readonly isRetryable: boolean }, R>(
  step: Effect.Effect<A, E, R>,
  options: {
    readonly attempts: number
    readonly room: Doorbell.Doorbell
    /** Told of each failure after which the step is tried again. */
    readonly onRetry: (error: E) => Effect.Effect<void>
  }
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const backoff = makeBackoff()
    const attempt = (left: number): Effect.Effect<A, E, R> =>
      Effect.catch(step, (error) => {
        if (!error.isRetryable || left <= 1) return Effect.fail(error)
        return Effect.gen(function*() {
          const seen = Doorbell.readUnsafe(options.room)
          yield* options.onRetry(error)
          yield* Effect.timeoutOption(Doorbell.wait(options.room, seen), yield* backoff.failed)
          return yield* attempt(left - 1)
        })
      })
    return attempt(options.attempts)
  })
