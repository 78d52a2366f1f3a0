/**
 * Looks at the directory at the very moment at which an executor changes it, and so holds what is promised for every
 * moment and not only in the end: hot and cold segments within their limits (but for those on which a step was given up,
 * and for what is held), nothing deleted that somebody holds.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ResolvedLimits } from "../../src/maintainer/retention/Retention.ts"
import { steadyMillis } from "../../src/maintainer/retention/SegmentAges.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import type { Model } from "./Model.ts"
import { Violation } from "./Trace.ts"
import type { Weights } from "./Weights.ts"

/** Segments from this one on are kept, but for those that were being deleted already. */
export interface WatchedHold {
  readonly fromSegmentIndex: number
  /** By the clock that no one sets. */
  readonly endsMillis: number
  readonly beingFreed: ReadonlySet<number>
}

/** One segment of the directory, in one of its forms. */
export interface SegmentOnDisk {
  readonly path: string
  readonly segmentIndex: number
  readonly isHot: boolean
  readonly bytes: number
  readonly content: Uint8Array
}

/** A file is written so long before its segment is reported closed, at most, and frozen so long after. */
const toldMillis = 10_000

const isCold = (path: string): boolean => /\.lz4b?$/.test(path)

const segmentPath = /^\/wal\/FS\.(\d{8})\.wal(\.lz4b?)?$/

const indexIn = (path: string): number => Number(segmentPath.exec(path)?.[1])

export const segmentsOnDisk = (simulated: SimulatedDisk["Service"]): ReadonlyArray<SegmentOnDisk> =>
  [...Effect.runSync(simulated.files)].flatMap(([path, content]) => {
    const match = segmentPath.exec(path)
    if (match === null) return []
    return [{ path, segmentIndex: Number(match[1]), isHot: match[2] === undefined, bytes: content.length, content }]
  })

/** -1 when none is compressed. */
const newestColdIn = (files: ReadonlyArray<SegmentOnDisk>): number =>
  files.reduce((newest, { isHot, segmentIndex }) => isHot ? newest : Math.max(newest, segmentIndex), -1)

export class DirectoryWatch {
  readonly holds = new Set<WatchedHold>()
  /** Segments on which a step was given up in this life. */
  readonly givenUp = new Set<number>()
  /** The most hot segments that any limit in force in this life allows. */
  hotMax: number
  /** The most cold ones, in full ones' worth: that any limit in force allows, or that this life has found. */
  #coldMax: number
  /** The fewest that any limit in force in this life allows; 0 when something else than their number may delete. */
  #coldMin = Number.POSITIVE_INFINITY
  #holdCount = 0
  /** No limit that was in force in this life deletes anything but for its age, and the least such age. */
  #isOnlyAge = true
  #ageMin = Number.POSITIVE_INFINITY
  /** Segments that were reported closed in this life, and when. */
  readonly #closedHere = new Map<number, number>()
  #startMillis: number
  /** From then on at the latest, what was found at the start grows older. */
  #openedMillis: number
  /** Segments that the last attempt to open the directory has found, and the newest one that was compressed by then. */
  #found: ReadonlySet<number>
  #newestColdFound: number
  readonly #model: Model
  readonly weights: Weights
  /** A segment in quarantine was whole when a deletion was decided, and counts less when it happens. */
  hasDamage = false
  /** What was held has let there be more, and they are not yet gone. */
  #mayExceedCold = false
  readonly #simulated: SimulatedDisk["Service"]
  readonly #violated: (violation: Violation) => void

  constructor(
    simulated: SimulatedDisk["Service"],
    model: Model,
    startMillis: number,
    hotMax: number,
    weights: Weights,
    violated: (violation: Violation) => void
  ) {
    this.#model = model
    this.#startMillis = this.#openedMillis = startMillis
    this.#simulated = simulated
    this.hotMax = hotMax
    this.weights = weights
    const found = segmentsOnDisk(simulated)
    this.#found = new Set(found.map(({ segmentIndex }) => segmentIndex))
    this.#newestColdFound = newestColdIn(found)
    this.#coldMax = weights.sum(found.filter(({ isHot }) => !isHot))
    this.#violated = violated
  }

  /** An attempt to open the directory begins: what was closed before it is found by it. */
  opens(nowMillis: number): void {
    this.#startMillis = this.#openedMillis = nowMillis
    const found = segmentsOnDisk(this.#simulated)
    this.#found = new Set(found.map(({ segmentIndex }) => segmentIndex))
    this.#newestColdFound = newestColdIn(found)
    this.#closedHere.clear()
  }

  /** The attempt has succeeded. Ages begin somewhere in it, and a slow disk makes it long. */
  opened(nowMillis: number): void {
    this.#openedMillis = nowMillis
  }

  allow({ ageMax, bytesMax, freeBytesMin, maxCompressedSegments, maxSegments }: ResolvedLimits): void {
    if (maxCompressedSegments !== "unlimited" || (bytesMax ?? freeBytesMin) !== undefined) this.#isOnlyAge = false
    this.#ageMin = Math.min(this.#ageMin, Duration.toMillis(ageMax ?? "Infinity"))
    this.hotMax = Math.max(this.hotMax, maxSegments)
    const coldMax = maxCompressedSegments === "unlimited" ? Number.POSITIVE_INFINITY : maxCompressedSegments
    this.#coldMax = Math.max(this.#coldMax, coldMax)
    const isOnlyNumber = (bytesMax ?? ageMax ?? freeBytesMin) === undefined
    this.#coldMin = isOnlyNumber ? Math.min(this.#coldMin, coldMax) : 0
  }

  /** A hold of whomever has begun (1) or ended (-1): segments may be frozen although nothing may go for them. */
  held(change: 1 | -1): void {
    this.#holdCount += change
    this.#mayExceedCold = true
  }

  /** A file of an executor has got this name. */
  renamed(to: string): void {
    if (isCold(to)) return this.#lookAtCold(to)
    if (!to.endsWith(".wal") || this.hotMax === Number.POSITIVE_INFINITY) return
    // It was hot when this life began: it is continued, or has its name back after a removal that was not confirmed.
    if (this.#found.has(indexIn(to))) return
    const hot =
      segmentsOnDisk(this.#simulated).filter(({ isHot, segmentIndex }) => isHot && !this.givenUp.has(segmentIndex))
        .length
    if (hot > this.hotMax) this.#violated(new Violation(`${hot} hot segments, at most ${this.hotMax} may be`))
  }

  /** Every compressed file counts, also one beside the `.wal` that it was made from. */
  #lookAtCold(changed: string): void {
    if (this.#coldMax === Number.POSITIVE_INFINITY || this.givenUp.size > 0) return
    const files = segmentsOnDisk(this.#simulated).filter(({ isHot }) => !isHot)
    const cold = files.reduce((sum, file) => sum + this.weights.atLeast(file), 0)
    // An earlier life has given it up: nothing could be deleted before it, and now it is the first to go; or one after it
    // was compressed by then, perhaps without losing its `.wal` too.
    const isOldest = files.every(({ path }) => path >= changed)
    const wasGivenUp = isOldest || indexIn(changed) < this.#newestColdFound
    // One that was begun under a hold may still come.
    if (this.#holdCount === 0 && cold <= this.#coldMax - 1) this.#mayExceedCold = false
    if (cold > this.#coldMax && !this.#mayExceedCold && !wasGivenUp) {
      this.#violated(new Violation(`cold segments of ${cold} full ones' worth, at most ${this.#coldMax} may be`))
    }
  }

  /** When nothing but their number may delete, there were full ones' worth: with those that are still to come. */
  #lookAtWeight(path: string): void {
    if (this.hasDamage) return
    const weight = this.weights.ofGone(path) + this.weights.sum(segmentsOnDisk(this.#simulated))
    if (weight > this.#coldMin) return
    this.#violated(
      new Violation(`${path} was deleted, although all segments were ${weight} full ones' worth of ${this.#coldMin}`)
    )
  }

  /** Nothing is deleted before its successor is there. */
  #lookForCold(hotPath: string, segmentIndex: number): void {
    if (this.#isThere(segmentIndex)) return
    this.#violated(new Violation(`${hotPath} was deleted, and nothing has taken its place`))
  }

  #isThere(segmentIndex: number): boolean {
    return segmentsOnDisk(this.#simulated).some((file) => file.segmentIndex === segmentIndex)
  }

  /** An executor has reported this segment closed, with this last event or, without events, the one before it. */
  closed(segmentIndex: number, hasEvents: boolean, lastEventId: number, nowMillis: number): void {
    const { appendedMillis, newestMillis } = this.#model
    if (this.#closedHere.has(segmentIndex)) return
    this.#closedHere.set(segmentIndex, nowMillis)
    newestMillis.set(segmentIndex, hasEvents ? appendedMillis[lastEventId - 1] ?? nowMillis : nowMillis)
  }

  /** When nothing but age may delete, what was deleted was old enough, whatever the wall clock showed. */
  #lookAtAge(segmentIndex: number, nowMillis: number): void {
    const { newestMillis, wasClockBelieved } = this.#model
    const since = newestMillis.get(segmentIndex)
    if (!this.#isOnlyAge || since === undefined) return
    // Of what an earlier life has closed, only the times of files tell, when nothing contradicts them.
    const isTold = this.#closedHere.has(segmentIndex)
    if (!isTold && (wasClockBelieved || nowMillis - this.#startMillis > steadyMillis)) return
    const ageMin = this.#ageMin - (isTold ? 0 : toldMillis)
    if (nowMillis - since < ageMin) {
      this.#violated(
        new Violation(
          `segment ${segmentIndex} was deleted ${nowMillis - since} ms after its newest event, not ${ageMin}`
        )
      )
    }
  }

  /**
   * Since when this segment surely counts as closed: what was found, since the directory is open, and of what was not
   * reported nothing is known.
   */
  closedSince(segmentIndex: number, nowMillis: number): number {
    return this.#closedHere.get(segmentIndex) ?? (this.#found.has(segmentIndex) ? this.#openedMillis : nowMillis)
  }

  /** An executor has taken this name away. */
  nameGone(path: string, nowMillis: number): void {
    const match = segmentPath.exec(path)
    if (match === null) return
    const segmentIndex = Number(match[1])
    if (!isCold(path)) return this.#lookForCold(path, segmentIndex)
    this.#lookAtCold(path)
    // One of two forms, of which a freeze leaves one.
    if (this.#isThere(segmentIndex)) return
    this.#lookAtAge(segmentIndex, nowMillis)
    this.#lookAtWeight(path)
    for (const { beingFreed, endsMillis, fromSegmentIndex } of this.holds) {
      if (segmentIndex < fromSegmentIndex || endsMillis <= nowMillis || beingFreed.has(segmentIndex)) continue
      this.#violated(new Violation(`segment ${segmentIndex} was deleted, but is held from ${fromSegmentIndex} on`))
    }
  }
}

/** After a drain with nothing that failed: what is there is within the limits. */
export const checkLimits = (options: {
  readonly segments: ReadonlyArray<SegmentOnDisk>
  readonly limits: ResolvedLimits
  /** Since when each segment is known to have been closed, by a clock that no one sets. */
  readonly closedMillis: (segmentIndex: number) => number
  readonly nowMillis: number
  readonly weights: Weights
}): void => {
  const { closedMillis, limits, nowMillis, segments, weights } = options
  const hot = segments.filter(({ isHot }) => isHot)
  const cold = segments.filter(({ isHot }) => !isHot)
  const newest = Math.max(-1, ...segments.map(({ segmentIndex }) => segmentIndex))
  const oldestHot = Math.min(newest, ...hot.map(({ segmentIndex }) => segmentIndex))
  const deletable = cold.filter(({ segmentIndex }) => segmentIndex < oldestHot)
  const fail = (words: string): never => {
    throw new Violation(`after a drain ${words}; the limits are ${JSON.stringify(limits)}`)
  }
  // The next start continues the newest when it is short.
  const full = hot.filter((file) => file.segmentIndex < newest || weights.of(file) > 1 / 2)
  if (full.length > 0 && hot.length > Math.max(1, limits.maxSegments - 2)) fail(`${hot.length} segments are hot`)
  const { ageMax, bytesMax, maxCompressedSegments } = limits
  if (maxCompressedSegments !== "unlimited" && weights.sumAtLeast(cold) > maxCompressedSegments) {
    fail(`${cold.length} segments are cold, full ones' worth: ${weights.sumAtLeast(cold)}`)
  }
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
  if (bytesMax !== undefined && bytes > bytesMax && hot.length + deletable.length > 0) {
    fail(`${bytes} bytes are there, of which some could go`)
  }
  // Only ever the oldest is frozen or deleted, so it decides.
  for (const oldest of [oldestOf(hot), oldestOf(deletable)]) {
    const closed = oldest === undefined ? nowMillis : closedMillis(oldest.segmentIndex)
    if (nowMillis - closed > Duration.toMillis(ageMax ?? "Infinity")) {
      fail(`segment ${oldest?.segmentIndex} is too old: ${nowMillis - closed} ms`)
    }
  }
}

const oldestOf = (segments: ReadonlyArray<SegmentOnDisk>): SegmentOnDisk | undefined =>
  segments.toSorted((a, b) => a.segmentIndex - b.segmentIndex)[0]
