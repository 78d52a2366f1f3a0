/**
 * Why a state machine cannot be opened, or cannot answer.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { taggedReason } from "../internal/taggedReason.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import type { EventUndecodable } from "../recorder/EventUndecodable.ts"
import type { RecorderError } from "../recorder/RecorderError.ts"

/**
 * The state cannot be written to a snapshot: it does not fit its schema, or is too large for one text.
 *
 * @since 0.1.0
 * @category reasons
 */
export class StateUnencodable extends taggedReason(
  "StateUnencodable",
  "the state cannot be written to a snapshot; mend its schema, or keep less in it",
  false
) {}

/**
 * - `RecorderError`: the events of an update were refused (then nothing has changed, and the machine continues), or the
 *   commit that an answer waited for failed (then the machine has ended)
 * - `StateUnencodable`: a snapshot was not written; the machine continues
 * - the others: the log cannot be read or folded further, for the reason that a replay of it would give; or, of a
 *   snapshot, the disk failed
 *
 * @since 0.1.0
 * @category errors
 */
export type StateMachineReason = RecorderError | ReplayFailure | EventUndecodable | StateUnencodable

/**
 * A state machine cannot be opened, or cannot answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class StateMachineError extends Data.TaggedError("StateMachineError")<{
  /** Of the machine. */
  readonly name: string
  readonly reason: StateMachineReason
}> {
  override get message(): string {
    return `state machine ${this.name}: ${this.reason.message}`
  }
  /** Whether the same call may succeed later although nothing else has changed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
