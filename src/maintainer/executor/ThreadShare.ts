/**
 * What the executors of one thread share, so that none of them starves the others. A freeze takes 7 MiB of memory and a
 * part of every turn of the event loop, and the compressing thread has no more than two to do: so two freezes run at a
 * time, and the others wait in the order in which they came.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

const freezesAtOnce = 2

/** The share of an executor in its thread. */
export interface ThreadShare {
  /** Whether no other executor runs in the thread: then it may block the thread, and wait without sleeping. */
  readonly isAlone: () => boolean
  /** Runs a freeze, or one attempt of it, when it is its turn. */
  readonly inTurn: <A, E, R>(freeze: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Whether another freeze waits for its turn. */
  readonly isTurnAwaited: () => boolean
}

/** The share of all executors of a thread. */
export const make = (isAlone: () => boolean): ThreadShare => {
  const turns = Semaphore.makeUnsafe(freezesAtOnce)
  let waiting = 0
  return {
    isAlone,
    inTurn: (freeze) =>
      Effect.suspend(() => {
        waiting += 1
        let waits = true
        const begun = (): void => {
          if (waits) waiting -= 1
          waits = false
        }
        return turns.withPermit(Effect.andThen(Effect.sync(begun), freeze)).pipe(Effect.ensuring(Effect.sync(begun)))
      }),
    isTurnAwaited: () => waiting > 0
  }
}
