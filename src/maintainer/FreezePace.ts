/**
 * How a freeze gives way to persisting. Both the application and the thread that persists need a processor for every commit,
 * and a freeze has work for two more: one compresses while another decodes and proves. So while commits come the two take
 * turns, and the compressing thread decodes too, which takes longer than any other part of the work on a piece.
 *
 * Measured on two cores, commits one after the other beside a freeze of 512 MiB: see docs/PERFORMANCE.md.
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
  readonly look: () => boolean
  /** What `look` saw the last time. */
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
      look: () => {
        const asked = commitsAsked()
        quietPieces = asked === seen ? quietPieces + 1 : 0
        seen = asked
        return quietPieces < quietPiecesMin
      },
      commitsCome: () => quietPieces < quietPiecesMin,
      inTurn: turn.withPermit
    }
  })
