/** One segment's freeze: its paths, its pressure, and errors that name what failed. */
import * as Effect from "effect/Effect"
import type { DiskError } from "../../disk/Disk.ts"
import type { SegmentDirectory, SegmentFile } from "../../disk/SegmentDirectory.ts"
import { formatFault, isSegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import type { Compression } from "../../format/SegmentName.ts"
import type { FrameMemory } from "../../reading/segment/FrameReader.ts"
import type { SegmentCorrupt } from "../../reading/segment/SegmentCorrupt.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import type { Pressure } from "./FreezePace.ts"
import type { SegmentFacts } from "./SegmentProof.ts"
import { fromDisk, StepError } from "./StepError.ts"
import { Corrupt, VerifyFailed } from "./StepReason.ts"
import type { StepReason } from "./StepReason.ts"

/** What freezing needs to know beside the segment's index. */
export interface FreezeOptions {
  readonly directory: SegmentDirectory
  readonly compression: Compression
  readonly telemetry: SegmentMaintainerUpdater
  readonly pressure: Pressure
  /** Paths of `.tmp` files that failed freezes could not remove. The executor removes them when it ends. */
  readonly leftBehind: Set<string>
  /** For reading back what was written; one freeze at a time uses it. */
  readonly memory: FrameMemory
}

/** The freeze of one segment. */
export interface FreezeJob {
  readonly options: FreezeOptions
  readonly segmentIndex: number
  /** The form that the segment gets. */
  readonly compression: Compression
  readonly hot: string
  readonly temporary: string
  readonly cold: string
  /** The cold file of the other compression. */
  readonly otherCold: string
  readonly fail: (reason: StepReason, path: string, cause?: unknown) => StepError
  /** Turns an error of the disk into one of this freeze. */
  readonly onDisk: <A, R>(effect: Effect.Effect<A, DiskError, R>) => Effect.Effect<A, StepError, R>
  /** As `onDisk`, for reading back: what the reader refuses is not proved. */
  readonly onRead: <A, R>(
    effect: Effect.Effect<A, DiskError | SegmentCorrupt | StepError, R>
  ) => Effect.Effect<A, StepError, R>
  /** A compressed file of the segment, as a reader takes it. */
  readonly asCold: (path: string) => SegmentFile
}

/** The job of freezing a segment into a form. */
export const makeJob = (options: FreezeOptions, segmentIndex: number, compression: Compression): FreezeJob => {
  const { directory } = options
  const fail: FreezeJob["fail"] = (reason, path, cause) =>
    new StepError({ step: "freeze", reason, segmentIndex, path, cause })
  const ofDisk = fromDisk("freeze", segmentIndex)
  const ofReading = (error: DiskError | SegmentCorrupt | StepError): StepError => {
    switch (error._tag) {
      case "DiskError":
        return ofDisk(error)
      case "SegmentCorrupt":
        return fail(new VerifyFailed({ detail: formatFault(error.fault) }), error.path, error)
      case "StepError":
        return error
    }
  }
  return {
    options,
    segmentIndex,
    compression,
    hot: directory.hotPath(segmentIndex),
    temporary: directory.freezingPath(segmentIndex, compression),
    cold: directory.coldPath(segmentIndex, compression),
    otherCold: directory.coldPath(segmentIndex, compression === "frame" ? "block" : "frame"),
    fail,
    onDisk: Effect.mapError(ofDisk),
    onRead: Effect.mapError(ofReading),
    asCold: (path) => ({ segmentIndex, path, form: "cold", compression })
  }
}

/** The facts that a proof has found, or the failure of the job. */
export const verdict = (job: FreezeJob, end: SegmentFacts | SegmentFault): Effect.Effect<SegmentFacts, StepError> =>
  isSegmentFault(end) ? Effect.fail(job.fail(new Corrupt({ detail: formatFault(end) }), job.hot)) : Effect.succeed(end)
