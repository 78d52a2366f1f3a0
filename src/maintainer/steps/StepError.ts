/**
 * The one error of the maintainer's steps: flush, persist, freeze and free. It names the step, the segment, the file
 * and the reason, and tells whether the step may succeed later. A step that failed has left the older form of the
 * segment in place. No `Schema`, for the reason that `Disk` gives.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { DiskError } from "../../disk/Disk.ts"
import { plainText } from "../../internal/plainText.ts"
import { taggedReason } from "../../internal/taggedReason.ts"
import { failureReasons } from "../../telemetry/Counters.ts"
import type { FailureReason } from "../../telemetry/Counters.ts"

/**
 * The segment's file is not there.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotFound extends taggedReason("NotFound", "the file is not there", false) {}

/**
 * No space, or too many open files.
 *
 * @since 0.1.0
 * @category reasons
 */
export class DiskFull extends taggedReason(
  "DiskFull",
  "no disk space or file descriptors left; free some, or lower the retention limits",
  true
) {}

/**
 * Permissions, or a read-only file system.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Denied extends taggedReason("Denied", "permission denied, or the file system is read-only", true) {}

/**
 * fdatasync failed; the bytes go to a fresh file.
 *
 * @since 0.1.0
 * @category reasons
 */
export class SyncFailed extends taggedReason(
  "SyncFailed",
  "the device did not confirm the bytes; they are written to a fresh file",
  true
) {}

/**
 * The device did not take the bytes.
 *
 * @since 0.1.0
 * @category reasons
 */
export class WriteFailed extends taggedReason("WriteFailed", "the device did not take the bytes", true) {}

/**
 * The device did not give the bytes.
 *
 * @since 0.1.0
 * @category reasons
 */
export class ReadFailed extends taggedReason("ReadFailed", "the device did not give the bytes", true) {}

/**
 * The directory did not take a new name or a removal, or did not confirm it.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NameFailed extends taggedReason(
  "NameFailed",
  "the directory did not take or confirm a rename or a removal; it is tried again",
  true
) {}

/**
 * The compressor failed.
 *
 * @since 0.1.0
 * @category reasons
 */
export class CompressFailed extends taggedReason(
  "CompressFailed",
  "the compressor failed; the original is kept",
  true
) {}

/**
 * What was read back differs from what was compressed.
 *
 * @since 0.1.0
 * @category reasons
 */
export class VerifyFailed extends taggedReason(
  "VerifyFailed",
  "what was read back differs from what was written; the original is kept",
  true
) {}

/**
 * The segment itself is damaged; it is left as it is, for `repair`.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Corrupt extends taggedReason(
  "Corrupt",
  "the segment does not verify; it is kept as it is, see `effect-wal repair`",
  false
) {}

/**
 * A link, a directory or something else stands where the file should be.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unsafe extends taggedReason(
  "Unsafe",
  "something that is no regular file stands there; remove it",
  false
) {}

/**
 * Why a step failed: the reasons that telemetry counts, with `Unsafe` for what it counts as `Io`.
 *
 * @since 0.1.0
 * @category reasons
 */
export type StepReason =
  | NotFound
  | DiskFull
  | Denied
  | SyncFailed
  | WriteFailed
  | ReadFailed
  | NameFailed
  | CompressFailed
  | VerifyFailed
  | Corrupt
  | Unsafe

/**
 * The tags of the reasons.
 *
 * @since 0.1.0
 * @category reasons
 */
export const stepReasonTags: ReadonlyArray<StepReason["_tag"]> = failureReasons.map((reason) =>
  reason === "Io" ? "Unsafe" : reason
)

/**
 * The reason under which telemetry counts a failed step.
 *
 * @since 0.1.0
 * @category errors
 */
export const countedReason = (tag: StepReason["_tag"]): FailureReason => tag === "Unsafe" ? "Io" : tag

/**
 * The steps of a segment's life after it was filled.
 *
 * @since 0.1.0
 * @category models
 */
export const stepNames = ["flush", "persist", "freeze", "free"] as const

/**
 * One of the steps.
 *
 * @since 0.1.0
 * @category models
 */
export type StepName = typeof stepNames[number]

/**
 * A step failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class StepError extends Data.TaggedError("StepError")<{
  readonly step: StepName
  readonly reason: StepReason
  readonly segmentIndex: number
  readonly path: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${plainText(`${this.step} segment ${this.segmentIndex}: ${this.path}`)}: ${this.reason.message}`
  }
  /** Whether the same step may succeed later although nothing else changes. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * A disk error in the words of a step.
 *
 * @since 0.1.0
 * @category errors
 */
export const fromDisk = (step: StepName, segmentIndex: number) => (error: DiskError): StepError =>
  new StepError({ step, reason: reasonOf(error), segmentIndex, path: error.path, cause: error })

const reasonOf = ({ operation, reason }: DiskError): StepReason => {
  const told = reason._tag === "Held" ? reason.holder : reason.detail
  const detail = told === "" ? operation : `${operation}: ${told}`
  switch (reason._tag) {
    case "NotFound":
    case "NotDirectory":
      return new NotFound({ detail })
    case "Full":
    case "TooManyFiles":
      return new DiskFull({ detail })
    case "Denied":
      return new Denied({ detail })
    case "Unsafe":
    case "IsDirectory":
      return new Unsafe({ detail })
    case "Exists":
    case "Held":
    case "Unsupported":
    case "Io":
      return new (reasonByOperation[operation] ?? ReadFailed)({ detail })
  }
}

/** What the device failed at. Every other operation reads. */
const reasonByOperation: Readonly<Record<string, typeof WriteFailed | typeof SyncFailed | typeof NameFailed>> = {
  write: WriteFailed,
  truncate: WriteFailed,
  sync: SyncFailed,
  rename: NameFailed,
  unlink: NameFailed,
  makeDirectory: NameFailed,
  removeDirectory: NameFailed,
  syncDirectory: NameFailed
}
