/**
 * What the maintainer's service keeps in memory, and how outcomes change it: the catalog, the limits, the holds, the
 * failures. Synchronous throughout, so whoever calls it sees every outcome applied whole.
 *
 * @since 0.1.0
 */
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import * as Doorbell from "../../shared/Doorbell.ts"
import * as SegmentArena from "../../shared/SegmentArena.ts"
import type { Arena } from "../../shared/SegmentArena.ts"
import { HeldBack } from "../../shared/SegmentArena.ts"
import * as TaskQueue from "../../shared/TaskQueue.ts"
import * as TaskRing from "../../shared/TaskRing.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import type { ResolvedMaintainerOptions } from "../MaintainerOptions.ts"
import type { MaintainerEvent, StepFailure } from "../steps/StepOutcome.ts"
import type { FreezeGate } from "./FreezeGate.ts"
import * as Retention from "./Retention.ts"
import type { ClampedLimit, RetentionAction, RetentionLimits } from "./Retention.ts"
import { newEntry, SegmentCatalog } from "./SegmentCatalog.ts"

/**
 * Who keeps retention from deleting.
 *
 * @since 0.1.0
 * @category models
 */
export interface HoldStatus {
  readonly name: string
  /** This segment and later ones are kept. */
  readonly fromSegmentIndex: number
  /** Unix time in milliseconds; `Infinity` when it does not expire. */
  readonly expiresMillis: number
}

/**
 * A failed step and when it failed.
 *
 * @since 0.1.0
 * @category models
 */
export interface DatedFailure extends StepFailure {
  readonly atMillis: number
}

/** How many failures are remembered. */
const failuresKept = 1000

/**
 * The queues that the service fills and watches.
 *
 * @since 0.1.0
 * @category models
 */
export interface MaintainerQueues {
  readonly toPersist: TaskQueue.TaskQueue
  readonly toFreeze: TaskQueue.TaskQueue
  readonly toFree: TaskQueue.TaskQueue
}

interface MutableHold {
  readonly name: string
  fromSegmentIndex: number
  readonly expiresMillis: number
}

/**
 * What the service keeps in memory, and how outcomes change it. Synchronous throughout.
 *
 * @since 0.1.0
 * @category models
 */
export class MaintainerState {
  readonly catalog = new SegmentCatalog()
  readonly holds = new Set<MutableHold>()
  readonly failures: Array<DatedFailure> = []
  readonly counts = { persist: 0, freeze: 0, free: 0, failures: 0 }
  limits: RetentionLimits = Retention.defaultLimits
  freeBytes: number | undefined
  now: () => number = () => 0

  readonly options: ResolvedMaintainerOptions
  readonly directory: SegmentDirectory
  readonly gate: FreezeGate
  private readonly arena: Arena | undefined
  private readonly queues: MaintainerQueues
  private isFreezingStopped = false
  private readonly toTryAgain = new Set<number>()

  constructor(
    options: ResolvedMaintainerOptions,
    directory: SegmentDirectory,
    arena: Arena | undefined,
    queues: MaintainerQueues,
    gate: FreezeGate
  ) {
    this.options = options
    this.directory = directory
    this.arena = arena
    this.queues = queues
    this.gate = gate
  }

  setLimits(
    limits: RetentionLimits,
    telemetry: SegmentMaintainerUpdater
  ): ReadonlyArray<ClampedLimit> {
    const { clamped, limits: used } = Retention.clampLimits(limits)
    this.limits = used
    telemetry.setMaxSegments(used.maxSegments)
    const { maxCompressedSegments: maxCold } = used
    telemetry.setMaxCompressedSegments(maxCold === "unlimited" ? 0 : maxCold)
    return clamped
  }

  /**
   * Applies an outcome; `false` when it is known already: an executor that died between reporting and completing a task is
   * followed by one that does it again. `counts`: whether it is one of those that the drains count.
   */
  apply(event: MaintainerEvent, counts: boolean): boolean {
    const { segmentIndex } = event
    const known = this.catalog.get(segmentIndex)
    const one = counts ? 1 : 0
    switch (event._tag) {
      case "Opened": {
        if (known !== undefined) return false
        this.catalog.put(newEntry(segmentIndex, "open", true))
        return true
      }
      case "Persisted": {
        const { bytes, closedMillis, firstEventId, lastEventId } = event
        if (known !== undefined && (!known.isHot || known.state === "freezing")) return false
        this.counts.persist += one
        const entry = newEntry(segmentIndex, "hot", true)
        this.catalog.put({ ...entry, bytes, closedMillis, firstEventId, lastEventId })
        return true
      }
      case "Frozen": {
        const { closedMillis, coldBytes, firstEventId, lastEventId } = event
        this.gate.heard(segmentIndex)
        if (known !== undefined && !known.isHot) return false
        this.counts.freeze += one
        this.catalog.put({
          ...newEntry(segmentIndex, "cold", false),
          compression: this.options.compression,
          bytes: coldBytes,
          closedMillis: closedMillis > 0 ? closedMillis : known?.closedMillis ?? 0,
          firstEventId: firstEventId ?? known?.firstEventId,
          lastEventId: lastEventId ?? known?.lastEventId
        })
        return true
      }
      case "Freed": {
        if (known === undefined) return false
        this.counts.free += one
        this.catalog.remove(segmentIndex)
        // Until the file system is asked again.
        if (this.freeBytes !== undefined) this.freeBytes += known.bytes
        return true
      }
      case "Failed": {
        if (!event.isFinal) return true
        if (event.step === "freeze") this.gate.heard(segmentIndex)
        this.counts.failures += one
        const { _tag: _, isFinal: __, ...failure } = event
        this.failures.push(failure)
        if (this.failures.length > failuresKept) this.failures.shift()
        // Asking for a hot segment to be deleted is a mistake of whoever asked, not a fault of the segment.
        if (event.step !== "free" || known?.isHot === false) this.catalog.update(segmentIndex, { state: "faulty" })
        if (event.isRetryable) this.toTryAgain.add(segmentIndex)
        return true
      }
    }
  }

  /** Freezes that a crash interrupted are finished first. */
  begin(unfinished: ReadonlyArray<number>): void {
    for (const segmentIndex of unfinished) this.offer("freeze", segmentIndex, 0)
  }

  plan(): ReadonlyArray<RetentionAction> {
    const { catalog, isFreezingStopped } = this
    return Retention.plan({
      hotCount: catalog.count("hot"),
      hotAt: (position) => catalog.retainedAt("hot", position),
      coldCount: catalog.count("cold"),
      coldAt: (position) => catalog.retainedAt("cold", position),
      // Nothing is deleted for a freeze that does not come.
      arrivingCount: isFreezingStopped ? 0 : this.arrivingCount() + (this.isPlaceWaitedFor() ? 1 : 0),
      // What is being deleted is as good as gone: it must not be the reason to delete more.
      bytes: catalog.hotBytes + catalog.coldBytes - catalog.freeingBytes,
      nowMillis: this.now(),
      freeBytes: this.freeBytes === undefined ? undefined : this.freeBytes + catalog.freeingBytes,
      heldFromIndex: Math.min(this.heldFrom(), catalog.oldestKeptIndex, catalog.newestKeptIndex)
    }, this.limits)
  }

  /**
   * Segments whose step was given up although it may succeed later (a full disk has room again) are due again. Without
   * this one bad minute would keep them, and so everything younger that is to be deleted, until the next start.
   */
  tryAgain(): void {
    for (const segmentIndex of this.toTryAgain) {
      const known = this.catalog.get(segmentIndex)
      if (known?.state === "faulty") this.catalog.update(segmentIndex, { state: known.isHot ? "hot" : "cold" })
    }
    this.toTryAgain.clear()
  }

  /**
   * Offers what is due. What does not fit into a queue is due again at the next outcome. Deletions are begun one at a
   * time, so however many executors there are, and whatever fails, only the oldest segment is ever missing.
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
  }

  /** Lets the freezes through for which there is a place. */
  private letFreeze(): void {
    const { gate } = this
    for (let next = gate.waiting; next !== undefined; next = gate.waiting) {
      // Two executors must not freeze the same segment side by side.
      if (gate.arriving.has(next) || (this.needsPlace(next) && !this.hasPlace())) return
      gate.letThrough()
    }
  }

  /** A freeze of what is cold already makes nothing new. */
  private needsPlace(segmentIndex: number): boolean {
    return this.catalog.get(segmentIndex)?.isHot !== false
  }

  /** How many freezes were let through that will make one more cold segment. */
  private arrivingCount(): number {
    let count = 0
    for (const segmentIndex of this.gate.arriving) if (this.needsPlace(segmentIndex)) count += 1
    return count
  }

  /** A place is made for the next one alone, and when it can begin: nothing is deleted for a freeze that may never be. */
  private isPlaceWaitedFor(): boolean {
    const { arriving, hasIdle, waiting } = this.gate
    return waiting !== undefined && hasIdle && !arriving.has(waiting) && this.needsPlace(waiting)
  }

  /**
   * Whether one more segment may become cold. When the limit is reached, that is when the oldest is gone, or what is being
   * frozen is cold and can go; but where nothing may go (it is held, or deleting it would leave a hole), nothing is waited
   * for: then there are more than the limit allows.
   */
  private hasPlace(): boolean {
    const { catalog, limits } = this
    const arriving = this.arrivingCount()
    if (limits.maxCompressedSegments === "unlimited") return true
    if (catalog.coldCount + arriving < limits.maxCompressedSegments) return true
    return arriving === 0 && catalog.count("freeing") === 0 && this.plan()[0]?.action !== "free"
  }

  private offer(action: RetentionAction["action"], segmentIndex: number, bytes: number): boolean {
    const queue = action === "freeze" ? this.queues.toFreeze : this.queues.toFree
    if (!TaskQueue.offerUnsafe(queue, { segmentIndex, slot: -1, bytes })) return false
    this.catalog.update(segmentIndex, { state: action === "freeze" ? "freezing" : "freeing" })
    return true
  }

  /** Tells the flusher how many hot segments there are, and wakes it if it may be waiting for that. */
  publishHot(): void {
    if (this.arena === undefined) return
    const { catalog, limits, options } = this
    const limit = options.onHotLimit === "wait" && !this.isFreezingStopped ? limits.maxSegments : 0
    SegmentArena.putHotSegments(this.arena, catalog.hotCount, catalog.newestIndex, limit)
    if (SegmentArena.heldBack(this.arena) === HeldBack.HotLimit) Doorbell.ringUnsafe(this.arena.work)
  }

  /** A drain gives up freezing: from now on more hot segments than the limit may be opened. */
  stopFreezing(): void {
    this.isFreezingStopped = true
    this.publishHot()
  }

  addHold(name: string, fromSegmentIndex: number, expiresMillis: number): MutableHold {
    const hold: MutableHold = { name, fromSegmentIndex, expiresMillis }
    this.holds.add(hold)
    return hold
  }

  heldBy(): ReadonlyArray<HoldStatus> {
    const now = this.now()
    return [...this.holds].filter((hold) => hold.expiresMillis > now).map((hold) => ({ ...hold }))
  }

  private heldFrom(): number {
    if (this.holds.size === 0) return Number.POSITIVE_INFINITY
    return this.heldBy().reduce((least, hold) => Math.min(least, hold.fromSegmentIndex), Number.POSITIVE_INFINITY)
  }

  /** Open segments up to this index are closed. */
  closeThrough(segmentIndex: number): void {
    const { catalog } = this
    for (let entry = catalog.at("open", 0); entry !== undefined; entry = catalog.at("open", 0)) {
      if (entry.segmentIndex > segmentIndex) break
      catalog.update(entry.segmentIndex, { state: "hot" })
    }
  }

  setGauges(telemetry: SegmentMaintainerUpdater): void {
    const { catalog, queues } = this
    const now = this.now()
    telemetry.setGauge("hotSegments", catalog.hotCount)
    telemetry.setGauge("hotBytes", catalog.hotBytes)
    telemetry.setGauge("coldSegments", catalog.coldCount)
    telemetry.setGauge("coldBytes", catalog.coldBytes)
    if (this.freeBytes !== undefined) telemetry.setGauge("diskFreeBytes", this.freeBytes)
    const age = (queue: TaskQueue.TaskQueue): number => {
      const oldest = TaskRing.oldestMillisUnsafe(queue.ring)
      return oldest > 0 ? now - oldest : 0
    }
    telemetry.setGauge("persistPendingTasks", TaskQueue.sizeUnsafe(queues.toPersist))
    telemetry.setGauge("persistPendingBytes", TaskRing.pendingBytesUnsafe(queues.toPersist.ring))
    telemetry.setGauge("persistOldestPendingMillis", age(queues.toPersist))
    telemetry.setGauge("freezePendingTasks", TaskQueue.sizeUnsafe(queues.toFreeze))
    telemetry.setGauge("freezePendingBytes", TaskRing.pendingBytesUnsafe(queues.toFreeze.ring))
    telemetry.setGauge("freezeOldestPendingMillis", age(queues.toFreeze))
    telemetry.setGauge("freePendingTasks", TaskQueue.sizeUnsafe(queues.toFree))
    telemetry.setGauge("freePendingBytes", TaskRing.pendingBytesUnsafe(queues.toFree.ring))
    telemetry.setGauge("freeOldestPendingMillis", age(queues.toFree))
  }
}
