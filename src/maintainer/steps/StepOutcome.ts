/**
 * What the maintainer's executors report to the service that supervises them. Plain data, so it may come from another
 * thread.
 *
 * @since 0.1.0
 */
import type { StepName, StepReason } from "./StepError.ts"
import type { StepError } from "./StepError.ts"

/**
 * The outcome of a step.
 *
 * - `Opened`: the segment's `.wal` has its name; it is being filled
 * - `Persisted`: the `.wal` is durable and closed
 * - `Frozen`: the segment is cold and the `.wal` gone
 * - `Freed`: the cold file is gone
 * - `Failed`: a step failed; `isFinal` when it will not be tried again by itself
 *
 * @since 0.1.0
 * @category models
 */
export type MaintainerEvent =
  | { readonly _tag: "Opened"; readonly segmentIndex: number }
  | {
    readonly _tag: "Persisted"
    readonly segmentIndex: number
    readonly bytes: number
    readonly firstEventId: number | undefined
    readonly lastEventId: number | undefined
    readonly closedMillis: number
  }
  | {
    readonly _tag: "Frozen"
    readonly segmentIndex: number
    readonly hotBytes: number
    readonly coldBytes: number
    readonly firstEventId: number | undefined
    readonly lastEventId: number | undefined
    readonly closedMillis: number
  }
  | { readonly _tag: "Freed"; readonly segmentIndex: number }
  | ({ readonly _tag: "Failed"; readonly isFinal: boolean; readonly atMillis: number } & StepFailure)

/**
 * A failed step, as data.
 *
 * @since 0.1.0
 * @category models
 */
export interface StepFailure {
  readonly step: StepName
  readonly reason: StepReason
  readonly segmentIndex: number
  readonly path: string
  readonly message: string
  readonly isRetryable: boolean
}

/**
 * The data of a step's error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failed = (error: StepError, atMillis: number, isFinal: boolean): MaintainerEvent => ({
  _tag: "Failed",
  step: error.step,
  reason: error.reason,
  segmentIndex: error.segmentIndex,
  path: error.path,
  message: error.message,
  isRetryable: error.isRetryable,
  isFinal,
  atMillis
})
