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
import { failureReasons } from "../../telemetry/Counters.ts"
import type { FailureReason } from "../../telemetry/Counters.ts"

/**
 * Why a step failed: the reasons that telemetry counts, with `Unsafe` for what it counts as `Io`.
 *
 * - `NotFound`: the segment's file is not there
 * - `DiskFull`: no space, or too many open files
 * - `Denied`: permissions, or a read-only file system
 * - `SyncFailed`: fdatasync failed; the bytes go to a fresh file
 * - `WriteFailed`, `ReadFailed`: the device failed
 * - `NameFailed`: the directory did not take a new name or a removal, or did not confirm it
 * - `CompressFailed`: the compressor failed
 * - `VerifyFailed`: what was read back differs from what was compressed
 * - `Corrupt`: the segment itself is damaged; it is left as it is, for `repair`
 * - `Unsafe`: a link, a directory or something else stands where the file should be
 *
 * @since 0.1.0
 * @category errors
 */
export type StepReason = Exclude<FailureReason, "Io"> | "Unsafe"

/** Every {@link StepReason}. */
export const stepReasons: ReadonlyArray<StepReason> = failureReasons.map((reason) =>
  reason === "Io" ? "Unsafe" : reason
)

/** The reason under which telemetry counts a failed step. */
export const countedReason = (reason: StepReason): FailureReason => reason === "Unsafe" ? "Io" : reason

/** The steps of a segment's life after it was filled. */
export const stepNames = ["flush", "persist", "freeze", "free"] as const

/**
 * One of the steps.
 *
 * @since 0.1.0
 * @category models
 */
export type StepName = typeof stepNames[number]

const advice: Record<StepReason, string> = {
  NotFound: "the file is not there",
  DiskFull: "no disk space or file descriptors left; free some, or lower the retention limits",
  Denied: "permission denied, or the file system is read-only",
  SyncFailed: "the device did not confirm the bytes; they are written to a fresh file",
  WriteFailed: "the device did not take the bytes",
  ReadFailed: "the device did not give the bytes",
  NameFailed: "the directory did not take or confirm a rename or a removal; it is tried again",
  CompressFailed: "the compressor failed; the original is kept",
  VerifyFailed: "what was read back differs from what was written; the original is kept",
  Corrupt: "the segment does not verify; it is kept as it is, see `effect-wal repair`",
  Unsafe: "something that is no regular file stands there; remove it"
}

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
  /** More than the reason tells; empty when there is nothing more. */
  readonly detail: string
  readonly cause?: unknown
}> {
  override get message(): string {
    const detail = this.detail === "" ? "" : ` (${this.detail})`
    return plainText(`${this.step} segment ${this.segmentIndex}: ${this.path}: ${advice[this.reason]}${detail}`)
  }
  /** Whether the same step may succeed later although nothing else changes. */
  get isRetryable(): boolean {
    return this.reason !== "NotFound" && this.reason !== "Corrupt" && this.reason !== "Unsafe"
  }
}

/** A disk error in the words of a step. */
export const fromDisk = (step: StepName, segmentIndex: number) => (error: DiskError): StepError =>
  new StepError({
    step,
    reason: reasonOf(error),
    segmentIndex,
    path: error.path,
    detail: error.detail === "" ? error.operation : `${error.operation}: ${error.detail}`,
    cause: error
  })

const reasonOf = (error: DiskError): StepReason => {
  switch (error.reason) {
    case "NotFound":
    case "NotDirectory":
      return "NotFound"
    case "Full":
    case "TooManyFiles":
      return "DiskFull"
    case "Denied":
      return "Denied"
    case "Unsafe":
    case "IsDirectory":
      return "Unsafe"
    case "Exists":
    case "Held":
    case "Unsupported":
    case "Io":
      return reasonByOperation[error.operation] ?? "ReadFailed"
  }
}

/** What the device failed at. Every other operation reads. */
const reasonByOperation: Readonly<Record<string, StepReason>> = {
  write: "WriteFailed",
  truncate: "WriteFailed",
  sync: "SyncFailed",
  rename: "NameFailed",
  unlink: "NameFailed",
  makeDirectory: "NameFailed",
  removeDirectory: "NameFailed",
  syncDirectory: "NameFailed"
}
