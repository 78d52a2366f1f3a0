/**
 * What became of a step: executors report it to the service. Plain data, so it may come from another thread.
 *
 * @since 0.1.0
 */
import type { Quarantined } from "../../reading/recovery/Quarantine.ts"
import type { StepError, StepName } from "./StepError.ts"
import type { StepReason } from "./StepReason.ts"

/**
 * The outcome of a step.
 *
 * **Details**
 *
 * - `Opened`: the segment's `.wal` has its name; it is being filled
 * - `Persisted`: the `.wal` is durable and closed
 * - `Frozen`: the segment is cold and the `.wal` gone
 * - `Freed`: the cold file is gone
 * - `Quarantined`: the segment was damaged and was moved away; `hole` has the events that are lost
 * - `Failed`: an attempt of a step failed; `isFinal` when the step is abandoned, and not tried again by itself
 *
 * `millis` is how long the attempt took, in elapsed time; `undefined` when the report of it was lost with its executor.
 *
 * @since 0.1.0
 * @category models
 */
export type StepOutcome =
  | { readonly _tag: "Opened"; readonly segmentIndex: number }
  | {
    readonly _tag: "Persisted"
    readonly segmentIndex: number
    readonly bytes: number
    /** Of the room of a full segment; `undefined` when that is not known. */
    readonly usedBytes: number | undefined
    readonly firstEventId: number | undefined
    readonly lastEventId: number | undefined
    readonly closedMillis: number
    readonly millis: number | undefined
  }
  | {
    readonly _tag: "Frozen"
    readonly segmentIndex: number
    readonly hotBytes: number
    readonly coldBytes: number
    readonly firstEventId: number | undefined
    readonly lastEventId: number | undefined
    readonly closedMillis: number
    readonly millis: number | undefined
  }
  | { readonly _tag: "Freed"; readonly segmentIndex: number; readonly millis: number | undefined }
  | ({ readonly _tag: "Quarantined" } & Quarantined)
  | ({ readonly _tag: "Failed"; readonly isFinal: boolean; readonly millis: number } & StepFailure)

/**
 * A failed step, as data.
 *
 * @since 0.1.0
 * @category models
 */
export interface StepFailure {
  readonly step: StepName
  readonly reason: StepReason["_tag"]
  readonly segmentIndex: number
  readonly path: string
  readonly message: string
  /** Whether the same step may succeed later. */
  readonly isRetryable: boolean
  /** Unix time. */
  readonly atMillis: number
}

/** The outcome of an attempt that failed after `millis`. */
export const failed = (error: StepError, atMillis: number, isFinal: boolean, millis: number): StepOutcome => ({
  _tag: "Failed",
  step: error.step,
  reason: error.reason._tag,
  segmentIndex: error.segmentIndex,
  path: error.path,
  message: error.message,
  isRetryable: error.isRetryable,
  isFinal,
  millis,
  atMillis
})
