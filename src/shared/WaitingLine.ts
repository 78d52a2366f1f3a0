/** A line of fibers of one thread that wait for a doorbell. They are served in the order in which they came. */
import * as Doorbell from "./Doorbell.ts"

/**
 * A line of waiters. `serving` is true while a step runs; `stopListening` removes the line's listener from the
 * doorbell.
 */
export interface WaitingLine<Waiting> {
  readonly waiting: Array<Waiting>
  serving: boolean
  stopListening: (() => void) | undefined
}

/** Makes an empty line. */
export const make = <Waiting>(): WaitingLine<Waiting> => ({ waiting: [], serving: false, stopListening: undefined })

/**
 * Runs `step`, which serves the waiters that it can. If any are left, it runs again at the next ring of the doorbell.
 * The doorbell was read before the step looked, so no ring is missed. `step` may resume fibers that call `serve` again.
 * That call does nothing while `serving` is true, because the running step looks again, and so does the step that each
 * newcomer schedules.
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

/** Removes a waiter from the line, after it was served or interrupted. Does nothing if it is not in the line. */
export const leave = <Waiting>(line: WaitingLine<Waiting>, waiting: Waiting): void => {
  const index = line.waiting.indexOf(waiting)
  if (index >= 0) line.waiting.splice(index, 1)
  if (line.waiting.length === 0) stopListening(line)
}
