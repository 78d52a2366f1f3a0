/** Shows the service's state in the telemetry. */
import { isConsumer } from "../disk/FileNames.ts"
import * as TaskQueue from "../shared/TaskQueue.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import type { SegmentMaintainerUpdater } from "../telemetry/SegmentMaintainerUpdater.ts"
import type { DrainReceipt } from "./Drain.ts"
import { heldBackStatus } from "./HeldBackStatus.ts"
import type { DurableHoldStatus } from "./retention/DurableHolds.ts"
import type { MaintainerState } from "./retention/MaintainerState.ts"
import type { RetentionLimits } from "./retention/Retention.ts"

/** Sets the gauges of the limits; an unlimited one is 0. */
export const setLimitGauges = (
  telemetry: SegmentMaintainerUpdater,
  { maxCompressedSegments, maxSegments }: RetentionLimits
): void => {
  telemetry.setMaxSegments(maxSegments)
  telemetry.setMaxCompressedSegments(maxCompressedSegments === "unlimited" ? 0 : maxCompressedSegments)
}

/** Sets the gauges of the segments and of the queues. */
export const setGauges = (
  telemetry: SegmentMaintainerUpdater,
  state: MaintainerState
): void => {
  const { arena, catalog, damaged, durableHolds, elapsed, freeBytes, holes, queues } = state
  telemetry.setGauge("hotSegments", catalog.hotCount)
  telemetry.setGauge("hotBytes", catalog.hotBytes)
  telemetry.setGauge("coldSegments", catalog.coldCount)
  telemetry.setGauge("coldBytes", catalog.coldBytes)
  telemetry.setGauge("damagedSegments", damaged.size)
  telemetry.setGauge("acknowledgedHoles", holes.length)
  if (freeBytes !== undefined) telemetry.setGauge("diskFreeBytes", freeBytes)
  const archive = state.archivedStatus()
  if (archive !== undefined) {
    telemetry.setGauge("archiveBehindSegments", archive.behindSegments)
    telemetry.setGauge("archiveBehindBytes", archive.behindBytes)
    telemetry.setGauge("archiveBehindMillis", Math.ceil(archive.behindMillis))
  }
  const consumers = durableHolds.list().filter(({ name }) => isConsumer(name))
  const furthest = (of: (consumer: DurableHoldStatus) => number) => Math.ceil(Math.max(0, ...consumers.map(of)))
  telemetry.setGauge("consumers", consumers.length)
  telemetry.setGauge("consumerLagEvents", furthest(({ behindEvents }) => behindEvents))
  telemetry.setGauge("consumerLagBytes", furthest(({ behindBytes }) => behindBytes))
  telemetry.setGauge("consumerLagMillis", furthest(({ behindMillis }) => behindMillis))
  const millis = elapsed()
  const heldBack = heldBackStatus(arena, millis)
  telemetry.setGauge("heldBackMillis", Math.ceil(heldBack?.forMillis ?? 0))
  telemetry.setGauge("nextTryMillis", Math.ceil(heldBack?.nextTryInMillis ?? 0))
  const age = (queue: TaskQueue.TaskQueue): number => {
    const oldest = TaskRing.oldestMillisUnsafe(queue.ring)
    return oldest >= 0 ? millis - oldest : 0
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

/** After a drain that has made everything durable nothing lags, and the recorder that would tell has gone. */
export const setGaugesOfDrain = (telemetry: SegmentMaintainerUpdater, { left }: DrainReceipt): void => {
  if (left.persist > 0) return
  telemetry.setGauge("durableLagEvents", 0)
  telemetry.setGauge("durableLagMillis", 0)
}
