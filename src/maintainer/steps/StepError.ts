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
import { Denied, DiskFull, NameFailed, NotFound, ReadFailed, SyncFailed, Unsafe, WriteFailed } from "./StepReason.ts"
import type { StepReason } from "./StepReason.ts"

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
    case "Away":
    case "BadArchive":
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
