/**
 * Why a monitor did not answer: a class for each reason, in words that tell what to do about it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { withDetail } from "../../internal/taggedReason.ts"

/** The system's message; empty if there is nothing to add. */
const detail = { detail: Schema.String }

/**
 * The recorder belongs to another user.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Denied extends Schema.TaggedError<Denied>("effect-wal/MonitorError/Denied")("Denied", detail) {
  override get message(): string {
    return withDetail("the recorder belongs to another user; ask as that user, or as root", this.detail)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The recorder exists but does not answer in time.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NoAnswer extends Schema.TaggedError<NoAnswer>("effect-wal/MonitorError/NoAnswer")("NoAnswer", detail) {
  override get message(): string {
    return withDetail("the recorder does not answer; its process is stopped, or its thread is blocked", this.detail)
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The answer is not one of this version.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unreadable
  extends Schema.TaggedError<Unreadable>("effect-wal/MonitorError/Unreadable")("Unreadable", detail)
{
  override get message(): string {
    return withDetail(
      "what the recorder says cannot be read; use the same version of effect-wal as the recorder",
      this.detail
    )
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The socket cannot be made or used.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Io extends Schema.TaggedError<Io>("effect-wal/MonitorError/Io")("Io", detail) {
  override get message(): string {
    return withDetail("the socket cannot be used", this.detail)
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The schema of {@link MonitorReason}.
 *
 * @since 0.1.0
 * @category reasons
 */
export const MonitorReason = Schema.Union([Denied, NoAnswer, Unreadable, Io])

/**
 * Why a running recorder cannot be asked, or cannot answer.
 *
 * @since 0.1.0
 * @category reasons
 */
export type MonitorReason = typeof MonitorReason.Type
