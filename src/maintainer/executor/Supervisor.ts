/**
 * Keeps executors alive. When one dies, another with the same number follows it and finds every task (promise 8 of
 * docs/RELIABILITY.md). After too many deaths of one executor within a minute the maintainer is down: all executors
 * end, since either all of them run or none.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { elapsedMillis } from "../../internal/elapsed.ts"
import type * as Arena from "../../shared/Arena.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import { makeBackoff } from "../steps/Retrying.ts"
import type { StepOutcome } from "../steps/StepOutcome.ts"
import type { MaintainerControl } from "./MaintainerControl.ts"
import type { ExecutorOptions } from "./MaintainerExecutor.ts"

/** What it takes to run an executor. */
export interface ExecutorSeat {
  readonly executor: number
  readonly options: ExecutorOptions
  readonly control: MaintainerControl
  readonly arena: Arena.Arena | undefined
  /** Reports an outcome to the service. */
  readonly emit: (outcome: StepOutcome) => void
  /** Has the service write a warning to the application's log. */
  readonly warn: (message: string) => void
}

/** How a layer runs its executors: how many there are, and an effect that is one, for as long as it lives. */
export interface ExecutorHost<E, R> {
  readonly count: number
  /** Runs one executor until it dies or its scope closes. */
  readonly spawn: (seat: ExecutorSeat) => Effect.Effect<void, E, R | Scope.Scope>
}

/** The executors of a maintainer, seen from outside. */
export interface Supervised {
  /** How often executors were restarted. */
  readonly restarts: () => number
  /** Whether the maintainer is down: its executors end, and no other follows. */
  readonly isDown: () => boolean
}

const restartWindowMillis = 60_000

/** Starts every executor of a host and supervises it until the scope closes or the maintainer is down. */
export const superviseAll = Effect.fnUntraced(function*<E, R>(options: {
  readonly host: ExecutorHost<E, R>
  /** This many deaths of one executor within a minute are tolerated. */
  readonly restartsMax: number
  readonly telemetry: SegmentMaintainerUpdater
  readonly seat: (executor: number) => ExecutorSeat
  /** Runs after the death of an executor, before its successor starts: nothing acts in its name meanwhile. */
  readonly beforeRestart: (executor: number) => Effect.Effect<void>
  /** Runs once, when no executor runs any more. */
  readonly onDown: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}) {
  const { host, restartsMax, telemetry } = options
  const supervisors: Array<Fiber.Fiber<void, E>> = []
  let restarts = 0
  let isDown = false

  const takeDown = Effect.fnUntraced(function*(executor: number, cause: Cause.Cause<unknown>) {
    isDown = true
    const others = supervisors.filter((_, other) => other !== executor)
    yield* Effect.forEach(others, (supervisor) => Fiber.interrupt(supervisor), { discard: true })
    yield* options.onDown(cause)
  })

  const supervise = Effect.fnUntraced(function*(executor: number) {
    const seat = options.seat(executor)
    const deaths: Array<number> = []
    const backoff = makeBackoff()
    while (true) {
      const exit = yield* Effect.exit(Effect.scoped(host.spawn(seat)))
      if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* exit
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.die(new Error("an executor ended by itself"))
      const now = yield* elapsedMillis
      deaths.push(now)
      while (deaths.length > 0 && (deaths[0] ?? 0) < now - restartWindowMillis) deaths.shift()
      if (deaths.length > restartsMax) return yield* takeDown(executor, cause)
      restarts += 1
      telemetry.count("restarts", 1)
      yield* Effect.logWarning(`restarting executor ${executor} of ${seat.options.directory}`, cause)
      if (deaths.length === 1) backoff.succeeded()
      yield* Effect.sleep(yield* backoff.failed)
      yield* options.beforeRestart(executor)
    }
  })

  for (let executor = 0; executor < host.count; executor++) {
    supervisors.push(yield* Effect.forkScoped(supervise(executor)))
  }
  const supervised: Supervised = { restarts: () => restarts, isDown: () => isDown }
  return supervised
})
