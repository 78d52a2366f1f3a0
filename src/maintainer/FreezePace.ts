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
 * The pace of one freeze.
 *
 * @since 0.1.0
 * @category models
 */
export interface FreezePace {
  /** Asked once for each piece: whether to give way. */
  readonly look: () => boolean
  /** What `look` said the last time. */
  readonly givesWay: () => boolean
  /** Whether anything waited for the freeze at the last `look`. */
  readonly isAwaited: () => boolean
  /** What is run in turn never overlaps with anything else that is. */
  readonly inTurn: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Some 100 ms: who commits ten times a second is still given way to. */
const quietPiecesMin = 16

/**
 * A pace for one freeze, full speed to begin with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ commitsAsked, isAwaited }: Pressure): Effect.Effect<FreezePace> =>
  Effect.map(Semaphore.make(1), (turn) => {
    let seen = commitsAsked()
    let quietPieces = quietPiecesMin
    let givesWay = false
    let awaited = false
    return {
      look: () => {
        const asked = commitsAsked()
        quietPieces = asked === seen ? quietPieces + 1 : 0
        seen = asked
        awaited = isAwaited()
        givesWay = quietPieces < quietPiecesMin && !awaited
        return givesWay
      },
      givesWay: () => givesWay,
      isAwaited: () => awaited,
      inTurn: turn.withPermit
    }
  })
