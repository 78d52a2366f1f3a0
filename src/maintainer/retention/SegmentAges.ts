/**
 * How old the segments of a directory are. The wall clock can be set, so the difference between two of its readings is
 * not the time that has passed between them. Where times contradict each other, the younger age is used: a segment may
 * be kept too long, and is not deleted too early.
 *
 * - A segment that was closed in this run ages by elapsed time: from its closing, or, when it was closed because its
 *   events were due, from its newest event.
 * - A segment that was found at the start was last written when the time of its file tells. It cannot have been closed
 *   before an older segment or after a newer one. So a time in the future is replaced by that of the next newer
 *   segment, and one that lies before that of an older segment by the older one's. A time before 2020 counts as unknown
 *   too: a machine without a battery starts its clock at 1970.
 * - The time between the last write of an earlier run and this start is known only by the wall clock. It counts after
 *   the wall clock has kept step with elapsed time for `steadyMillis`. Until then a start follows the last write.
 * - When the wall clock is set back later, what it shows then is used at once, because it makes segments younger. When
 *   it is set forward, it is used after it has kept step again for `steadyMillis`.
 */
import * as Duration from "effect/Duration"

/** So long the wall clock keeps step with elapsed time before it is believed. */
export const steadyMillis = 5 * 60_000

const earliestMillis = Date.UTC(2020, 0)

/** A smaller difference is not a clock that was set, but one that is being corrected slowly. */
const toleranceMillis = 1000

/**
 * How often ages are compared with this limit: a segment goes within a sixteenth of the limit after it is due, and ages
 * are looked at ten times a second at most, and every ten seconds at least.
 */
export const lookMillis = (ageMax: Duration.Duration | undefined): number =>
  ageMax === undefined ? 10_000 : Math.min(10_000, Math.max(100, Duration.toMillis(ageMax) / 16))

/** The ages of the segments of one directory, by their indices. */
export class SegmentAges {
  /** Of segments that were closed in this run: the elapsed time at their closing. */
  readonly #closed = new Map<number, number>()
  /** Of those that were closed because their events were due: the elapsed time of the newest event. */
  readonly #quiet = new Map<number, number>()
  /** Of segments that were found: when their file was last written, in Unix time. */
  readonly #written = new Map<number, number>()
  /** The same segments: the elapsed time at their last write as it is believed now; at most that of the start. */
  #believed: ReadonlyMap<number, number> = new Map()

  readonly #elapsed: () => number
  readonly #wall: () => number
  readonly #startElapsed: number
  /** The Unix time at elapsed time 0: as the wall clock last showed it, and as it is believed. */
  #shownOrigin: number
  #believedOrigin: number | undefined
  #steadySince: number

  constructor(clocks: { readonly elapsed: () => number; readonly wall: () => number }) {
    this.#elapsed = clocks.elapsed
    this.#wall = clocks.wall
    this.#startElapsed = this.#steadySince = clocks.elapsed()
    this.#shownOrigin = clocks.wall() - this.#startElapsed
  }

  /** Nothing was appended to the segment, which is about to be closed, after this elapsed time. */
  quietSince(segmentIndex: number, elapsedMillis: number): void {
    this.#quiet.set(segmentIndex, elapsedMillis)
  }

  /** The segment has been closed now. */
  closed(segmentIndex: number): void {
    this.#closed.set(segmentIndex, this.#quiet.get(segmentIndex) ?? this.#elapsed())
  }

  /** The segment was there at the start, last written at this Unix time. What is known already stays. */
  found(segmentIndex: number, writtenMillis: number): void {
    if (!this.#written.has(segmentIndex)) this.#written.set(segmentIndex, writtenMillis)
  }

  /** Whether the age of the segment is known, or will be when everything that was found is known. */
  isKnown(segmentIndex: number): boolean {
    return this.#closed.has(segmentIndex) || this.#written.has(segmentIndex)
  }

  /** The segment is gone. */
  forget(segmentIndex: number): void {
    this.#closed.delete(segmentIndex)
    this.#quiet.delete(segmentIndex)
    this.#written.delete(segmentIndex)
  }

  /** Milliseconds since the closing of the segment; `undefined` while unknown. */
  of(segmentIndex: number): number | undefined {
    const since = this.#closed.get(segmentIndex) ?? this.#believed.get(segmentIndex)
    return since === undefined ? undefined : this.#elapsed() - since
  }

  /** What was found is known. To be called again when more of it has become known. */
  settle(): void {
    if (this.#believedOrigin === undefined) {
      const newest = Math.max(-1, ...this.#written.keys())
      const lastWritten = this.#written.get(newest) ?? Number.POSITIVE_INFINITY
      this.#believedOrigin = Math.min(this.#shownOrigin, lastWritten - this.#startElapsed)
    }
    this.#believed = this.#judge(this.#believedOrigin)
  }

  /**
   * Compares the wall clock with elapsed time; to be called every few seconds. Returns by how many milliseconds the
   * wall clock was set since the last call: positive for forward, 0 when it was not set.
   */
  observe(): number {
    const now = this.#elapsed()
    const origin = this.#wall() - now
    const setMillis = origin - this.#shownOrigin
    const wasSet = Math.abs(setMillis) > toleranceMillis
    this.#shownOrigin = origin
    if (wasSet) this.#steadySince = now
    const later = this.#believedOrigin === undefined ? 0 : origin - this.#believedOrigin
    const isPlausible = later < 0 || now - this.#steadySince >= steadyMillis
    if (Math.abs(later) > toleranceMillis && isPlausible) {
      this.#believedOrigin = origin
      this.settle()
    }
    return wasSet ? setMillis : 0
  }

  /**
   * The elapsed time at the last write of every segment that was found, if this was the Unix time at elapsed time 0.
   */
  #judge(origin: number): ReadonlyMap<number, number> {
    const startMillis = origin + this.#startElapsed
    const newestFirst = [...this.#written].sort(([a], [b]) => b - a)
    let newer = startMillis
    const past = newestFirst.map(([segmentIndex, writtenMillis]) => {
      if (writtenMillis >= earliestMillis && writtenMillis <= startMillis) newer = writtenMillis
      return [segmentIndex, newer] as const
    })
    const believed = new Map<number, number>()
    let older = Number.NEGATIVE_INFINITY
    for (const [segmentIndex, millis] of past.toReversed()) {
      older = Math.max(older, millis)
      believed.set(segmentIndex, older - origin)
    }
    return believed
  }
}
