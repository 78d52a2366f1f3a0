/**
 * Keeps executors alive: one that dies is followed by another with the same number, which finds every task. Too many deaths
 * within a minute, and all of them are given up: executors run or they do not, never some of them.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { ExecutorHost, ExecutorSeat } from "../SegmentMaintainer.ts"

const restartWindowMillis = 60_000
const restartMillisMin = 10

/**
 * Starts every executor of a host, in the scope: each is supervised until the scope closes or all are given up.
 *
 * @since 0.1.0
 * @category running
 */
export const superviseAll = Effect.fnUntraced(function*<E, R>(options: {
  readonly host: ExecutorHost<E, R>
  readonly seat: (executor: number) => ExecutorSeat
  /** So many deaths of one executor within a minute are borne. */
  readonly restartsMax: number
  /** An executor has died and will be followed by another. */
  readonly onDeath: (executor: number, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  /** Its successor is about to begin: nobody does anything in its name. */
  readonly beforeRestart: (executor: number) => Effect.Effect<void>
  /** Runs first of all that is done when executors are given up; the others still run. */
  readonly onGivingUp: () => void
  /** No executor runs any more. */
  readonly onGivenUp: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}) {
  const { host, restartsMax } = options
  const supervisors: Array<Fiber.Fiber<void, E>> = []

  const giveUp = Effect.fnUntraced(function*(executor: number, cause: Cause.Cause<unknown>) {
    options.onGivingUp()
    const others = supervisors.filter((_, other) => other !== executor)
    yield* Effect.forEach(others, (supervisor) => Fiber.interrupt(supervisor), { discard: true })
    yield* options.onGivenUp(cause)
  })

  const supervise = Effect.fnUntraced(function*(executor: number) {
    const seat = options.seat(executor)
    const deaths: Array<number> = []
    while (true) {
      const exit = yield* Effect.exit(Effect.scoped(host.spawn(seat)))
      if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* exit
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.die(new Error("an executor ended by itself"))
      const now = yield* Clock.currentTimeMillis
      deaths.push(now)
      while (deaths.length > 0 && (deaths[0] ?? 0) < now - restartWindowMillis) deaths.shift()
      if (deaths.length > restartsMax) return yield* giveUp(executor, cause)
      yield* options.onDeath(executor, cause)
      yield* Effect.sleep(restartMillisMin * 2 ** (deaths.length - 1))
      yield* options.beforeRestart(executor)
    }
  })

  for (let executor = 0; executor < host.count; executor++) {
    supervisors.push(yield* Effect.forkScoped(supervise(executor)))
  }
})
