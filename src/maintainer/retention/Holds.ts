/** The holds of readers on segments: what is held is not deleted. */

/** What keeps retention from deleting. */
export interface HoldStatus {
  readonly name: string
  /** This segment and later ones are kept. */
  readonly fromSegmentIndex: number
  /** Unix time in milliseconds; `Infinity` when it does not expire. */
  readonly expiresMillis: number
}

/** A hold whose owner may move it. */
interface MovableHold extends HoldStatus {
  fromSegmentIndex: number
}

/** The holds of one directory. A hold ends when it is removed, or when its time has come. */
export class Holds {
  readonly #holds = new Set<MovableHold>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  add({ expiresMillis, fromSegmentIndex, name }: HoldStatus): MovableHold {
    const hold: MovableHold = { name, fromSegmentIndex, expiresMillis }
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
    const now = this.#now()
    return [...this.#holds].filter((hold) => hold.expiresMillis > now).map((hold) => ({ ...hold }))
  }

  /** Segments with this index or a later one are held; `Infinity` when none is. */
  heldFrom(): number {
    if (this.#holds.size === 0) return Number.POSITIVE_INFINITY
    return this.list().reduce((least, hold) => Math.min(least, hold.fromSegmentIndex), Number.POSITIVE_INFINITY)
  }
}
