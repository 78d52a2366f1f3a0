/**
 * Does the slow work of a log in the background: sync, compression, retention and deletion.
 *
 * @since 0.1.0
 */
export type { SizeInput } from "./internal/notations.ts"
export { adaptive } from "./maintainer/executor/MaintainerSchedule.ts"
export type { AloneOptions, MaintainerOptions } from "./maintainer/MaintainerOptions.ts"
export type {
  CatalogEntry,
  DrainReceipt,
  DurableHold,
  DurableHoldStatus,
  HeldBackStatus,
  Hold,
  HoldStatus,
  MaintainerService,
  MaintainerStatus,
  PerQueue
} from "./maintainer/SegmentMaintainer.ts"
export { layer, layerAlone, MaintainerDown, SegmentMaintainer } from "./maintainer/SegmentMaintainer.ts"
export type { WatchOptions } from "./maintainer/SegmentWatcher.ts"
export { watch } from "./maintainer/SegmentWatcher.ts"
export { StepError } from "./maintainer/steps/StepError.ts"
export type { StepFailure, StepOutcome } from "./maintainer/steps/StepOutcome.ts"
/**
 * Why a step of the maintainer fails.
 *
 * @since 0.1.0
 * @category errors
 */
export * as StepReason from "./maintainer/steps/StepReason.ts"
