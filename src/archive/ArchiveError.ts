/**
 * The one error of an archive beside those of the store and of the disk. It names the object or the file. No `Schema`,
 * for the reason that `Disk` gives.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { plainText } from "../internal/plainText.ts"
import type { ArchiveReason } from "./ArchiveReason.ts"

/**
 * An archive cannot do something, for a reason that is not the store's.
 *
 * @since 0.1.0
 * @category errors
 */
export class ArchiveError extends Data.TaggedError("ArchiveError")<{
  readonly reason: ArchiveReason
  /** The key of the object, or the path of the file. */
  readonly key: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${plainText(this.key)}: ${this.reason.message}`
  }
  /** Whether the same may succeed later although nothing else changes. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
