/**
 * The holds of readers on segments: what is held is not deleted. How long a hold lasts is elapsed time: a wall clock
 * that is set meanwhile neither ends nor prolongs it.
 */

/**
 * What keeps retention from deleting.
 *
 * @since 0.1.0
 * @category models
 */
export interface HoldStatus {
  readonly name: string
  /** This segment and later ones are kept. */
  readonly fromSegmentIndex: number
  /** Unix time in milliseconds, by the wall clock when the hold began; `Infinity` when it does not expire. */
  readonly expiresMillis: number
  /** Something that it should keep was deleted, because holds kept more than `heldBytesMax`. */
  readonly isExceeded: boolean
}

/** A hold that begins. */
export interface NewHold extends Pick<HoldStatus, "name" | "fromSegmentIndex"> {
  /** `Infinity` when it does not expire. */
  readonly lastsMillis: number
}

/** A hold whose owner may move it. */
interface MovableHold extends HoldStatus {
  fromSegmentIndex: number
  /** The elapsed time at which it ends. */
  readonly endsElapsed: number
  isExceeded: boolean
}

/** The holds of one directory. A hold ends when it is removed, or when its time has come. */
export class Holds {
  readonly #holds = new Set<MovableHold>()
  readonly #elapsed: () => number
  readonly #wall: () => number

  constructor(clocks: { readonly elapsed: () => number; readonly wall: () => number }) {
    this.#elapsed = clocks.elapsed
    this.#wall = clocks.wall
  }

  add({ fromSegmentIndex, lastsMillis, name }: NewHold): MovableHold {
    const hold: MovableHold = {
      name,
      fromSegmentIndex,
      expiresMillis: this.#wall() + lastsMillis,
      endsElapsed: this.#elapsed() + lastsMillis,
      isExceeded: false
    }
    this.#holds.add(hold)
    return hold
  }

  /** Segments before this one are no longer held; `false` when they were not before. A hold never moves back. */
  advance(hold: MovableHold, toSegmentIndex: number): boolean {
    if (toSegmentIndex <= hold.fromSegmentIndex) return false
    hold.fromSegmentIndex = toSegmentIndex
    return true
  }

  remove(hold: MovableHold): void {
    this.#holds.delete(hold)
  }

  /** The holds that have not expired. */
  list(): ReadonlyArray<HoldStatus> {
    const now = this.#elapsed()
    return [...this.#holds].filter(({ endsElapsed }) => endsElapsed > now)
      .map(({ expiresMillis, fromSegmentIndex, isExceeded, name }) => ({
        name,
        fromSegmentIndex,
        expiresMillis,
        isExceeded
      }))
  }

  /** This segment is deleted although it may be held; returns the names of the holds that this is news to. */
  exceed(segmentIndex: number): ReadonlyArray<string> {
    const now = this.#elapsed()
    const exceeded = [...this.#holds].filter(({ endsElapsed, fromSegmentIndex, isExceeded }) =>
      !isExceeded && endsElapsed > now && fromSegmentIndex <= segmentIndex
    )
    for (const hold of exceeded) hold.isExceeded = true
    return exceeded.map(({ name }) => name)
  }

  /** Segments with this index or a later one are held; `Infinity` when none is. */
  heldFrom(): number {
    if (this.#holds.size === 0) return Number.POSITIVE_INFINITY
    return this.list().reduce((least, hold) => Math.min(least, hold.fromSegmentIndex), Number.POSITIVE_INFINITY)
  }
}
