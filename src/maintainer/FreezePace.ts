/**
 * How a freeze gives way to persisting. Both the application and the thread that persists need a processor for every commit,
 * and a freeze has work for two more: one compresses while another decodes and proves. So while commits come the two take
 * turns.
 *
 * Measured on two cores with commits one after the other beside a freeze of 512 MiB: a commit's p99 was 2.7 to 3.4 times its
 * idle value without turns and 1.3 to 2.4 times with them; the freeze took 1.9 and 3.3 seconds.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/**
 * The pace of one freeze.
 *
 * @since 0.1.0
 * @category models
 */
export interface FreezePace {
  /** Asked once for each piece: whether somebody has waited for a commit in the time of the last few pieces. */
  readonly commitsCome: () => boolean
  /** What is run in turn never overlaps with anything else that is. */
  readonly inTurn: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Some 100 ms: who commits ten times a second is still given way to. */
const quietPiecesMin = 16

/**
 * `commitsAsked` counts the commits that were asked for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (commitsAsked: () => number): Effect.Effect<FreezePace> =>
  Effect.map(Semaphore.make(1), (turn) => {
    let seen = commitsAsked()
    let quietPieces = quietPiecesMin
    return {
      commitsCome: () => {
        const asked = commitsAsked()
        quietPieces = asked === seen ? quietPieces + 1 : 0
        seen = asked
        return quietPieces < quietPiecesMin
      },
      inTurn: turn.withPermit
    }
  })
