/**
 * Measures the age of the oldest event after a position (the durable one, or that of a consumer), without a clock on
 * the append path. When a clock is read anyway (at a commit, a rotation, a durable step, a sampled append or a
 * snapshot), the newest event id is noted with the time. An event is at least as old as the first note that already
 * knew it.
 *
 * So the age is never too high. It is too low by at most the time between two notes: about one flush or rotation while
 * there is traffic. An event that is appended after a silence and not committed is dated by the first snapshot after
 * it.
 */

/**
 * The most notes that are kept. When they are full, every second one is dropped, and new ones are taken further apart:
 * the age is then too low by at most a sixteenth of the oldest event's age, and still never too high.
 */
export const notesMax = 64

/** The notes for one position. */
export class EventLag {
  /** Ascending, as `eventIds` are. No noted event is at the position or before it. */
  private readonly times: Array<number> = []
  private readonly eventIds: Array<number> = []
  private gapMillis = 0

  /** At the elapsed time `nowMillis` the newest event was `newest`, and the position had come to `position`. */
  note(nowMillis: number, newest: number, position: number): void {
    this.forget(position)
    if (newest <= (this.eventIds.at(-1) ?? position)) return
    if (nowMillis - (this.times.at(-1) ?? Number.NEGATIVE_INFINITY) < this.gapMillis) return
    if (this.times.length === notesMax) this.thin()
    this.times.push(nowMillis)
    this.eventIds.push(newest)
  }

  /** The age of the oldest event after `position`, in milliseconds; 0 if no note knows one. */
  millis(nowMillis: number, position: number): number {
    this.forget(position)
    return Math.max(0, nowMillis - (this.times[0] ?? nowMillis))
  }

  private forget(position: number): void {
    let done = 0
    while ((this.eventIds[done] ?? Number.POSITIVE_INFINITY) <= position) done += 1
    if (done === 0) return
    this.times.splice(0, done)
    this.eventIds.splice(0, done)
    if (this.times.length === 0) this.gapMillis = 0
  }

  /** Keeps the first note, which dates the oldest event. */
  private thin(): void {
    this.gapMillis = ((this.times.at(-1) ?? 0) - (this.times[0] ?? 0)) * 2 / notesMax
    for (let position = this.times.length - 1; position > 0; position -= 2) {
      this.times.splice(position, 1)
      this.eventIds.splice(position, 1)
    }
  }
}
