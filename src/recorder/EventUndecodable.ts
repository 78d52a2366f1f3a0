/**
 * Why an event of a log cannot be given back as a value.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { plainText } from "../internal/plainText.ts"

/**
 * An event was read and is intact, but is none of those that the schema describes: it was recorded with another schema.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventUndecodable extends Schema.TaggedError<EventUndecodable>()("EventUndecodable", {
  eventId: Schema.Int,
  /** What does not fit. */
  detail: Schema.String
}) {
  override get message(): string {
    return plainText(
      `event ${this.eventId} does not fit the schema: ${this.detail}; read it with the schema that it was recorded ` +
        "with, or as bytes"
    )
  }
  /** It will not fit later, either. */
  get isRetryable(): boolean {
    return false
  }
}
