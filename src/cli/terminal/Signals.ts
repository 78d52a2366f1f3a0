/**
 * Handles signals. A command that has something to finish takes over SIGINT and SIGTERM: the first signal asks it to
 * finish, a second one ends the process at once. Every other command leaves signals their default meaning, which ends
 * the process. In both cases the exit status is 128 plus the signal's number: 130 for SIGINT, 143 for SIGTERM.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import { Stopped } from "./CliFailure.ts"

/** Gives the exit code of a process that this signal ended. */
const codeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

/** Lists the signals with which people and supervisors end a program. */
export const endingSignals: ReadonlyArray<NodeJS.Signals> = ["SIGINT", "SIGTERM"]

/**
 * Calls `onFirst` at the first of these signals; a second one ends the process. Applies as long as the scope is open.
 */
export const onFirstSignal = (
  onFirst: (signal: NodeJS.Signals) => void,
  signals: ReadonlyArray<NodeJS.Signals> = endingSignals
): Effect.Effect<void, never, Scope.Scope> => {
  let isAsked = false
  const onSignal = (signal: NodeJS.Signals) => {
    if (isAsked) process.exit(codeOf(signal))
    isAsked = true
    onFirst(signal)
  }
  return Effect.acquireRelease(
    Effect.sync(() => signals.forEach((signal) => process.on(signal, onSignal))),
    () => Effect.sync(() => signals.forEach((signal) => process.off(signal, onSignal)))
  )
}

/** Does the same as `onFirstSignal`, and gives an effect that waits for the first signal and returns its name. */
export const firstSignal = Effect.fnUntraced(function*(signals?: ReadonlyArray<NodeJS.Signals>) {
  const first = yield* Deferred.make<NodeJS.Signals>()
  yield* onFirstSignal((signal) => Deferred.doneUnsafe(first, Effect.succeed(signal)), signals)
  return Deferred.await(first)
})

/** Interrupts `work` at the first signal. Fails with `Stopped` after `work` has undone what it had begun. */
export const untilSignal = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | Stopped, R> =>
  Effect.scoped(Effect.flatMap(firstSignal(), (signal) =>
    Effect.raceFirst(
      work,
      Effect.flatMap(signal, (name) => Effect.fail(new Stopped({ code: codeOf(name) })))
    )))
