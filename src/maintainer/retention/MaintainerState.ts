/**
 * What the maintainer's service keeps in memory, and how outcomes change it: the catalog, the limits, the failures,
 * what is offered to the queues. Synchronous throughout, so every caller sees an outcome applied whole.
 */
import { isConsumer } from "../../disk/FileNames.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { fileBytesOf, keepsFileLength } from "../../format/SegmentLayout.ts"
import type { Compression } from "../../format/SegmentName.ts"
import * as Arena from "../../shared/Arena.ts"
import { HeldBack } from "../../shared/Arena.ts"
import * as Doorbell from "../../shared/Doorbell.ts"
import * as TaskQueue from "../../shared/TaskQueue.ts"
import { putKeptFromUnsafe } from "../executor/MaintainerControl.ts"
import type { MaintainerControl } from "../executor/MaintainerControl.ts"
import type { StepFailure, StepOutcome } from "../steps/StepOutcome.ts"
import { DurableHolds } from "./DurableHolds.ts"
import { FreezeGate } from "./FreezeGate.ts"
import { Holds } from "./Holds.ts"
import * as Retention from "./Retention.ts"
import type { ClampedLimit, ResolvedLimits, RetainedSegment, RetentionAction, StepAction } from "./Retention.ts"
import { SegmentAges } from "./SegmentAges.ts"
import { newEntry, SegmentCatalog } from "./SegmentCatalog.ts"
import type { CatalogEntry } from "./SegmentCatalog.ts"

/** How many failures are remembered. */
const failuresKept = 1000

/** The queues that the service fills and watches. */
export interface MaintainerQueues {
  readonly toPersist: TaskQueue.TaskQueue
  readonly toFreeze: TaskQueue.TaskQueue
  readonly toFree: TaskQueue.TaskQueue
}

/**
 * A count for each queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface PerQueue {
  readonly persist: number
  readonly freeze: number
  readonly free: number
}

/** What the state must know of the maintainer's options. */
interface StateOptions {
  readonly compression: Compression
  readonly onHotLimit: "wait" | "exceed"
  /** Without an archive it is not given. */
  readonly onArchiveBehind?: "keep" | "free" | undefined
}

/** The newest closed segment of a log. */
export interface NewestSegment {
  readonly segmentIndex: number
  /** `true` while unknown. */
  readonly hasEvents: boolean
  readonly ageMillis: number | undefined
}

/** What the service keeps in memory, and how outcomes change it. Synchronous throughout. */
export class MaintainerState {
  readonly catalog = new SegmentCatalog()
  readonly failures: Array<StepFailure> = []
  readonly counts = { persist: 0, freeze: 0, free: 0, failures: 0 }
  limits: ResolvedLimits = Retention.defaultLimits
  freeBytes: number | undefined
  /** Segments before this one were asked to go. */
  freeBeforeIndex = 0
  /** Segments before this one were asked to be compressed. */
  freezeBeforeIndex = 0
  /** Hot segments in which a freeze found damage. */
  readonly damaged = new Set<number>()
  /** The acknowledged holes. */
  holes: ReadonlyArray<AcknowledgedHole> = []
  /** Cold segments whose deletion failed for good. */
  readonly undeletable = new Set<number>()
  /** Holds that something was deleted under, and which segment, until that is reported. */
  readonly exceeded: Array<{ readonly name: string; readonly segmentIndex: number; readonly isDurable: boolean }> = []

  /** Segments that were deleted before a consumer had read them, until that is counted. */
  missed = 0

  /** Segments before this one are archived. */
  archivedBefore = 0
  /** Segments that were deleted although they were not archived: their number, and those that are not reported yet. */
  freedUnarchived = 0
  readonly unarchived: Array<number> = []

  readonly options: StateOptions
  readonly directory: SegmentDirectory
  readonly arena: Arena.Arena | undefined
  readonly queues: MaintainerQueues
  readonly control: MaintainerControl
  readonly gate: FreezeGate
  readonly elapsed: () => number
  readonly holds: Holds
  readonly ages: SegmentAges
  readonly durableHolds: DurableHolds
  private isFreezingStopped = false
  /** Why the archive does not continue, as it told. */
  archiveProblem: string | undefined
  private readonly toTryAgain = new Set<number>()
  /** The newest segment, when its freeze is to be finished after its recorder has closed it. */
  private readonly unfinishedOpen = new Set<number>()

  constructor(parts: {
    readonly options: StateOptions
    readonly directory: SegmentDirectory
    /** Without a recorder there is none. */
    readonly arena: Arena.Arena | undefined
    readonly queues: MaintainerQueues
    readonly control: MaintainerControl
    /** How many executors there are. */
    readonly executors: number
    /** Elapsed time, and what the wall clock shows, in milliseconds. */
    readonly elapsed: () => number
    readonly wall: () => number
  }) {
    this.options = parts.options
    this.directory = parts.directory
    this.arena = parts.arena
    this.queues = parts.queues
    this.control = parts.control
    this.gate = new FreezeGate(parts.queues.toFreeze, parts.control, parts.executors)
    this.elapsed = parts.elapsed
    this.holds = new Holds(parts)
    this.ages = new SegmentAges(parts)
    this.durableHolds = new DurableHolds(this)
    putKeptFromUnsafe(this.control, this.unarchivedFrom)
  }

  /** Segments with this index or a later one stay until they are archived; `Infinity` when nothing waits for that. */
  private get unarchivedFrom(): number {
    return this.options.onArchiveBehind === "keep" ? this.archivedBefore : Number.POSITIVE_INFINITY
  }

  /** Segments from this one on stay, whatever the limits: they are held, or wait for the archive. */
  get keptFrom(): number {
    return Math.min(this.heldFrom, this.unarchivedFrom)
  }

  /** Segments from this one on are held. */
  private get heldFrom(): number {
    return Math.min(this.holds.heldFrom(), this.durableHolds.heldFrom())
  }

  /** Segments before this one are archived. Never moves back. */
  archived(segmentIndex: number): void {
    if (segmentIndex <= this.archivedBefore) return
    this.archivedBefore = segmentIndex
    putKeptFromUnsafe(this.control, this.unarchivedFrom)
    this.retain()
  }

  /**
   * What waits for the archive, oldest first. The newest segment waits once it is compressed: before that the next
   * start may continue it.
   */
  toArchive(): ReadonlyArray<RetentionAction> {
    const { archivedBefore, catalog, options } = this
    if (options.onArchiveBehind === undefined) return []
    const newest = catalog.newestKeptIndex
    return catalog.list()
      .filter(({ isHot, segmentIndex, state }) =>
        segmentIndex >= archivedBefore && state !== "open" && (segmentIndex < newest || !isHot)
      )
      .map(({ bytes, segmentIndex }) => ({ action: "archive", segmentIndex, bytes, because: "archiveBehind" }))
  }

  /** How far the archive is; `undefined` without one. */
  archivedStatus() {
    const { archivedBefore, freedUnarchived, options: { onArchiveBehind } } = this
    if (onArchiveBehind === undefined) return undefined
    const behind = this.toArchive()
    const oldest = behind[0]
    return {
      onBehind: onArchiveBehind,
      archivedBefore,
      behindSegments: behind.length,
      behindBytes: behind.reduce((sum, { bytes }) => sum + bytes, 0),
      behindMillis: oldest === undefined ? 0 : this.ages.of(oldest.segmentIndex) ?? 0,
      freedUnarchived,
      problem: this.archiveProblem
    }
  }

  /** Changes the limits; returns what had to be clamped. */
  setLimits(limits: ResolvedLimits): ReadonlyArray<ClampedLimit> {
    const { clamped, limits: used } = Retention.clampLimits(limits)
    this.limits = used
    return clamped
  }

  /**
   * Applies an outcome; `false` when it is known already: when an executor dies between reporting and completing a
   * task, its successor does the task again. `counted`: whether drains count it.
   */
  apply(outcome: StepOutcome, counted: boolean): boolean {
    const { segmentIndex } = outcome
    const known = this.catalog.get(segmentIndex)
    const one = counted ? 1 : 0
    switch (outcome._tag) {
      case "Opened": {
        if (known !== undefined) return false
        this.catalog.put(newEntry(segmentIndex, "open", true))
        return true
      }
      case "Persisted": {
        const { bytes, closedMillis, firstEventId, lastEventId } = outcome
        if (known !== undefined && (!known.isHot || known.state === "freezing")) return false
        this.counts.persist += one
        this.ages.closed(segmentIndex)
        const entry = newEntry(segmentIndex, "hot", true)
        const weight = this.weightOf(outcome.usedBytes)
        this.catalog.put({ ...entry, bytes, closedMillis, firstEventId, lastEventId, weight })
        return true
      }
      case "Frozen": {
        const { closedMillis, coldBytes, firstEventId, lastEventId } = outcome
        this.gate.ended(segmentIndex)
        this.damaged.delete(segmentIndex)
        if (known !== undefined && !known.isHot) return false
        this.counts.freeze += one
        if (!this.ages.isKnown(segmentIndex)) this.ages.closed(segmentIndex)
        this.catalog.put({
          ...newEntry(segmentIndex, "cold", false),
          compression: this.options.compression,
          bytes: coldBytes,
          closedMillis: closedMillis > 0 ? closedMillis : known?.closedMillis ?? 0,
          firstEventId: firstEventId ?? known?.firstEventId,
          lastEventId: lastEventId ?? known?.lastEventId,
          // A file of format 1 has the length of a full segment. An unknown length is 0.
          weight: known?.weight ?? this.weightOf(this.tellsUse(outcome.hotBytes) ? outcome.hotBytes : undefined)
        })
        return true
      }
      case "Freed": {
        if (known === undefined) return false
        this.counts.free += one
        this.catalog.remove(segmentIndex)
        this.ages.forget(segmentIndex)
        // Until the file system is asked again.
        if (this.freeBytes !== undefined) this.freeBytes += known.bytes
        return true
      }
      case "Quarantined": {
        const { bytes, firstEventId, kept, lastEventId } = outcome
        this.damaged.delete(segmentIndex)
        if (kept === "other form") this.makeDueAgain(segmentIndex)
        else if (kept === "nothing") {
          this.catalog.remove(segmentIndex)
          this.ages.forget(segmentIndex)
        } else {
          const closedMillis = known?.closedMillis ?? 0
          this.catalog.put({ ...newEntry(segmentIndex, "hot", true), bytes, closedMillis, firstEventId, lastEventId })
        }
        return true
      }
      case "Failed": {
        if (!outcome.isFinal) return true
        if (outcome.step === "freeze") this.gate.ended(segmentIndex)
        const isDamage = outcome.reason === "Corrupt" || outcome.reason === "VerifyFailed"
        if (outcome.step === "freeze" && isDamage && known?.isHot === true) this.damaged.add(segmentIndex)
        this.counts.failures += one
        const { _tag: _, isFinal: __, millis: ___, ...failure } = outcome
        this.failures.push(failure)
        if (this.failures.length > failuresKept) this.failures.shift()
        // To offer a hot segment for deletion is a mistake of the application, not a fault of the segment.
        if (outcome.step !== "free" || known?.isHot === false) this.catalog.update(segmentIndex, { state: "faulty" })
        if (outcome.step === "free" && known?.isHot === false) this.undeletable.add(segmentIndex)
        else if (outcome.isRetryable) this.toTryAgain.add(segmentIndex)
        return true
      }
    }
  }

  /**
   * Starts with what was found on disk: freezes that a crash interrupted are finished first; that of the newest segment
   * once its recorder has closed it, because opening gives the name of its hot file again.
   */
  begin(found: {
    readonly entries: ReadonlyArray<CatalogEntry>
    readonly unfinished: ReadonlyArray<number>
    readonly written: ReadonlyMap<number, number>
  }): void {
    for (const entry of found.entries) this.catalog.put({ ...entry, weight: this.weightOf(undefined) })
    for (const [segmentIndex, millis] of found.written) this.ages.found(segmentIndex, millis)
    for (const segmentIndex of found.unfinished) {
      const isOpen = this.arena !== undefined && this.catalog.get(segmentIndex)?.state === "open"
      if (isOpen) this.unfinishedOpen.add(segmentIndex)
      else this.offer("freeze", segmentIndex, 0)
    }
    this.retain()
  }

  /** What the maintainer would do now. */
  plan(): ReadonlyArray<StepAction> {
    const { ages, catalog, isFreezingStopped } = this
    const retained = (state: "hot" | "cold") => (position: number): RetainedSegment => {
      const { bytes, segmentIndex, weight = 0 } = catalog.entryAt(state, position)
      return { segmentIndex, bytes, weight, ageMillis: ages.of(segmentIndex) }
    }
    return Retention.plan({
      hotCount: catalog.count("hot"),
      hotAt: retained("hot"),
      coldCount: catalog.count("cold"),
      coldAt: retained("cold"),
      // Nothing is deleted for its weight before that is known.
      coldWeight: catalog.coldWeight - catalog.freeingWeight,
      // Nothing is deleted for a freeze that does not come.
      arrivingWeight: isFreezingStopped ? 0 : this.arrivingWeight(0) + this.waitedForWeight(),
      // What is being deleted is as good as gone: it must not be the reason to delete more.
      bytes: catalog.hotBytes + catalog.coldBytes - catalog.freeingBytes,
      freeBytes: this.freeBytes === undefined ? undefined : this.freeBytes + catalog.freeingBytes,
      heldFromIndex: this.heldFrom,
      keptFromIndex: Math.min(catalog.oldestKeptIndex, catalog.newestKeptIndex, this.unarchivedFrom),
      freeBeforeIndex: this.freeBeforeIndex,
      freezeBeforeIndex: this.freezeBeforeIndex,
      toContinueIndex: this.toContinueIndex()
    }, this.limits)
  }

  /** The newest segment, if the next start continues it. */
  private toContinueIndex(): number {
    const newest = this.catalog.get(this.catalog.newestKeptIndex)
    const isShort = this.arena !== undefined && newest?.state === "hot" && (newest.weight ?? 1) <= 1 / 2
    return isShort ? newest.segmentIndex : Number.POSITIVE_INFINITY
  }

  private tellsUse(fileBytes: number): boolean {
    return fileBytes > 0 && this.arena !== undefined && !keepsFileLength(this.arena.layout.version)
  }

  /**
   * What a segment counts that uses so much of the room of a full one; `undefined` when that is not known. Without a
   * recorder nothing is known of a full one, and every segment counts as one.
   */
  weightOf(usedBytes: number | undefined): number | undefined {
    if (this.arena === undefined) return 1
    if (usedBytes === undefined) return undefined
    return Retention.weightOf(usedBytes, fileBytesOf(this.arena.layout.version, this.arena.slotBytes))
  }

  /**
   * Makes segments due again whose step was abandoned although it may succeed later (a full disk has room again).
   * Without this, one bad minute would keep them, and every younger segment that should be deleted, until the next
   * start.
   */
  tryAgain(): void {
    for (const segmentIndex of this.toTryAgain) this.makeDueAgain(segmentIndex)
    this.toTryAgain.clear()
  }

  /** The segment verifies by now. */
  isWhole(segmentIndex: number): void {
    this.damaged.delete(segmentIndex)
    this.makeDueAgain(segmentIndex)
    this.retain()
  }

  /** The step that was abandoned on this segment may be due again. */
  makeDueAgain(segmentIndex: number): void {
    const known = this.catalog.get(segmentIndex)
    if (known?.state === "faulty") this.catalog.update(segmentIndex, { state: known.isHot ? "hot" : "cold" })
  }

  /** Segments before this one shall be compressed. */
  freezeBefore(segmentIndex: number): void {
    this.freezeBeforeIndex = Math.max(this.freezeBeforeIndex, segmentIndex)
    this.retain()
  }

  /** Segments before this one shall go. */
  freeBefore(segmentIndex: number): void {
    this.freeBeforeIndex = Math.max(this.freeBeforeIndex, segmentIndex)
    this.retain()
  }

  /**
   * Offers what is due, and publishes how many segments are hot. What does not fit into a queue is due again at the
   * next outcome. Deletions begin one at a time: with any number of executors, and whatever fails, only the oldest
   * segment is ever missing.
   */
  retain(): void {
    for (const { action, bytes, segmentIndex } of this.plan()) {
      if (action === "freeze" && !this.offer(action, segmentIndex, bytes)) break
    }
    this.letFreeze()
    const oldest = this.plan()[0]
    if (oldest?.action === "free" && this.catalog.count("freeing") === 0) {
      this.offer(oldest.action, oldest.segmentIndex, oldest.bytes)
    }
    this.publishHot()
  }

  /** Lets freezes through while there is a place for them. */
  private letFreeze(): void {
    const { gate } = this
    for (let next = gate.waiting; next !== undefined; next = gate.waiting) {
      // Two executors must not freeze the same segment side by side.
      if (gate.arriving.has(next) || (this.needsPlace(next) && !this.hasPlace(next))) return
      gate.letThrough()
    }
  }

  /** A freeze of a segment that is cold already makes nothing new. */
  private needsPlace(segmentIndex: number): boolean {
    return this.catalog.get(segmentIndex)?.isHot !== false
  }

  /** The weight of one that will be cold. Nothing is deleted, and no limit exceeded, for one that is not known yet. */
  private weightToCome(segmentIndex: number, ifUnknown: 0 | 1): number {
    const entry = this.catalog.get(segmentIndex)
    return entry === undefined ? 1 : entry.weight ?? ifUnknown
  }

  /** What the freezes that were let through add to the cold segments. */
  private arrivingWeight(ifUnknown: 0 | 1): number {
    let weight = 0
    for (const segmentIndex of this.gate.arriving) {
      if (this.needsPlace(segmentIndex)) weight += this.weightToCome(segmentIndex, ifUnknown)
    }
    return weight
  }

  /**
   * A place is made only for the next freeze, and only when it can begin: nothing is deleted for one that may never
   * run.
   */
  private waitedForWeight(): number {
    const { arriving, hasIdle, waiting } = this.gate
    const isWaitedFor = waiting !== undefined && hasIdle && !arriving.has(waiting) && this.needsPlace(waiting)
    return isWaitedFor ? this.weightToCome(waiting, 0) : 0
  }

  /**
   * Whether this segment may become cold. At the limit, it may not before the oldest is deleted, or before a
   * segment that is being frozen is cold and can be deleted. Where nothing may be deleted (the oldest is held, or there
   * would be a hole in the log), the freeze does not wait, and the limit is exceeded. It waits until the weights are
   * known.
   */
  private hasPlace(segmentIndex: number): boolean {
    const { catalog, limits } = this
    const arriving = this.arrivingWeight(1)
    if (limits.maxCompressedSegments === "unlimited") return true
    const weight = catalog.coldWeight + catalog.unweighed + arriving + this.weightToCome(segmentIndex, 1)
    if (weight <= limits.maxCompressedSegments) return true
    const isKnown = catalog.unweighed === 0 && this.weightToCome(segmentIndex, 0) > 0
    return isKnown && arriving === 0 && catalog.count("freeing") === 0 &&
      this.plan()[0]?.action !== "free"
  }

  private offer(action: StepAction["action"], segmentIndex: number, bytes: number): boolean {
    const queue = action === "freeze" ? this.queues.toFreeze : this.queues.toFree
    if (!TaskQueue.offerUnsafe(queue, { segmentIndex, bytes })) return false
    this.catalog.update(segmentIndex, { state: action === "freeze" ? "freezing" : "freeing" })
    if (action === "free") {
      for (const name of this.holds.exceed(segmentIndex)) this.exceeded.push({ name, segmentIndex, isDurable: false })
      for (const { isExceeded, name } of this.durableHolds.exceed(segmentIndex)) {
        if (isConsumer(name)) this.missed += 1
        if (!isExceeded) this.exceeded.push({ name, segmentIndex, isDurable: true })
      }
      if (this.options.onArchiveBehind !== undefined && segmentIndex >= this.archivedBefore) {
        this.freedUnarchived += 1
        this.unarchived.push(segmentIndex)
      }
    }
    return true
  }

  /** Tells the flusher how many segments are hot, and wakes it if it may be waiting for that. */
  private publishHot(): void {
    if (this.arena === undefined) return
    const { catalog, limits, options } = this
    const limit = options.onHotLimit === "wait" && !this.isFreezingStopped ? limits.maxSegments : 0
    Arena.putHotSegmentsUnsafe(this.arena, catalog.hotCount, catalog.newestIndex, limit)
    if (Arena.heldBack(this.arena) === HeldBack.HotLimit) Doorbell.ringUnsafe(this.arena.work)
  }

  /** A drain abandons freezing: from now on more hot segments than the limit may be opened. */
  stopFreezing(): void {
    this.isFreezingStopped = true
    this.publishHot()
  }

  /**
   * Marks open segments up to this index as closed. A segment up to this index that is not listed is gone: no report of
   * it is still to come.
   */
  closeThrough(segmentIndex: number): void {
    const { catalog } = this
    for (const entry of catalog.openThrough(segmentIndex)) catalog.update(entry.segmentIndex, { state: "hot" })
    for (const unfinished of this.unfinishedOpen) {
      if (unfinished <= segmentIndex) this.offer("freeze", unfinished, 0)
    }
    this.unfinishedOpen.clear()
    catalog.newestIndex = Math.max(catalog.newestIndex, segmentIndex)
    this.retain()
  }

  /** The newest segment that is closed. */
  newest(): NewestSegment | undefined {
    const { newestKeptIndex: segmentIndex } = this.catalog
    const entry = this.catalog.get(segmentIndex)
    if (entry === undefined || entry.state === "open") return undefined
    const { firstEventId, lastEventId } = entry
    const hasEvents = firstEventId === undefined || lastEventId === undefined || firstEventId <= lastEventId
    return { segmentIndex, hasEvents, ageMillis: this.ages.of(segmentIndex) }
  }

  /** Forgets a segment whose file was removed. */
  remove(segmentIndex: number): void {
    this.catalog.remove(segmentIndex)
    this.ages.forget(segmentIndex)
    this.retain()
  }
}
