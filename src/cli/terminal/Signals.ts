/**
 * Handles signals. A command that has something to finish takes over the signals that end a program: the first one asks
 * it to finish, a later one ends the process at once. Every other command leaves signals their default meaning, which
 * ends the process. In both cases the exit status is 128 plus the signal's number: 130 for SIGINT, 143 for SIGTERM.
 *
 * One order to end often arrives as several signals: a terminal and `npm` both deliver a Ctrl-C, a terminal that
 * closes and its shell both send SIGHUP, systemd may send SIGHUP after SIGTERM. So what arrives within a second of the
 * first is the same order.
 *
 * The first process of a container has no default meaning for signals: the kernel drops them. There, every command is
 * ended by its own listeners.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { constants } from "node:os"
import { Stopped } from "./CliFailure.ts"

/** Gives the exit code of a process that this signal ended. */
const codeOf = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

/** Lists the signals with which people, terminals and supervisors end a program. */
const endingSignals: ReadonlyArray<NodeJS.Signals> = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"]

/** How long after the first signal others belong to the same order. */
const sameOrderMillis = 1_000

const listen = (onSignal: (signal: NodeJS.Signals) => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => endingSignals.forEach((signal) => process.on(signal, onSignal))),
    () => Effect.sync(() => endingSignals.forEach((signal) => process.off(signal, onSignal)))
  )

/** Calls `onFirst` at the first order to end; a second one ends the process. Applies as long as the scope is open. */
export const onFirstSignal = (
  onFirst: (signal: NodeJS.Signals) => void
): Effect.Effect<void, never, Scope.Scope> => {
  let firstMillis: number | undefined
  return listen((signal) => {
    const now = performance.now()
    if (firstMillis === undefined) {
      firstMillis = now
      onFirst(signal)
    } else if (now - firstMillis >= sameOrderMillis) process.exit(codeOf(signal))
  })
}

/** Does the same as `onFirstSignal`, and gives an effect that waits for the first signal and returns its name. */
export const firstSignal = Effect.gen(function*() {
  const first = yield* Deferred.make<NodeJS.Signals>()
  yield* onFirstSignal((signal) => Deferred.doneUnsafe(first, Effect.succeed(signal)))
  return Deferred.await(first)
})

/** Interrupts `work` at the first signal. Fails with `Stopped` after `work` has undone what it had begun. */
export const untilSignal = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E | Stopped, R> =>
  Effect.scoped(Effect.flatMap(firstSignal, (signal) =>
    Effect.raceFirst(
      work,
      Effect.flatMap(signal, (name) => Effect.fail(new Stopped({ code: codeOf(name) })))
    )))

/** Gives signals their default meaning where the kernel does not, unless a command takes them over. */
export const defaultSignals: Effect.Effect<void> = Effect.sync(() => {
  if (process.pid !== 1) return
  for (const signal of endingSignals) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(codeOf(signal))
    })
  }
})
