/**
 * What is saved within a transaction: decided on a view of the state, and decided again, on the state, when the
 * transaction commits.
 */
import type { PersistenceError } from "effect/cluster/ClusterError"
import * as Effect from "effect/Effect"
import type { Line } from "./Change.ts"
import { Messages } from "./Messages.ts"

/** The answer, and the lines to record. */
type Decided<A> = readonly [answer: A, lines: ReadonlyArray<Line>]

/** Decides by the state, at once: what it gives depends on the state alone. */
export type Decide<A> = (messages: Messages) => Decided<A> | Effect.Effect<never, PersistenceError>

export class Transaction {
  /**
   * What is saved after its end is no part of it: a fiber may live longer than the transaction that it was forked in.
   */
  isOpen = true
  readonly view: Messages
  readonly #decides: Array<Decide<unknown>> = []

  constructor(base: Messages) {
    this.view = new Messages(base)
  }

  stage<A>(decide: Decide<A>): Effect.Effect<A, PersistenceError> {
    return Effect.suspend(() => {
      const decided = decide(this.view)
      if (Effect.isEffect(decided)) return decided
      for (const line of decided[1]) this.view.apply(JSON.stringify(line), line)
      this.#decides.push(decide)
      return Effect.succeed(decided[0])
    })
  }

  /** Everything that was staged, decided again. */
  readonly decideAll: Decide<void> = (messages) => {
    const view = new Messages(messages)
    const lines: Array<Line> = []
    for (const decide of this.#decides) {
      const decided = decide(view)
      if (Effect.isEffect(decided)) return decided
      for (const line of decided[1]) view.apply(JSON.stringify(line), line)
      lines.push(...decided[1])
    }
    return [undefined, lines]
  }
}
