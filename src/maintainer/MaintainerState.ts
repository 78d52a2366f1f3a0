/**
 * What the maintainer's service keeps in memory, and how outcomes change it: the catalog, the limits, the holds, the
 * failures. Synchronous throughout, so whoever calls it sees every outcome applied whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { coldPath, filesOf, hotPath } from "../disk/SegmentDirectory.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import type { Arena } from "../shared/SegmentArena.ts"
import { HeldBack } from "../shared/SegmentArena.ts"
import * as TaskQueue from "../shared/TaskQueue.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import type { SegmentMaintainerUpdater } from "../telemetry/SegmentMaintainerUpdater.ts"
import type { MaintainerEvent, StepFailure } from "./MaintainerEvent.ts"
import type { ResolvedMaintainerOptions } from "./MaintainerOptions.ts"
import * as Retention from "./Retention.ts"
import type { ClampedLimit, RetentionAction, RetentionLimits } from "./Retention.ts"
import { SegmentCatalog } from "./SegmentCatalog.ts"
import type { CatalogEntry } from "./SegmentCatalog.ts"

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
  private readonly arena: Arena | undefined
  private readonly queues: MaintainerQueues
  private exceedsHotLimit = false
  private readonly toTryAgain = new Set<number>()

  constructor(
    options: ResolvedMaintainerOptions,
    arena: Arena | undefined,
    queues: MaintainerQueues
  ) {
    this.options = options
    this.arena = arena
    this.queues = queues
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
   * followed by one that does it again.
   */
  apply(event: MaintainerEvent): boolean {
    const { segmentIndex } = event
    const known = this.catalog.get(segmentIndex)
    switch (event._tag) {
      case "Opened": {
        if (known !== undefined) return false
        this.catalog.put(newEntry(segmentIndex, "open", true))
        return true
      }
      case "Persisted": {
        const { bytes, closedMillis, firstEventId, lastEventId } = event
        if (known !== undefined && (!known.isHot || known.state === "freezing")) return false
        this.counts.persist += 1
        const entry = newEntry(segmentIndex, "hot", true)
        this.catalog.put({ ...entry, bytes, closedMillis, firstEventId, lastEventId })
        return true
      }
      case "Frozen": {
        const { closedMillis, coldBytes, firstEventId, lastEventId } = event
        if (known !== undefined && !known.isHot) return false
        this.counts.freeze += 1
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
        this.counts.free += 1
        this.catalog.remove(segmentIndex)
        // Until the file system is asked again.
        if (this.freeBytes !== undefined) this.freeBytes += known.bytes
        return true
      }
      case "Failed": {
        if (!event.isFinal) return true
        this.counts.failures += 1
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
    const { catalog } = this
    return Retention.plan({
      hotCount: catalog.count("hot"),
      hotAt: (position) => catalog.retainedAt("hot", position),
      coldCount: catalog.count("cold"),
      coldAt: (position) => catalog.retainedAt("cold", position),
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
      if (action === "free" && this.catalog.count("freeing") > 0) continue
      if (!this.offer(action, segmentIndex, bytes)) return
    }
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
    const limit = options.onHotLimit === "wait" && !this.exceedsHotLimit ? limits.maxSegments : 0
    SegmentArena.putHotSegments(this.arena, catalog.hotCount, catalog.newestIndex, limit)
    if (SegmentArena.heldBack(this.arena) === HeldBack.HotLimit) Doorbell.ringUnsafe(this.arena.work)
  }

  /** From now on more hot segments than the limit may be opened: for a drain that gives up freezing. */
  exceedHotLimit(): void {
    this.exceedsHotLimit = true
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

  /** Open segments up to this index are closed although nobody said so; their lengths and times are asked for. */
  closedThrough(segmentIndex: number, disk: Disk["Service"]): Effect.Effect<void> {
    this.closeThrough(segmentIndex)
    // Nobody may have heard that these came about at all: a report dies with the thread that sent it.
    for (let unheard = this.catalog.newestIndex + 1; unheard <= segmentIndex; unheard++) {
      this.catalog.put(newEntry(unheard, "hot", true))
    }
    return this.learnSizes(disk)
  }

  /** What was given to be frozen or deleted and is not known to be done. */
  underWay(): ReadonlyArray<Readonly<CatalogEntry>> {
    return this.catalog.list().filter(({ state }) => state === "freezing" || state === "freeing")
  }

  /**
   * After a death, when nobody works on anything and every report that can come has come: reports that died with their
   * thread are made up for by what the disk shows. Without this a segment would stay under way for ever, and nothing younger
   * be deleted. `report` hears of each.
   */
  learnUnheard(disk: Disk["Service"], report: (event: MaintainerEvent) => void): Effect.Effect<void, DiskError> {
    const { catalog, options } = this
    const { directory, naming } = options
    const bytesOf = (path: string): Effect.Effect<number | undefined, DiskError> =>
      disk.stat(path).pipe(
        Effect.map(({ bytes }) => bytes),
        Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined))
      )
    return Effect.forEach(this.underWay(), ({ compression, segmentIndex, state }) =>
      Effect.gen(function*() {
        const isFreed = state === "freeing"
        const cold = coldPath(directory, naming, segmentIndex, isFreed ? compression : options.compression)
        const old = isFreed ? cold : hotPath(directory, naming, segmentIndex)
        const isThere = (yield* bytesOf(old)) !== undefined
        const bytes = isFreed ? 0 : yield* bytesOf(cold)
        // The next deletion must not become durable before this one.
        yield* disk.syncDirectory(directory)
        const known = catalog.get(segmentIndex)
        if (known?.state !== state) return
        if (isThere || bytes === undefined) return catalog.update(segmentIndex, { state: isFreed ? "cold" : "hot" })
        if (isFreed) return report({ _tag: "Freed", segmentIndex })
        const { bytes: hotBytes, closedMillis, firstEventId, lastEventId } = known
        report({ _tag: "Frozen", segmentIndex, hotBytes, coldBytes: bytes, firstEventId, lastEventId, closedMillis })
      }), { discard: true })
  }

  /** Open segments up to this index are closed. */
  closeThrough(segmentIndex: number): void {
    const { catalog } = this
    for (let entry = catalog.at("open", 0); entry !== undefined; entry = catalog.at("open", 0)) {
      if (entry.segmentIndex > segmentIndex) break
      catalog.update(entry.segmentIndex, { state: "hot" })
    }
  }

  /** Lengths and times of what was found at the start, asked for in the background, newest last. */
  learnSizes(disk: Disk["Service"]): Effect.Effect<void> {
    const { catalog, options } = this
    return Effect.forEach(catalog.list().filter((entry) => entry.closedMillis === 0), (entry) => {
      const file = filesOf(options.directory, options.naming, {
        segmentIndex: entry.segmentIndex,
        hot: entry.isHot,
        preparing: false,
        cold: entry.isHot ? [] : [entry.compression],
        freezing: []
      })[0]
      if (file === undefined) return Effect.void
      return disk.stat(file.path).pipe(
        Effect.map(({ bytes, modifiedMillis }) => {
          const known = catalog.get(entry.segmentIndex)
          if (known !== undefined && known.isHot === entry.isHot && known.closedMillis === 0) {
            catalog.update(entry.segmentIndex, { bytes, closedMillis: modifiedMillis })
          }
        }),
        Effect.ignore
      )
    }, { discard: true })
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

const newEntry = (segmentIndex: number, state: CatalogEntry["state"], isHot: boolean): CatalogEntry => ({
  segmentIndex,
  state,
  isHot,
  compression: "frame",
  bytes: 0,
  closedMillis: 0,
  firstEventId: undefined,
  lastEventId: undefined
})
