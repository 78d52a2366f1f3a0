/** One segment's freeze: its paths, its pressure, and errors that name what failed. */
import * as Effect from "effect/Effect"
import type { DiskError } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { formatFault, isSegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import type { Compression } from "../../format/SegmentName.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import type { Pressure } from "./FreezePace.ts"
import type { SegmentFacts } from "./SegmentProof.ts"
import { fromDisk, StepError } from "./StepError.ts"
import type { StepReason } from "./StepError.ts"

/** What freezing needs to know beside the segment's index. */
export interface FreezeOptions {
  readonly directory: SegmentDirectory
  readonly compression: Compression
  readonly telemetry: SegmentMaintainerUpdater
  readonly pressure: Pressure
  /** Paths of `.tmp` files that failed freezes could not remove. The executor removes them when it ends. */
  readonly leftBehind: Set<string>
}

/** The freeze of one segment. */
export interface FreezeJob {
  readonly options: FreezeOptions
  readonly segmentIndex: number
  readonly hot: string
  readonly temporary: string
  readonly cold: string
  /** The cold file of the other compression. */
  readonly otherCold: string
  readonly fail: (reason: StepReason, path: string, detail: string, cause?: unknown) => StepError
  /** Turns an error of the disk into one of this freeze. */
  readonly onDisk: <A, R>(effect: Effect.Effect<A, DiskError, R>) => Effect.Effect<A, StepError, R>
}

/** The job of freezing a segment. */
export const makeJob = (options: FreezeOptions, segmentIndex: number): FreezeJob => {
  const { compression, directory } = options
  return {
    options,
    segmentIndex,
    hot: directory.hotPath(segmentIndex),
    temporary: directory.freezingPath(segmentIndex, compression),
    cold: directory.coldPath(segmentIndex, compression),
    otherCold: directory.coldPath(segmentIndex, compression === "frame" ? "block" : "frame"),
    fail: (reason, path, detail, cause) => new StepError({ step: "freeze", reason, segmentIndex, path, detail, cause }),
    onDisk: Effect.mapError(fromDisk("freeze", segmentIndex))
  }
}

/** The facts that a proof has found, or the failure of the job. */
export const verdict = (job: FreezeJob, end: SegmentFacts | SegmentFault): Effect.Effect<SegmentFacts, StepError> =>
  isSegmentFault(end) ? Effect.fail(job.fail("Corrupt", job.hot, formatFault(end))) : Effect.succeed(end)
