/**
 * The holds of durable positions (`PositionStore`): each holds every event after its position. Unlike a hold of `Holds`
 * it does not end with its owner's scope: it stands from the first step of retention on after a start, before its owner
 * is back, and until it is removed.
 *
 * A position is an event, and segments are what is deleted. The segment from which a position holds is the newest one
 * that is known to begin with the next event or an earlier one. Its first event is what never changes of a segment,
 * also while a start continues it. What is not known holds more, never less.
 *
 * A bound (`maxLagBytes`, `maxLagMillis`) limits what a position holds, oldest first. Nothing is deleted for it: it
 * only lets the limits delete.
 */
import * as Arena from "../../shared/Arena.ts"
import { EventLag } from "../../shared/EventLag.ts"
import type { SegmentAges } from "./SegmentAges.ts"
import type { CatalogEntry, SegmentCatalog } from "./SegmentCatalog.ts"

/**
 * What a durable position keeps retention from deleting.
 *
 * @since 0.1.0
 * @category models
 */
export interface DurableHoldStatus {
  readonly name: string
  /** The last event that is no longer needed. */
  readonly eventId: number
  /** This segment and later ones are kept, but for a bound. */
  readonly fromSegmentIndex: number
  /** Durable events after it; 0 without a recorder. */
  readonly behindEvents: number
  /** Of these segments, on disk; the segment that is being filled does not count. */
  readonly behindBytes: number
  /** For how long the oldest of these events has been there at least; 0 when there is none. */
  readonly behindMillis: number
  /** Whether its owner is there, in this process. */
  readonly isOwned: boolean
  /**
   * Something that it should keep was deleted, because of its bound or of `heldBytesMax`, and its owner knows not yet.
   */
  readonly isExceeded: boolean
  readonly maxLagBytes: number | undefined
  readonly maxLagMillis: number | undefined
}

/** A durable hold in memory. */
export interface DurableHoldEntry {
  readonly name: string
  readonly lag: EventLag
  eventId: number
  fromSegmentIndex: number
  isOwned: boolean
  isExceeded: boolean
  maxLagBytes: number | undefined
  maxLagMillis: number | undefined
}

/** The durable holds of one directory. */
export class DurableHolds {
  /** Whether it is known where the log ends. Until then every position holds everything. */
  isReady = false
  private readonly byName = new Map<string, DurableHoldEntry>()
  private readonly catalog: SegmentCatalog
  private readonly ages: SegmentAges
  private readonly arena: Arena.Arena | undefined
  private readonly elapsed: () => number

  constructor(parts: {
    readonly catalog: SegmentCatalog
    readonly ages: SegmentAges
    readonly arena: Arena.Arena | undefined
    readonly elapsed: () => number
  }) {
    this.catalog = parts.catalog
    this.ages = parts.ages
    this.arena = parts.arena
    this.elapsed = parts.elapsed
  }

  get names(): ReadonlyArray<string> {
    return [...this.byName.keys()]
  }

  get(name: string): DurableHoldEntry | undefined {
    return this.byName.get(name)
  }

  /** The hold of a name. One that is new holds everything. */
  of(name: string): DurableHoldEntry {
    const known = this.byName.get(name)
    if (known !== undefined) return known
    const hold: DurableHoldEntry = {
      name,
      lag: new EventLag(),
      eventId: 0,
      fromSegmentIndex: 0,
      isOwned: false,
      isExceeded: false,
      maxLagBytes: undefined,
      maxLagMillis: undefined
    }
    this.byName.set(name, hold)
    return hold
  }

  remove(name: string): void {
    this.byName.delete(name)
  }

  /** Segments with this index or a later one are held; `Infinity` when none is. */
  heldFrom(): number {
    let least = Number.POSITIVE_INFINITY
    if (!this.isReady && this.byName.size > 0) return 0
    for (const hold of this.byName.values()) {
      this.advance(hold)
      least = Math.min(least, this.boundedFrom(hold))
    }
    return least
  }

  /** This segment is deleted; returns the positions that still needed it, and whether they were passed before. */
  exceed(segmentIndex: number): ReadonlyArray<Pick<DurableHoldEntry, "name" | "isExceeded">> {
    const { lastEventId = Number.POSITIVE_INFINITY } = this.catalog.get(segmentIndex) ?? {}
    const exceeded = [...this.byName.values()].filter(({ eventId, fromSegmentIndex }) =>
      fromSegmentIndex <= segmentIndex && eventId < lastEventId
    )
    const before = exceeded.map(({ isExceeded, name }) => ({ isExceeded, name }))
    for (const hold of exceeded) hold.isExceeded = true
    return before
  }

  list(): ReadonlyArray<DurableHoldStatus> {
    return [...this.byName.values()].map((hold) => {
      this.advance(hold)
      const { lag: _, ...rest } = hold
      return { ...rest, ...this.behind(hold) }
    })
  }

  /** Notes which event is the newest now, so that it is known how long a position has been behind it. */
  note(hold: DurableHoldEntry): void {
    if (this.isReady && this.arena !== undefined) {
      hold.lag.note(this.elapsed(), Arena.durableEventId(this.arena), hold.eventId)
    }
  }

  /** The segments that are known and may still be passed: those after the one from which a position holds. */
  *later({ fromSegmentIndex }: Pick<DurableHoldEntry, "fromSegmentIndex">): IterableIterator<CatalogEntry> {
    const { catalog } = this
    const from = Math.max(fromSegmentIndex + 1, catalog.oldestIndex)
    for (let segmentIndex = from; segmentIndex <= catalog.newestIndex; segmentIndex++) {
      const entry = catalog.get(segmentIndex)
      if (entry !== undefined) yield entry
    }
  }

  /** Moves on to the newest segment that is known to begin with the next event or an earlier one. */
  private advance(hold: DurableHoldEntry): void {
    if (!this.isReady) return
    for (const { firstEventId, segmentIndex } of this.later(hold)) {
      if (firstEventId === undefined) continue
      if (firstEventId > hold.eventId + 1) return
      hold.fromSegmentIndex = segmentIndex
    }
  }

  /** Where a position holds from, within its bound. */
  private boundedFrom({ fromSegmentIndex, maxLagBytes, maxLagMillis }: DurableHoldEntry): number {
    if (maxLagBytes === undefined && maxLagMillis === undefined) return fromSegmentIndex
    const { ages, catalog } = this
    let bytes = this.bytesFrom(fromSegmentIndex)
    for (let from = Math.max(fromSegmentIndex, catalog.oldestIndex);; from++) {
      const entry = catalog.get(from)
      const isTooMuch = maxLagBytes !== undefined && bytes > maxLagBytes
      const isTooOld = maxLagMillis !== undefined && (ages.of(from) ?? 0) > maxLagMillis
      if (from > catalog.newestIndex || !isTooMuch && !isTooOld && entry !== undefined) return from
      bytes -= entry?.bytes ?? 0
    }
  }

  private bytesFrom(fromSegmentIndex: number): number {
    const { catalog } = this
    let bytes = catalog.hotBytes + catalog.coldBytes - catalog.freeingBytes
    for (let older = catalog.oldestIndex; older < Math.min(fromSegmentIndex, catalog.newestIndex + 1); older++) {
      const entry = catalog.get(older)
      if (entry !== undefined && entry.state !== "freeing") bytes -= entry.bytes
    }
    return bytes
  }

  private behind(
    hold: DurableHoldEntry
  ): Pick<DurableHoldStatus, "behindEvents" | "behindBytes" | "behindMillis"> {
    this.note(hold)
    const durable = this.arena === undefined ? 0 : Arena.durableEventId(this.arena)
    const behindEvents = Math.max(0, durable - hold.eventId)
    return {
      behindEvents,
      behindBytes: behindEvents === 0 ? 0 : this.bytesFrom(hold.fromSegmentIndex),
      behindMillis: hold.lag.millis(this.elapsed(), hold.eventId)
    }
  }
}
