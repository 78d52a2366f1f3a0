/**
 * How a freeze gives way to persisting. Both the application and the thread that persists need a processor for every commit,
 * and a freeze has work for two more: one compresses while another decodes and proves. So while commits come the two take
 * turns, and the compressing thread decodes too, which takes longer than any other part of the work on a piece. The freeze
 * takes up to twice as long then. That is no use to anyone who waits for the freeze itself: another segment to be frozen, a
 * drain, commits that are held back by the limit of hot segments or a full disk. As long as one of them does, the freeze goes
 * on at full speed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

/**
 * What the pace follows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pressure {
  /** How many commits were asked for so far. */
  readonly commitsAsked: () => number
  /** Whether anything waits for freezes that are under way. */
  readonly isAwaited: () => boolean
}

/**
 * - `free`: nobody commits, and nobody waits for the freeze
 * - `givesWay`: commits come
 * - `awaited`: something waits for the freeze, whether commits come or not
 *
 * @since 0.1.0
 * @category models
 */
export type Pace = "free" | "givesWay" | "awaited"

/**
 * The pace of one freeze.
 *
 * @since 0.1.0
 * @category models
 */
export interface FreezePace {
  /** Looked for once for each piece. */
  readonly look: () => Pace
  /** What `look` said the last time. */
  readonly last: () => Pace
  /** What is run in turn never overlaps with anything else that is. */
  readonly inTurn: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Some 100 ms: who commits ten times a second is still given way to. */
const quietPiecesMin = 16

/**
 * A pace for one freeze, free to begin with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ commitsAsked, isAwaited }: Pressure): Effect.Effect<FreezePace> =>
  Effect.map(Semaphore.make(1), (turn) => {
    let seen = commitsAsked()
    let quietPieces = quietPiecesMin
    let pace: Pace = "free"
    return {
      look: () => {
        const asked = commitsAsked()
        quietPieces = asked === seen ? quietPieces + 1 : 0
        seen = asked
        pace = isAwaited() ? "awaited" : quietPieces < quietPiecesMin ? "givesWay" : "free"
        return pace
      },
      last: () => pace,
      inTurn: turn.withPermit
    }
  })
