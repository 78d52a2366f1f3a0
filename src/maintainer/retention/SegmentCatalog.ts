/**
 * What the maintainer knows to be on disk. The outcomes of its own steps keep it up to date, so the directory is listed
 * once, at the start. To add a segment, to move it and to find the oldest cost the same with ten segments and with ten
 * thousand.
 */
import type { Compression } from "../../format/SegmentName.ts"

/**
 * Where a segment is in its life.
 *
 * - `open`: being filled, or the newest one at the start, not known to be closed
 * - `hot`, `cold`: durable in that form, nothing under way
 * - `freezing`, `freeing`: handed to the rings
 * - `faulty`: a step on it was abandoned; it is left alone until the maintainer is started again, or for some seconds
 *   if the step may succeed later
 */
type SegmentState = "open" | "hot" | "freezing" | "cold" | "freeing" | "faulty"

/**
 * One segment. What is not known is `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CatalogEntry {
  readonly segmentIndex: number
  state: SegmentState
  /** A `.wal` exists. */
  isHot: boolean
  compression: Compression
  /** On disk, in its present form; 0 until known. */
  bytes: number
  /** Unix time by the wall clock of that moment, for people; 0 until known. Its age is in `SegmentAges`. */
  closedMillis: number
  firstEventId: number | undefined
  lastEventId: number | undefined
  /** What it counts towards `maxCompressedSegments`: 1 for a full one; `undefined` until known. */
  weight: number | undefined
}

/** A segment of which only the state is known. */
export const newEntry = (segmentIndex: number, state: CatalogEntry["state"], isHot: boolean): CatalogEntry => ({
  segmentIndex,
  state,
  isHot,
  compression: "frame",
  bytes: 0,
  closedMillis: 0,
  firstEventId: undefined,
  lastEventId: undefined,
  weight: undefined
})

/** Indices in ascending order. Cheap at both ends, correct everywhere. */
class AscendingIndices {
  private items: Array<number> = []
  private head = 0

  get count(): number {
    return this.items.length - this.head
  }

  at(position: number): number | undefined {
    return this.items[this.head + position]
  }

  add(index: number): void {
    const last = this.items.at(-1)
    if (this.count === 0 || last === undefined || index > last) this.items.push(index)
    else this.items.splice(this.find(index), 0, index)
  }

  remove(index: number): void {
    const position = this.find(index)
    if (this.items[position] !== index) return
    if (position > this.head) this.items.splice(position, 1)
    else if (++this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
  }

  private find(index: number): number {
    let low = this.head
    let high = this.items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.items[middle] ?? 0) < index) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The catalog of one directory. */
export class SegmentCatalog {
  private readonly entries = new Map<number, CatalogEntry>()
  private readonly byState: Record<SegmentState, AscendingIndices> = {
    open: new AscendingIndices(),
    hot: new AscendingIndices(),
    freezing: new AscendingIndices(),
    cold: new AscendingIndices(),
    freeing: new AscendingIndices(),
    faulty: new AscendingIndices()
  }
  /** The highest index ever known here; -1 = none. */
  newestIndex = -1
  hotBytes = 0
  coldBytes = 0
  /** Of the cold ones, those being freed. */
  freeingBytes = 0
  /** Of the cold ones whose weight is known, and of those among them that are being freed. */
  coldWeight = 0
  freeingWeight = 0
  /** How many cold ones have no weight yet. */
  unweighed = 0

  get size(): number {
    return this.entries.size
  }

  get(segmentIndex: number): CatalogEntry | undefined {
    return this.entries.get(segmentIndex)
  }

  count(state: SegmentState): number {
    return this.byState[state].count
  }

  /** How many segments have a `.wal`, except faulty ones. */
  get hotCount(): number {
    return this.count("open") + this.count("hot") + this.count("freezing")
  }

  /** How many segments exist only compressed, except faulty ones. */
  get coldCount(): number {
    return this.count("cold") + this.count("freeing")
  }

  /**
   * The oldest segment that is hot or faulty; `Infinity` when there is none. To delete a newer one would leave a hole
   * in the log.
   */
  get oldestKeptIndex(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const state of ["open", "hot", "freezing", "faulty"] satisfies ReadonlyArray<SegmentState>) {
      oldest = Math.min(oldest, this.byState[state].at(0) ?? oldest)
    }
    return oldest
  }

  /**
   * The newest segment; `Infinity` when there is none. It is never deleted: the ids and the chain continue from it.
   */
  get newestKeptIndex(): number {
    let newest = -1
    for (const indices of Object.values(this.byState)) {
      newest = Math.max(newest, indices.at(indices.count - 1) ?? newest)
    }
    return newest < 0 ? Number.POSITIVE_INFINITY : newest
  }

  /** The oldest segment; 0 when there is none. */
  get oldestIndex(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const indices of Object.values(this.byState)) oldest = Math.min(oldest, indices.at(0) ?? oldest)
    return Number.isFinite(oldest) ? oldest : 0
  }

  /** The position-th oldest segment in a state. */
  at(state: SegmentState, position: number): CatalogEntry | undefined {
    const index = this.byState[state].at(position)
    return index === undefined ? undefined : this.entries.get(index)
  }

  /** The position-th oldest segment in a state, which there must be. */
  entryAt(state: "hot" | "cold", position: number): Readonly<CatalogEntry> {
    const entry = this.at(state, position)
    if (entry === undefined) throw new RangeError(`no ${state} segment at ${position}`)
    return entry
  }

  /** The open segments up to this index. */
  openThrough(segmentIndex: number): ReadonlyArray<CatalogEntry> {
    const found: Array<CatalogEntry> = []
    for (let entry = this.at("open", 0); entry !== undefined; entry = this.at("open", found.length)) {
      if (entry.segmentIndex > segmentIndex) break
      found.push(entry)
    }
    return found
  }

  /** All segments, oldest first. */
  list(): ReadonlyArray<CatalogEntry> {
    return [...this.entries.values()].sort((a, b) => a.segmentIndex - b.segmentIndex)
  }

  /** Adds a segment, or replaces what is known of it. */
  put(entry: CatalogEntry): void {
    this.remove(entry.segmentIndex)
    this.entries.set(entry.segmentIndex, entry)
    this.byState[entry.state].add(entry.segmentIndex)
    this.newestIndex = Math.max(this.newestIndex, entry.segmentIndex)
    this.addBytes(entry, 1)
  }

  /** Changes what is known of a segment; does nothing for an unknown one. */
  update(segmentIndex: number, change: Partial<Omit<CatalogEntry, "segmentIndex">>): void {
    const entry = this.entries.get(segmentIndex)
    if (entry === undefined) return
    this.addBytes(entry, -1)
    if (change.state !== undefined && change.state !== entry.state) {
      this.byState[entry.state].remove(segmentIndex)
      this.byState[change.state].add(segmentIndex)
    }
    Object.assign(entry, change)
    this.addBytes(entry, 1)
  }

  remove(segmentIndex: number): void {
    const entry = this.entries.get(segmentIndex)
    if (entry === undefined) return
    this.addBytes(entry, -1)
    this.byState[entry.state].remove(segmentIndex)
    this.entries.delete(segmentIndex)
  }

  private addBytes(entry: CatalogEntry, sign: 1 | -1): void {
    if (entry.isHot) this.hotBytes += sign * entry.bytes
    else this.coldBytes += sign * entry.bytes
    if (entry.state === "freeing") this.freeingBytes += sign * entry.bytes
    const isCold = entry.state === "cold" || entry.state === "freeing"
    if (isCold && entry.weight === undefined) this.unweighed += sign
    if (isCold) this.coldWeight += sign * (entry.weight ?? 0)
    if (entry.state === "freeing") this.freeingWeight += sign * (entry.weight ?? 0)
  }
}
