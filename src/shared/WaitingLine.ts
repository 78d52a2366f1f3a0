/**
 * Fibers of one thread that wait for what a doorbell announces, first come first served.
 *
 * @since 0.1.0
 */
import * as Doorbell from "./Doorbell.ts"

/**
 * A line, and what is being done for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface WaitingLine<Waiting> {
  readonly waiting: Array<Waiting>
  serving: boolean
  stopListening: (() => void) | undefined
}

/**
 * A line in which nobody stands.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Waiting>(): WaitingLine<Waiting> => ({ waiting: [], serving: false, stopListening: undefined })

/**
 * Runs `step`, which serves whom it can. Who is left is served again at the next ring of the doorbell: it was read before
 * the step looked, so no ring is missed. `step` may run fibers that come back here; `serving` makes that a no-op, because
 * the running step, or the step that each newcomer schedules, looks again.
 *
 * @since 0.1.0
 * @category operations
 */
export const serve = <Waiting>(line: WaitingLine<Waiting>, doorbell: Doorbell.Doorbell, step: () => void): void => {
  if (line.serving) return
  let rang = true
  while (rang) {
    line.serving = true
    const seen = Doorbell.readUnsafe(doorbell)
    step()
    line.serving = false
    if (line.waiting.length === 0) return stopListening(line)
    if (line.stopListening !== undefined) return
    rang = false
    const stop = Doorbell.onRingUnsafe(doorbell, seen, () => {
      rang = true
      if (line.stopListening === undefined) return
      line.stopListening = undefined
      serve(line, doorbell, step)
    })
    if (!rang) line.stopListening = stop
  }
}

const stopListening = <Waiting>(line: WaitingLine<Waiting>): void => {
  line.stopListening?.()
  line.stopListening = undefined
}

/**
 * Takes somebody out of the line, whether served or no longer waiting. Does nothing if they are not in it.
 *
 * @since 0.1.0
 * @category operations
 */
export const leave = <Waiting>(line: WaitingLine<Waiting>, waiting: Waiting): void => {
  const index = line.waiting.indexOf(waiting)
  if (index >= 0) line.waiting.splice(index, 1)
  if (line.waiting.length === 0) stopListening(line)
}
