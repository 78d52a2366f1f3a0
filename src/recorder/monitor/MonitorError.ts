/**
 * Why a running recorder cannot be asked, or cannot answer.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { plainText } from "../../internal/plainText.ts"
import { MonitorReason } from "./MonitorReason.ts"

/**
 * A recorder's monitor cannot be asked, or cannot be served.
 *
 * @since 0.1.0
 * @category errors
 */
export class MonitorError extends Schema.TaggedError<MonitorError>()("MonitorError", {
  reason: MonitorReason,
  /** The socket, or the file that should name it. */
  path: Schema.String
}) {
  override get message(): string {
    return `${plainText(this.path)}: ${this.reason.message}`
  }
  /** Whether asking again may succeed although nothing else has changed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
