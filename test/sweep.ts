/**
 * Sweeps: what must hold wherever the power fails, wherever a file is cut and whichever byte is wrong. `npm test` tries
 * every eleventh point, from another one in each run; `npm run test:long` tries all of them.
 */
import { isLong } from "./samples.ts"

/** Of so many points, one is tried. A prime, so that it is in step with nothing that they count. */
export const sweepStep = isLong ? 1 : 11

/** Where the next sweep begins. Sweeps take turns, so how many points several of them try is not left to chance. */
let turn = Math.floor(Math.random() * sweepStep)

/** The points of a sweep, from `from` to below `end`. Without an end the test breaks off when nothing happens any more. */
export function* swept(from: number, end = Number.POSITIVE_INFINITY): Generator<number, void, void> {
  for (let at = from + turn++ % sweepStep; at < end; at += sweepStep) yield at
}
