/**
 * Reasons of errors that nothing encodes: a class each, and no `Schema` (see `Disk`).
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import { plainText } from "./plainText.ts"

/** Advice, with what the system reported after it; `detail` is empty when there is nothing to add. */
export const withDetail = (advice: string, detail: string): string =>
  plainText(detail === "" ? advice : `${advice} (${detail})`)

/**
 * A class of reasons with this tag. Its message is the advice; `isRetryable` tells whether the same may succeed later
 * although nothing else changes.
 */
export const taggedReason = <Tag extends string>(
  tag: Tag,
  advice: string,
  isRetryable: boolean
): new(props: { readonly detail: string }) => Cause.YieldableError & {
  readonly _tag: Tag
  /** What the system reported, or more than the tag tells; empty when there is nothing to add. */
  readonly detail: string
  readonly isRetryable: boolean
} =>
  class extends Data.TaggedError(tag)<{ readonly detail: string }> {
    override get message(): string {
      return withDetail(advice, this.detail)
    }
    get isRetryable(): boolean {
      return isRetryable
    }
  }
