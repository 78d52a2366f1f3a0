/**
 * How a freeze gives way to persisting. For every commit the application and the persisting thread need a processor
 * each, and a freeze has work for two more: one compresses a piece while another decodes and proves an earlier one. So
 * while commits come,
 *
 * - a piece is not compressed while another is proved,
 * - the compressing thread decodes too, which takes longer than any other part of the work on a piece,
 * - and the compressing thread takes only processors that nothing else wants.
 *
 * Then a freeze takes up to twice as long. That would harm anything that waits for the freeze itself: another segment
 * that is to be frozen, a drain, commits that are held back by the limit of hot segments or by a full disk. While one
 * of them waits, the freeze runs at full speed.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { CompressOptions } from "../Compressor.ts"

/** What the pace follows. */
export interface Pressure {
  /** How many commits were asked for so far. */
  readonly commitsAsked: () => number
  /** Whether anything waits for a freeze. */
  readonly isAwaited: () => boolean
}

/**
 * - `free`: no commits come, and nothing waits for the freeze
 * - `givesWay`: commits come
 * - `awaited`: something waits for the freeze, whether commits come or not
 */
type Pace = "free" | "givesWay" | "awaited"

/** What a compressor is told at each pace. */
export const compressOptions: Readonly<Record<Pace, CompressOptions>> = {
  free: {},
  givesWay: { urgent: false },
  awaited: { urgent: true }
}

/** The pace of one freeze. */
export interface FreezePace {
  /** Determines the pace; to be called once for each piece. */
  readonly look: () => Pace
  /** The last result of `look`. */
  readonly last: () => Pace
  /** Effects that run in turn never overlap. */
  readonly inTurn: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Some 100 ms: a freeze still gives way to ten commits a second. */
const quietPiecesMin = 16

/** The pace of one freeze; it begins with `free`. */
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
